// Sends the queue, one file at a time, until the archive says of each that it is the same on its side. It retries for ever.
// One tab of a browser sends; the server itself retires an older request when a newer one comes for the same upload.
import { newUpload } from "./tus.js";
import { BEGUN_ANEW, SENT, change, isWaiting } from "./queue.js";
import { forget } from "./private.js";
import { withLock } from "./alone.js";
import { canRead, isSealed, knowsDigest, metadataOf, sourceOf, wordsOf } from "./source.js";
import { knowsWifi, onWifi, pauseAfter } from "./line.js";

const MIB = 2 ** 20;
const LARGEST_CHUNK = 5 * MIB;
const SMALLEST_CHUNK = MIB / 4;
const CHUNK_SECONDS = 5;
const SILENCE_MS = 2500; // no octet left and none came: a lost signal does not always say so
const HOPELESS_MS = 20_000;
const ANSWER_MS = 180_000;
const FIRST_LOOK_MS = 50;
const LAST_LOOK_MS = 700;
const REFUSALS = new Set([400, 403, 404, 413, 422]);

export class Sender {
  // What the page shows of the moment, beside the records.
  moment = { sending: null, sent: 0, trouble: null, reason: "", failures: 0 };
  paused = false;
  wifiOnly = false;
  #going = null;
  #wake = () => {};
  #largest = LARGEST_CHUNK;
  #chunk = MIB;
  #running = false;

  constructor({ endpoint, records, files, copier, rate, changed }) {
    Object.assign(this, { endpoint, records, files, copier, rate, changed });
  }

  // Something is new: a file, a signal, a choice. Whoever waits looks again at once.
  wake() {
    this.moment.failures = Math.min(this.moment.failures, 1);
    this.#wake();
    if (!this.#running) this.#run();
  }

  stop(id) {
    if (!id || this.moment.sending === id) this.#going?.stop();
    this.#wake();
  }

  mayGo(record) {
    return !this.paused && !(this.wifiOnly && knowsWifi() && !onWifi() && record.kind === "video");
  }

  #next() {
    return this.records().find(
      (record) => isWaiting(record) && this.mayGo(record) && this.#hasSource(record),
    );
  }

  #hasSource(record) {
    if (record.copied || record.state === "checking") return true;
    if (!this.files.has(record.id) || record.unreadable) return false;
    return !record.seal || record.length === null || (isSealed(record) && this.copier.isTaking(record.id));
  }

  async #run() {
    this.#running = true;
    try {
      await withLock(
        async () => {
          for (let record; (record = this.#next()); ) await this.#deliver(record);
        },
        () => this.stop(),
      );
    } finally {
      this.#running = false;
      this.moment.sending = null;
      this.changed();
    }
    if (this.#next()) this.#run();
  }

  async #deliver(record) {
    this.moment = { ...this.moment, sending: record.id, sent: record.accepted ?? 0 };
    this.rate.restart();
    const latest = () => this.records().find((other) => other.id === record.id);
    while (latest() && this.mayGo(record)) {
      try {
        if (latest().state !== "checking") await this.#send(latest());
        if (latest()) await this.#learn(latest());
        this.moment.trouble = null;
        this.moment.failures = 0;
        return;
      } catch (error) {
        if (error === STOPPED) return;
        if (await this.#cannotGoOn(latest(), error)) {
          Object.assign(this.moment, { trouble: null, failures: 0 }); // the trouble was this file's
          return;
        }
        await this.#rest();
      }
    }
  }

  async #rest() {
    this.changed();
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, pauseAfter(Math.max(1, this.moment.failures)));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }

  // Says what an error means. True where this file cannot go on by itself.
  async #cannotGoOn(record, error) {
    const response = error.originalResponse;
    const status = response?.getStatus() ?? 0;
    if (!record) return true;
    if (status === 413 && record.url && this.#chunk > SMALLEST_CHUNK) {
      // A proxy on the way takes no request of this size.
      this.#largest = this.#chunk = Math.max(SMALLEST_CHUNK, this.#chunk / 2);
      return false;
    }
    if (record.url && (status === 404 || status === 410)) {
      await change(record.id, BEGUN_ANEW);
      await this.changed(true);
      return false;
    }
    if (!record.url && REFUSALS.has(status)) {
      await change(record.id, { state: "refused", reason: reasonOf(response) });
      await this.changed(true);
      return true;
    }
    if (status === 0 && !(await this.#canRead(record))) {
      await this.changed(true);
      return !(this.records().find((other) => other.id === record.id)?.copied);
    }
    this.moment.failures += 1;
    this.moment.trouble = status === 0 ? "offline" : status === 409 || status === 423 ? this.moment.trouble : "server";
    this.moment.reason = status === 507 ? reasonOf(response) : "";
    return false;
  }

  // Where the file is gone the copy goes on; where there is none, the person is asked for it.
  async #canRead(record) {
    const chosen = this.files.get(record.id);
    if (await canRead(record, chosen)) return true;
    this.files.delete(record.id);
    await change(record.id, chosen ? { unreadable: true } : { unreadable: true, copied: false });
    return false;
  }

  async #send(record) {
    const latest = () => this.records().find((other) => other.id === record.id);
    const file = this.files.get(record.id);
    // A stop counts from here on, also while nothing is under way yet: nobody would say it a second time.
    const going = (this.#going = { stopped: false, stop: () => (going.stopped = true) });
    let heard = performance.now();
    const hear = () => (heard = performance.now());
    const body = await sourceOf(record, { file, copier: this.copier, latest, hear });
    if (going.stopped) throw STOPPED;
    await new Promise((resolve, reject) => {
      const settle = (how) => (value) => {
        clearInterval(watch);
        how(value);
      };
      const watch = setInterval(() => {
        const silent = performance.now() - heard;
        // All has left and the archive reads it back: that takes as long as it takes.
        const patience = this.moment.sent >= body.size ? ANSWER_MS : HOPELESS_MS;
        if (silent > patience || (silent > SILENCE_MS && !navigator.onLine)) {
          going.stopped = true;
          upload.abort();
          settle(reject)(new Error("no signal"));
        } else if (silent > SILENCE_MS && patience === HOPELESS_MS && this.moment.trouble === null) {
          this.moment.trouble = "offline";
          this.changed();
        }
      }, 500);
      const upload = newUpload(body, {
        // With an address of its own an upload is never begun anew behind our back.
        endpoint: record.url ? null : this.endpoint,
        uploadUrl: record.url ?? null,
        chunkSize: this.#chunk,
        retryDelays: null,
        storeFingerprintForResuming: false,
        metadata: metadataOf(record, file),
        onBeforeRequest: async (request) => {
          if (!going.stopped) await this.#tellDigest(request, { record, upload, hear, going });
          if (going.stopped) throw STOPPED; // aborting ends what runs, not what is about to
        },
        onUploadUrlAvailable: async () => {
          if (latest()?.length !== record.length) return; // another copy took its place meanwhile
          await change(record.id, { url: upload.url, state: "sending", told: record.told || Boolean(record.sha256) });
          await this.changed(true);
        },
        onProgress: (sent) => {
          hear();
          this.moment.sent = sent;
          if (this.moment.trouble) Object.assign(this.moment, { trouble: null, failures: 0 });
          this.changed();
        },
        onChunkComplete: (_, accepted) => {
          hear();
          this.#accepted(record, accepted);
          upload.options.chunkSize = this.#chunk;
        },
        onError: settle(reject),
        onSuccess: settle(resolve),
      });
      going.stop = () => {
        going.stopped = true;
        upload.abort().finally(() => settle(reject)(STOPPED));
      };
      upload.start();
    });
    await change(record.id, { state: "checking", accepted: body.size });
    await this.changed(true);
  }

  // A chunk is about as much as goes out in a few seconds: enough for a steady count of what is safe, little lost with it.
  #accepted(record, accepted) {
    this.rate.add(accepted);
    const wanted = (this.rate.value ?? 0) * CHUNK_SECONDS;
    if (wanted) this.#chunk = Math.round(Math.min(this.#largest, Math.max(SMALLEST_CHUNK, wanted)));
    this.moment.failures = 0;
    change(record.id, { accepted }).then(() => this.changed(true));
  }

  // The phone's own digest goes to the archive as soon as it is known, and in any case before the last octet does.
  async #tellDigest(request, { record, upload, hear, going }) {
    if (request.getMethod() !== "PATCH") return;
    const from = Number(request.getHeader("Upload-Offset"));
    if (from) this.#accepted(record, from);
    const last = from + this.#chunk >= (record.length || record.size);
    const known = () => this.records().find((other) => other.id === record.id);
    while (last && !going.stopped && known() && !knowsDigest(known()) && !known().unreadable) {
      hear();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    for (const [words, field] of known() ? wordsOf(known()) : []) await this.#tell(record, upload, words, field);
  }

  async #tell(record, upload, words, field) {
    const response = await fetch(`${upload.url}/digest`, {
      method: "POST",
      headers: { "Tus-Resumable": "1.0.0", "Content-Type": "application/json" },
      body: JSON.stringify(words),
    });
    // Sealed words that the archive cannot open are no reason to hold a file back.
    const taken = response.ok || (response.status === 422 && words.sealed);
    if (!taken) throw Object.assign(new Error("not told"), { originalResponse: { getStatus: () => response.status } });
    await change(record.id, { [field]: true });
    await this.changed(true);
  }

  // Only the archive's own word makes a file safe.
  async #learn(record) {
    // A photo is in at once, a long film takes a while: whoever sends three hundred photos must not wait a moment for each.
    for (let pause = FIRST_LOOK_MS; ; pause = Math.min(LAST_LOOK_MS, pause * 2)) {
      const response = await fetch(record.url, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (!response.ok) {
        if (response.status === 404 || response.status === 410) await change(record.id, { state: "sending" });
        throw Object.assign(new Error("no answer"), { originalResponse: { getStatus: () => response.status } });
      }
      const { state, error } = await response.json();
      if (state === "refused") {
        await change(record.id, { state, reason: error });
        await this.changed(true);
        return;
      }
      // Part of what was acknowledged got lost there: the copy on this phone goes once more, from its start.
      if (state === "incomplete") throw Object.assign(new Error("lost"), { originalResponse: { getStatus: () => 410 } });
      if (SENT.has(state)) {
        await change(record.id, { state, accepted: record.length || record.size });
        await forget(record.id);
        this.files.delete(record.id);
        await this.changed(true);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

const STOPPED = new Error("stopped by the person");

function reasonOf(response) {
  try {
    return JSON.parse(response.getBody()).error ?? "";
  } catch {
    return "";
  }
}
