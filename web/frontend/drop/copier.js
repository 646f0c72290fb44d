// Has each chosen file copied and digested by a worker, and writes into its record what became of it.
import { change } from "./queue.js";
import { scriptURL } from "./page.js";

export class Copier {
  #worker = null;

  constructor({ address, changed }) {
    Object.assign(this, { address, changed });
  }

  take(id, file) {
    this.#worker ??= this.#start();
    this.#worker.postMessage({ id, file, copy: true });
  }

  #start() {
    const worker = new Worker(scriptURL(this.address));
    worker.onmessage = ({ data }) => this.#hear(data);
    return worker;
  }

  async #hear({ id, done, ...outcome }) {
    if (done !== undefined) return;
    await change(id, outcome);
    await this.changed(true);
  }
}
