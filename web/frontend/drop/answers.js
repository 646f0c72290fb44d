// The last step: the answers go to the archive, and the receipt comes back. Answers stay in the page until then; they are
// never written on the phone. A receipt is of one visit: files that wait for another link get one of their own.
import { by, say } from "./page.js";
import { SENT, isWaiting } from "./queue.js";
import { pauseAfter } from "./line.js";

const OURS = new Set(["csrf_token", "visit", "form"]);
const ASK_AGAIN = new Set(["custody/not-published", "visits/unfinished"]);

export class Answers {
  asked = false;
  #sending = false;
  #failures = 0;

  constructor({ form, records, done, complain }) {
    Object.assign(this, { form, records, done, complain });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    // Enter in a field of one line is not yet the end: nobody shall hand over by a slip of the thumb.
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.matches("input:not([type=file])")) event.preventDefault();
    });
    by("finish-now").addEventListener("click", () => this.#finish(this.#mine()));
    by("others-finish").addEventListener("click", () => this.#finishOthers());
  }

  // What was typed and chosen so far, for the same page after a reload or in another language; never for the disk.
  written() {
    const fields = new FormData(this.form);
    return [...fields].filter(([name, value]) => typeof value === "string" && !OURS.has(name) && value);
  }

  restore(written) {
    for (const [name, value] of written) {
      const field = this.form.elements[name];
      if (field && !(field instanceof Element && field.value)) field.value = value;
    }
  }

  ask() {
    // To a sending that was handed over before, an answer alone may be added.
    const enough = this.form.dataset.code === "-" ? ["happened", "told", "when", "where", "contact"] : ["happened", "told"];
    const told = enough.some((name) => this.form.elements[name]?.value.trim());
    if (!told && !this.#mine().length) return this.complain(say("nothing_yet"));
    this.asked = true;
    this.look();
  }

  // Goes as soon as all is safe; until then says that it will, and offers a receipt for what is.
  look() {
    by("finish-note").hidden = !this.asked;
    if (!this.asked || this.#sending) return;
    const mine = this.#mine();
    const waits = mine.some(isWaiting);
    by("finish").setAttribute("aria-disabled", "true");
    by("finish-text").textContent = say(waits ? "finish_waits" : "finish_sends");
    by("finish-now").hidden = !waits || !mine.some((record) => SENT.has(record.state));
    if (!waits) this.#finish(mine);
  }

  #mine() {
    return this.records().filter((record) => !record.other);
  }

  async #finish(records) {
    if (this.#sending) return;
    by("finish-now").hidden = true;
    by("finish-text").textContent = say("finish_sends");
    await this.#send(this.form.action, () => new FormData(this.form), records.filter((record) => SENT.has(record.state)));
  }

  // What was sent through another link is handed over with that visit's own key, to the fewest eyes; its code changes that.
  async #finishOthers() {
    const [first] = this.records().filter((record) => record.other && SENT.has(record.state));
    if (!first || this.#sending) return;
    this.asked = true;
    by("finish-note").hidden = false;
    by("finish-text").textContent = say("finish_sends");
    const body = () => {
      const body = new FormData();
      body.set("csrf_token", this.form.elements.csrf_token.value);
      body.set("visit", first.visit);
      body.set("use", "legal");
      return body;
    };
    const records = this.records().filter((record) => record.visit === first.visit && SENT.has(record.state));
    await this.#send(`/d/${encodeURIComponent(first.code)}`, body, records);
  }

  async #send(address, body, records) {
    this.#sending = true;
    try {
      for (let renewed = false; ; ) {
        const answer = await this.#post(address, body());
        if (answer?.ok) {
          // While the browser still leaves, nothing is asked again: it would be another sending's receipt that comes.
          this.asked = false;
          return await this.done(answer, records);
        }
        if (answer?.code === "web/stale-page" && !renewed) {
          // The page was kept for longer than its token: it gets another, and nobody has to write anything again.
          renewed = await this.#renew();
        } else if (answer && answer.status < 500 && !ASK_AGAIN.has(answer.code)) return this.#refused(answer);
        else await this.#pause();
      }
    } finally {
      this.#sending = false;
    }
  }

  async #pause() {
    this.#failures += 1;
    await new Promise((resolve) => setTimeout(resolve, pauseAfter(this.#failures)));
  }

  async #post(address, body) {
    body.delete("files");
    try {
      const response = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" }, cache: "no-store" });
      return { status: response.status, ...(await response.json()) };
    } catch {
      by("finish-text").textContent = say("finish_offline");
      return null;
    }
  }

  async #renew() {
    try {
      const page = await (await fetch("/r", { cache: "no-store" })).text();
      const [, token] = /name="csrf_token" value="([^"]+)"/.exec(page);
      this.form.elements.csrf_token.value = token;
      return true;
    } catch {
      await this.#pause();
      return false;
    }
  }

  #refused(answer) {
    this.asked = false;
    by("finish").removeAttribute("aria-disabled");
    by("finish-note").hidden = true;
    this.complain(answer.error);
  }
}
