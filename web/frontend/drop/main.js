// The drop page's script: takes files into the queue, keeps the sender going, draws how things stand. The page is a plain
// form without it.
import { by, say, scriptURL } from "./page.js";
import * as queue from "./queue.js";
import { Answers } from "./answers.js";
import { Copier } from "./copier.js";
import { Rate, knowsWifi, onLineChange } from "./line.js";
import { Sender } from "./sender.js";
import { draw } from "./view.js";

const form = by("drop");
const { tus, code, spool } = form.dataset;
const visit = form.elements.visit.value;
const files = new Map();
const rate = new Rate();
let records = [];
let drawing = 0;

const sender = new Sender({ endpoint: tus, records: () => records, files, rate, changed });
const copier = new Copier({ address: spool, changed: kept });
const answers = new Answers({ form, records: () => records, done: finished });

async function changed(reload = false) {
  if (reload) await read();
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    draw(records, sender, rate, { remove });
    by("rehome").hidden = !records.some(isStranded);
    answers.look();
  });
}

async function read() {
  const live = await queue.livePages();
  records = (await queue.all()).map((record) => ({
    ...record,
    // Chosen, not copied in time, and the page that held it is gone: only choosing it again helps.
    lost: !record.copied && !live.has(record.page) && !queue.SENT.has(record.state) && record.state !== "checking",
  }));
}

async function kept(reload) {
  await changed(reload);
  sender.wake();
}

let order = 0;
async function take(chosen) {
  by("problem").hidden = true;
  for (const file of chosen) {
    if (file.size) await takeOne(file);
    else complain(say("empty_file", { name: file.name }));
  }
  by("state").scrollIntoView({ block: "nearest" });
  navigator.storage?.persist?.();
  (await navigator.serviceWorker?.ready)?.sync?.register("send").catch(() => {});
}

async function takeOne(file) {
  const again = records.find((record) => record.lost && record.name === file.name && record.size === file.size);
  const id = again?.id ?? queue.newId();
  files.set(id, file);
  if (again) await queue.change(id, { page: queue.page, unreadable: false });
  else {
    await queue.add({
      id, code, visit, name: file.name, type: file.type || "application/octet-stream", modified: file.lastModified,
      size: file.size, state: "queued", added: Date.now(), order: (order += 1), page: queue.page,
    });
  }
  await kept(true);
  copier.take(id, file);
}

// What was begun is taken back at the archive too: whoever chose the wrong picture means all of it.
async function remove(id) {
  const record = records.find((other) => other.id === id);
  records = records.filter((other) => other.id !== id);
  sender.stop(id);
  files.delete(id);
  await queue.remove(id);
  if (record?.url) fetch(record.url, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0" } }).catch(() => {});
  await changed(true);
}

// Files whose own code ended go with this page's code, once the person says so.
async function rehome() {
  for (const record of records.filter(isStranded)) await queue.change(record.id, { code, visit, url: null, accepted: 0, told: false, state: "queued" });
  await kept(true);
}
const isStranded = (record) => record.state === "refused" && record.code !== code;

function complain(words) {
  by("problem-text").textContent = words;
  by("problem").hidden = false;
  by("problem").focus();
}

async function finished(answer, sent) {
  for (const record of sent) await queue.remove(record.id);
  location.assign(answer.location);
}

function listen() {
  for (const input of document.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", async () => {
      const chosen = [...input.files];
      // The queue has them now; the form must not send them a second time.
      await take(chosen);
      input.value = "";
    });
  }
  for (const name of ["dragover", "dragleave", "drop"]) {
    addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      by("pick").classList.toggle("over", name === "dragover");
      if (name === "drop") take([...event.dataTransfer.files]);
    });
  }
  by("pause").addEventListener("click", async () => {
    sender.paused = !sender.paused;
    await queue.setSetting("paused", sender.paused);
    if (sender.paused) sender.stop();
    else sender.wake();
    changed();
  });
  by("rehome").addEventListener("click", rehome);
  by("hurry").addEventListener("click", () => sender.wake());
  by("wifi").addEventListener("change", async ({ target }) => {
    sender.wifiOnly = target.checked;
    await queue.setSetting("wifi", target.checked);
    lineChanged();
  });
  onLineChange(lineChanged);
  queue.onOtherTab(() => kept(true));
  addEventListener("pageshow", () => kept(true));
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && kept(true));
  navigator.serviceWorker?.addEventListener("message", () => sender.wake());
  addEventListener("beforeunload", (event) => {
    if (records.some((record) => files.has(record.id) && !record.copied && !queue.SENT.has(record.state))) event.preventDefault();
  });
  setInterval(changed, 1000);
}

function lineChanged() {
  const sending = records.find((record) => record.id === sender.moment.sending);
  if (sending && !sender.mayGo(sending)) sender.stop();
  if (!navigator.onLine) changed();
  else sender.wake();
  changed();
}

async function start() {
  sender.paused = Boolean(await queue.setting("paused"));
  sender.wifiOnly = Boolean(await queue.setting("wifi"));
  by("wifi").checked = sender.wifiOnly;
  by("wifi-choice").hidden = !knowsWifi();
  listen();
  await changed(true);
  sender.wake();
  await queue.sweep();
}

function tooOld() {
  document.documentElement.classList.add("plain");
  by("old").hidden = false;
}

if ("indexedDB" in globalThis && "Worker" in globalThis) {
  start().catch(tooOld);
  navigator.serviceWorker?.register(scriptURL("/sw.js")).catch(() => {});
} else {
  tooOld();
}
