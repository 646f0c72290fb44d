// Draws the queue: one note that says how things stand, one bar, one row a file. States come from the records alone, so
// that a reload, another tab and a new start all show the same. Announces changes of state at once, progress each 10 s.
import { by, count, element, say, size } from "./page.js";
import { SENT, isWaiting } from "./queue.js";

const SPEAK_MS = 10_000;
const OLD_MS = 24 * 3600 * 1000;
let spoken = { state: "", at: 0 };

export const full = (record) => record.size;
// A sealed copy is a little larger than the file; people count in what they chose.
const scaled = (record, octets) => (record.length ? Math.floor((octets * record.size) / record.length) : octets);
export const safeOf = (record) => (SENT.has(record.state) ? record.size : scaled(record, record.accepted ?? 0));
const sum = (records, of) => records.reduce((total, record) => total + of(record), 0);

// One word for the whole: what a person must know first goes first.
export function stateOf(records, sender, now = Date.now()) {
  const waiting = records.filter(isWaiting);
  if (!records.length) return "empty";
  if (!waiting.length) {
    if (records.some((record) => record.state === "refused")) return "refused";
    return records.some((record) => record.state === "differs") ? "differs" : "safe";
  }
  if (sender.paused) return "paused";
  // Said also without a signal: that nothing is lost would not be true.
  if (waiting.every((record) => record.lost)) return "lost";
  if (sender.moment.trouble === "offline" || !navigator.onLine) return now - waiting[0].added > OLD_MS ? "old" : "offline";
  if (sender.moment.trouble === "server") return "server";
  if (!waiting.some((record) => sender.mayGo(record))) return "wifi";
  if (waiting.every((record) => record.state === "checking")) return "checking";
  return "sending";
}

const LOOKS = {
  safe: "note-ok", differs: "note-warn", refused: "note-bad", offline: "note-warn", old: "note-warn", server: "note-warn",
  wifi: "note-warn", paused: "note-warn", lost: "note-warn",
};

export function draw(records, sender, rate, act) {
  const state = stateOf(records, sender);
  by("panel").hidden = state === "empty";
  by("pick").hidden = state !== "empty";
  if (state === "empty") return state;
  const values = { safe: size(sum(records, safeOf), Math.floor), all: size(sum(records, full)), n: count(records.length) };
  values.now = count(Math.min(records.length, records.filter((record) => SENT.has(record.state)).length + 1));
  const title = say(`${state}_title`, values);
  const text = [state === "server" && sender.moment.reason ? sender.moment.reason : say(`${state}_text`, values)];
  const left = state === "sending" ? timeLeft(records, rate) : "";
  if (left) text.push(left);
  if (state !== "safe" && records.some((record) => record.problem === "full" && !SENT.has(record.state))) text.push(say("full_text"));
  else if (records.some((record) => record.problem === "none" && !SENT.has(record.state))) text.push(say("keep_open"));

  by("state").className = `note ${LOOKS[state] ?? ""}`;
  by("state").dataset.state = state;
  put(by("state-title"), title);
  put(by("state-text"), text.join(" "));
  by("all").max = sum(records, full) || 1;
  by("all").value = sum(records, safeOf);
  by("pause").hidden = state !== "sending" && state !== "paused" && state !== "wifi";
  put(by("pause"), say(sender.paused ? "go_on" : "pause"));
  const mine = records.filter((record) => !record.other);
  by("receipt-now").hidden = mine.some(isWaiting) || !mine.some((record) => SENT.has(record.state));
  others(records.filter((record) => record.other));
  by("hurry").hidden = !["offline", "old", "server"].includes(state);
  rows(records, sender, act);
  announce(state, `${title} ${text.join(" ")}`);
  return state;
}

function others(records) {
  by("others").hidden = !records.length;
  put(by("others-text"), say("others_text", { n: count(records.length) }));
  by("others-finish").hidden = !records.some((record) => SENT.has(record.state)) || records.some(isWaiting);
}

function announce(state, words) {
  const now = performance.now();
  if (state === spoken.state && now - spoken.at < SPEAK_MS) return;
  spoken = { state, at: now };
  put(by("spoken"), words);
}

// Only a change is written: a screen reader and the browser's find-in-page see a calm page.
function put(where, words) {
  if (where.textContent !== words) where.textContent = words;
}

function timeLeft(records, rate) {
  const speed = rate.value;
  if (!speed) return "";
  const seconds = (sum(records, full) - sum(records, safeOf)) / speed;
  if (seconds < 60) return say("left_less");
  return seconds < 5400 ? say("left_minutes", { n: count(Math.round(seconds / 60)) }) : say("left_hours", { n: count(Math.round(seconds / 3600)) });
}

function rows(records, sender, act) {
  const list = by("rows");
  const there = new Map([...list.children].map((row) => [row.dataset.id, row]));
  for (const record of records) {
    const row = there.get(record.id) ?? list.appendChild(newRow(record, act));
    there.delete(record.id);
    fill(row, record, sender);
  }
  for (const row of there.values()) row.remove();
}

function newRow(record, act) {
  const button = element("button", { type: "button", className: "btn btn-quiet" }, say("remove"));
  button.setAttribute("aria-label", `${say("remove")}: ${record.name}`);
  button.addEventListener("click", () => act.remove(record.id));
  return element(
    "li",
    { className: "file", "data-id": record.id },
    element("span", { className: "name", dir: "auto" }, record.name),
    element("span", { className: "tag" }),
    element("progress", { "aria-label": record.name }),
    element("span", { className: "how" }, element("span", {}), button),
  );
}

const TAGS = {
  safe: "tag-ok", differs: "tag-warn", refused: "tag-bad", waiting: "tag-warn", lost: "tag-warn",
  sending: "tag-plain", next: "tag-plain", checking: "tag-plain",
};

function fill(row, record, sender) {
  const [, tag, bar, how] = row.children;
  const mark = markOf(record, sender);
  tag.className = `tag ${TAGS[mark]}`;
  put(tag, say(`tag_${mark}`));
  // Bars count what the archive has written, never what only left the phone.
  const done = safeOf(record);
  bar.hidden = SENT.has(record.state) || record.state === "refused" || !(done || sender.moment.sending === record.id);
  bar.max = record.size || 1;
  bar.value = done;
  const parts = {
    safe: () => `${size(record.size)} · ${say("row_same")}`,
    differs: () => say("row_differs"),
    refused: () => record.reason || say("row_refused"),
    lost: () => say("row_lost"),
  };
  put(how.firstChild, parts[mark]?.() ?? (done ? say("row_part", { safe: size(done, Math.floor), all: size(record.size) }) : size(record.size)));
  how.lastChild.hidden = SENT.has(record.state) || record.state === "checking";
}

function markOf(record, sender) {
  if (SENT.has(record.state) || record.state === "refused" || record.state === "checking") return record.state;
  if (record.lost) return "lost";
  if (sender.moment.trouble || !navigator.onLine || !sender.mayGo(record)) return "waiting";
  return sender.moment.sending === record.id ? "sending" : "next";
}
