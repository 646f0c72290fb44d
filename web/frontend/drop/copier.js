// Has each chosen file copied and digested by a worker, and writes into its record what became of it.
import { change } from "./queue.js";
import { scriptURL } from "./page.js";

export class Copier {
  #spool = null;
  #seal = null;

  constructor({ addresses, recipients, changed }) {
    Object.assign(this, { addresses, recipients, changed });
  }

  get seals() {
    return Boolean(this.addresses.seal && this.recipients.length);
  }

  take(record, file) {
    if (record.seal) this.#sealer().postMessage({ id: record.id, file, recipients: this.recipients });
    else this.#spooler().postMessage({ id: record.id, file, copy: true });
  }

  #spooler() {
    return (this.#spool ??= this.#start(this.addresses.spool));
  }

  #sealer() {
    return (this.#seal ??= this.#start(this.addresses.seal));
  }

  #start(address) {
    const worker = new Worker(scriptURL(address));
    worker.onmessage = ({ data }) => this.#hear(data);
    return worker;
  }

  async #hear({ id, done, ...outcome }) {
    if (done !== undefined) return;
    if (outcome.sealed) outcome.size = outcome.sealedSize;
    await change(id, outcome);
    await this.changed(true);
  }
}
