// The last step: the answers go to the archive with the addresses of what was sent, and the receipt comes back. Answers
// stay in the page until then; they are never written on the phone.
import { by, say } from "./page.js";
import { SENT } from "./queue.js";
import { pauseAfter } from "./line.js";

export class Answers {
  asked = false;
  #sending = false;
  #failures = 0;

  constructor({ form, records, done }) {
    Object.assign(this, { form, records, done });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.asked = true;
      this.look();
    });
  }

  // Goes as soon as all is safe; until then says that it will.
  async look() {
    const records = this.records();
    const waits = records.some((record) => !SENT.has(record.state) && record.state !== "refused");
    by("finish-note").hidden = !this.asked;
    if (!this.asked || this.#sending) return;
    by("finish-text").textContent = say(waits ? "finish_waits" : "finish_sends");
    by("finish").setAttribute("aria-disabled", "true");
    if (waits) return;
    this.#sending = true;
    await this.#send(records.filter((record) => SENT.has(record.state)));
    this.#sending = false;
  }

  async #send(records) {
    for (;;) {
      try {
        const answer = await this.#post(records);
        if (answer.ok) return this.done(answer, records);
        if (answer.status < 500 && answer.code !== "custody/not-published" && answer.code !== "visits/unfinished") {
          return this.#refused(answer);
        }
      } catch {
        by("finish-text").textContent = say("finish_offline");
      }
      this.#failures += 1;
      await new Promise((resolve) => setTimeout(resolve, pauseAfter(this.#failures)));
    }
  }

  async #post(records) {
    const body = new FormData(this.form);
    body.delete("files");
    for (const record of records) body.append("upload", record.url);
    const response = await fetch(this.form.action, {
      method: "POST", body, headers: { Accept: "application/json" }, cache: "no-store",
    });
    return { status: response.status, ...(await response.json()) };
  }

  #refused(answer) {
    this.asked = false;
    by("finish").removeAttribute("aria-disabled");
    by("finish-note").hidden = true;
    by("problem-text").textContent = answer.error;
    by("problem").hidden = false;
    by("problem").focus();
  }
}
