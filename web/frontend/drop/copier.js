// Has each chosen file copied and digested by a worker, and writes into its record what became of it.
import { change } from "./queue.js";
import { scriptURL } from "./page.js";
import { pauseAfter } from "./line.js";

export class Copier {
  #worker = null;
  #jobs = new Map();
  #failures = 0;

  constructor({ address, changed }) {
    Object.assign(this, { address, changed });
  }

  // Fetched before it is needed: a signal that goes between opening the page and choosing must not cost the copy.
  ready() {
    this.#worker ??= this.#start();
  }

  take(id, file) {
    this.#jobs.set(id, file);
    this.ready();
    this.#worker.postMessage({ id, file, copy: true });
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
    if (worker !== this.#worker) return;
    this.#worker = null;
    this.#failures += 1;
    setTimeout(() => {
      if (!this.#jobs.size) return;
      this.ready();
      for (const [id, file] of this.#jobs) this.#worker.postMessage({ id, file, copy: true });
    }, pauseAfter(this.#failures));
  }

  async #hear({ id, end, ...outcome }) {
    if (!end) return;
    this.#failures = 0;
    if (!this.#jobs.delete(id)) return;
    await change(id, outcome);
    await this.changed(true);
  }
}
