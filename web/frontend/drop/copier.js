// Has each chosen file copied and digested by a worker, sealed where the archive wishes it, and writes into its record what
// became of it.
import { change, newId } from "./queue.js";
import { scriptURL } from "./page.js";
import { pauseAfter } from "./line.js";

export class Copier {
  #worker = null;
  #jobs = new Map();
  #failures = 0;
  #reads = new Map();

  // `recipients` are whom waiting copies are sealed to; none where they lie open.
  constructor({ address, recipients, changed, anew }) {
    Object.assign(this, { address, recipients, changed, anew });
  }

  // Fetched before it is needed: a signal that goes between opening the page and choosing must not cost the copy.
  ready() {
    this.#worker ??= this.#start();
  }

  take(id, file) {
    this.#jobs.set(id, file);
    this.ready();
    this.#give(id, file);
  }

  #give(id, file) {
    this.#worker.postMessage({ id, file, copy: true, recipients: this.recipients });
  }

  isTaking(id) {
    return this.#jobs.has(id);
  }

  // The octets of a copy that still grows, as soon as they are there; null where it grows here no more.
  read(id, from, to) {
    if (!this.isTaking(id)) return null;
    const read = newId();
    return new Promise((resolve) => {
      this.#reads.set(read, resolve);
      this.#worker.postMessage({ id, read, from, to });
    });
  }

  drop(id) {
    if (this.#jobs.delete(id)) this.#worker?.postMessage({ id, drop: true });
  }

  #start() {
    const worker = new Worker(scriptURL(this.address));
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onerror = () => this.#again(worker);
    return worker;
  }

  // The script did not load, or the browser ended it: what it had not done is begun anew, for as long as it takes.
  #again(worker) {
    worker.terminate();
    for (const answer of this.#reads.values()) answer(null);
    this.#reads.clear();
    if (worker !== this.#worker) return;
    this.#worker = null;
    this.#failures += 1;
    setTimeout(() => {
      if (!this.#jobs.size) return;
      this.ready();
      for (const [id, file] of this.#jobs) this.#give(id, file);
    }, pauseAfter(this.#failures));
  }

  async #hear({ id, done, end, read, octets, ...outcome }) {
    if (read) {
      this.#reads.get(read)?.(octets);
      this.#reads.delete(read);
    }
    if (read || done !== undefined) return;
    this.#failures = 0;
    if (!this.#jobs.has(id)) return;
    if (end) this.#jobs.delete(id);
    if ("length" in outcome) await this.anew(id, outcome);
    else await change(id, outcome);
    await this.changed(true);
  }
}
