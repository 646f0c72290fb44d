// The drop page's script: takes files into the queue, keeps the sender going, draws how things stand. The page is a plain
// form without it.
import { by, count, say, scriptURL } from "./page.js";
import * as queue from "./queue.js";
import { Answers } from "./answers.js";
import { canCarry, leave, takeOver } from "./carry.js";
import { Copier } from "./copier.js";
import { Rate, knowsWifi, onLineChange } from "./line.js";
import { Sender } from "./sender.js";
import { draw } from "./view.js";

const form = by("drop");
const { tus, code, spool, sealTo } = form.dataset;
let visit = form.elements.visit.value;
const AGAIN = "-"; // in place of a code: the visit that this browser came back to
const MOST_PROBLEMS = 5;
const TOGETHER = 50;
const SEALER_MS = 10_000;
const files = new Map();
const rate = new Rate();
let records = [];
let drawing = 0;

const copier = new Copier({ address: spool, recipients: sealTo?.split(" "), changed: kept, anew });
const sender = new Sender({ endpoint: tus, records: () => records, files, copier, rate, changed });
const answers = new Answers({ form, records: () => records, done: finished, complain });
let leaving = "";
let begun;

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
  records = (await queue.all()).map((record, at) => ({
    ...record,
    name: record.name ?? files.get(record.id)?.name ?? say(`kind_${record.kind}`, { n: count(at + 1) }),
    // Chosen, not copied in time, and the page that held it is gone: only choosing it again helps.
    lost: queue.isWaiting(record) && record.state !== "checking" && !record.copied && (record.unreadable || !live.has(record.page)),
    other: record.code !== code || record.visit !== visit,
  }));
}

async function kept(reload) {
  await changed(reload);
  sender.wake();
}

// The same file chosen once more is not sent once more; where it was lost or arrived changed, it is.
function isKnown({ name, size, lastModified }) {
  return records.some((record) => {
    const { name: known, modified } = files.has(record.id) ? described(files.get(record.id)) : record;
    const same = known === name && record.size === size && modified === lastModified;
    return same && !record.other && !record.lost && !["differs", "refused"].includes(record.state);
  });
}
const described = ({ name, lastModified }) => ({ name, modified: lastModified });

let order = 0;
async function take(chosen) {
  await begun;
  by("problem").hidden = true;
  const empty = chosen.filter((file) => !file.size);
  const known = chosen.filter((file) => file.size && isKnown(file));
  await takeAll(chosen.filter((file) => file.size && !known.includes(file)));
  await kept(true);
  by("state").scrollIntoView({ block: "nearest" });
  const problems = [...empty.map(({ name }) => say("empty_file", { name })), ...known.map(({ name }) => say("known_file", { name }))];
  if (problems.length) complain(problems.slice(0, MOST_PROBLEMS).join(" "));
  askToStay();
}

// Asks the browser to keep what waits, and to say when the signal is back. Where it does not, the page works as well.
async function askToStay() {
  navigator.storage?.persist?.();
  (await navigator.serviceWorker?.ready)?.sync?.register("send").catch(() => {});
}

// The first goes by itself, so that its first octets leave at once; the others some at a time, for hundreds of them.
async function takeAll(chosen) {
  for (let at = 0, some; (some = chosen.slice(at, at ? at + TOGETHER : 1)).length; at += some.length) {
    const taken = some.map((file) => ({ file, again: againOf(file) })).map((one) => ({ ...one, id: one.again?.id ?? queue.newId() }));
    for (const { file, id } of taken) files.set(id, file);
    for (const { again, id } of taken) if (again) await queue.change(id, { page: queue.page, unreadable: false });
    const fresh = taken.filter(({ again }) => !again);
    if (fresh.length) await queue.add(fresh.map(recordOf));
    records.length || (await kept(true));
    for (const { file, id } of taken) copier.take(id, file);
  }
}

// A record of a sealed copy holds no name; the exact size is what there is to know it by.
const againOf = (file) => records.find((record) => record.lost && record.size === file.size && (record.seal || record.name === file.name));

function recordOf({ file, id }) {
  const open = { name: file.name, type: file.type || "application/octet-stream", modified: file.lastModified };
  return {
    id, code, visit, ...(sealTo ? { seal: true } : open), kind: kindOf(file.type),
    size: file.size, state: "queued", added: Date.now(), order: (order += 1), page: queue.page,
  };
}

const kindOf = (type) => ["video", "image", "audio"].find((kind) => type.startsWith(`${kind}/`)) ?? "other";

// A copy that is sealed once more, or cannot be sealed, is another one: what was sent of the first is ended.
async function anew(id, fields) {
  const before = records.find((one) => one.id === id);
  await queue.change(id, { ...queue.BEGUN_ANEW, ...fields });
  await changed(true);
  sender.stop(id);
  if (before?.url) end(before);
}
const end = ({ url }) => fetch(url, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0" } }).catch(() => {});

// What was begun is taken back at the archive too: whoever chose the wrong picture means all of it.
async function remove(id) {
  const record = records.find((one) => one.id === id);
  records = records.filter((other) => other.id !== id);
  sender.stop(id);
  copier.drop(id);
  files.delete(id);
  await queue.remove(id);
  if (record?.url) end(record);
  await changed(true);
}

// Files whose own code ended go with this page's code, once the person says so.
async function rehome() {
  for (const record of records.filter(isStranded)) await queue.change(record.id, { ...queue.BEGUN_ANEW, code, visit, state: "queued" });
  await kept(true);
}
const isStranded = (record) => record.state === "refused" && record.code !== code;

function complain(words) {
  by("problem-text").textContent = words;
  by("problem").hidden = false;
  by("problem").focus();
}

async function finished(answer, sent) {
  leaving = "finished";
  for (const record of sent) await queue.remove(record.id);
  location.assign(answer.location);
}

function listen() {
  for (const input of document.querySelectorAll("input[type=file]")) {
    const took = () => {
      const chosen = [...input.files];
      // The queue has them; the form must not send them a second time, and the same file may be chosen again.
      input.value = "";
      if (chosen.length) take(chosen);
    };
    input.addEventListener("change", took);
    took(); // Whoever was quicker than this script.
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
    chosenHere += 1;
    sender.paused = !sender.paused;
    if (sender.paused) sender.stop();
    await keepChoice("paused", sender.paused);
    if (!sender.paused) sender.wake();
    changed();
  });
  by("rehome").addEventListener("click", rehome);
  by("hurry").addEventListener("click", () => sender.wake());
  by("wifi").addEventListener("change", async ({ target }) => {
    chosenHere += 1;
    sender.wifiOnly = target.checked;
    await keepChoice("wifi", target.checked);
    lineChanged();
  });
  onLineChange(lineChanged);
  queue.onOtherTab(async () => {
    await settle();
    await kept(true);
  });
  addEventListener("pageshow", () => kept(true));
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && kept(true));
  navigator.serviceWorker?.addEventListener("message", () => sender.wake());
  // Whoever leaves quickly is asked nothing, and nothing is carried on; another language is the same page.
  document.querySelector(".btn-exit").addEventListener("click", () => (leaving = "quickly"));
  document.querySelector(".langs").addEventListener("click", () => (leaving = canCarry() && "language"));
  addEventListener("beforeunload", (event) => {
    if (!leaving && uncopied().length) event.preventDefault();
  });
  addEventListener("pagehide", () => {
    if (!leaving || leaving === "language") leave({ code, answers: answers.written(), files: uncopied() });
  });
  setInterval(changed, 1000);
}

// Whoever saves mobile data must know when a reload would forget it.
async function keepChoice(name, value) {
  if (!(await queue.setSetting(name, value))) complain(say("choice_not_kept"));
}

const uncopied = () => [...files].filter(([id]) => records.some((record) => record.id === id && !record.copied && queue.isWaiting(record)));

async function goOnWith({ answers: written, files: chosen }) {
  answers.restore(written);
  const known = new Set((await queue.all()).map((record) => record.id));
  for (const [id, file] of chosen.filter(([id]) => known.has(id))) {
    files.set(id, file);
    await queue.change(id, { page: queue.page, unreadable: false });
    copier.take(id, file);
  }
}

function lineChanged() {
  const sending = records.find((record) => record.id === sender.moment.sending);
  if (sending && !sender.mayGo(sending)) sender.stop();
  if (!navigator.onLine) changed();
  else sender.wake();
  changed();
}

// What the person chose in one tab holds in all. What was read before a choice in this tab says nothing about it.
let chosenHere = 0;
async function settle() {
  const before = chosenHere;
  const paused = Boolean(await queue.setting("paused"));
  const wifiOnly = Boolean(await queue.setting("wifi"));
  if (before !== chosenHere) return;
  const pausedNow = paused && !sender.paused;
  Object.assign(sender, { paused, wifiOnly });
  if (pausedNow) sender.stop();
  by("wifi").checked = sender.wifiOnly;
}

async function begin() {
  await queue.sweep();
  // A sending that was begun goes on as the same one, also where its cookie has ended since.
  const earlier = (await queue.all()).find((record) => record.code === code && code !== AGAIN);
  if (earlier) visit = form.elements.visit.value = earlier.visit;
  await settle();
  const carried = await takeOver(code);
  if (carried) await goOnWith(carried);
}

async function start() {
  by("wifi-choice").hidden = !knowsWifi();
  begun = begin();
  listen(); // before anything is waited for: a choice made now must not be missed
  await begun;
  await changed(true);
  sender.wake();
  setTimeout(fetchAhead, sealTo ? SEALER_MS : 0);
}

// The script that copies, before it is needed: a signal that goes between opening the page and choosing must not cost the
// copy. The sealing one is larger than the page: it comes when the page has been looked at for a while, or a file is chosen.
function fetchAhead() {
  copier.ready();
  if (sealTo) globalThis.caches?.open("testigo-files").then(async (kept) => (await kept.match(spool)) || kept.add(spool)).catch(() => {});
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
