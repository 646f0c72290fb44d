// The queue: one record a file in IndexedDB, its copy in the private file system. It outlives the page and the browser.
// A record never holds an answer, a name of a person or a place; only what sending needs.
import { answerOf, forget, inQueue } from "./private.js";
import { createStore, del, get, set, setMany, update, values } from "idb-keyval";

const store = createStore("testigo-queue", "files");
const settings = createStore("testigo-settings", "settings");
const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("testigo-queue") : null;

// Records that the phone had no room to write down. They are sent like the others, and live as long as the page.
const held = new Map();

export const SENT = new Set(["safe", "differs"]);
export const isWaiting = (record) => !SENT.has(record.state) && record.state !== "refused";

// What a record says whose upload starts again from its first octet.
export const BEGUN_ANEW = { url: null, accepted: 0, told: false, namesTold: false };

export async function all() {
  const found = new Map((await values(store)).map((record) => [record.id, record]));
  for (const [id, record] of held) found.set(id, record);
  return [...found.values()].sort((a, b) => a.added - b.added || a.order - b.order);
}

// Writes new records down, all of them at once: for hundreds of photos a transaction each takes most of a minute.
export async function add(records) {
  try {
    await setMany(records.map((record) => [record.id, record]), store);
  } catch {
    for (const record of records) held.set(record.id, record);
  }
  tell();
}

// Merges in one transaction: the copier, the sender and the person change different fields of one record at once.
export async function change(id, fields) {
  const merged = (record) => record && { ...record, ...fields };
  if (!held.has(id)) {
    try {
      await update(id, merged, store);
      return tell();
    } catch {
      held.set(id, await get(id, store));
    }
  }
  held.set(id, merged(held.get(id)));
  tell();
}

export async function remove(id) {
  held.delete(id);
  await del(id, store);
  await forget(id);
  tell();
}

export const setting = (name) => get(name, settings);
// Says whether it is written down. Without room a choice holds for as long as the page, and the other tabs do not hear of it.
export async function setSetting(name, value) {
  try {
    await set(name, value, settings);
  } catch {
    return false;
  }
  tell();
  return true;
}

function tell() {
  channel?.postMessage("changed");
}

export function onOtherTab(listener) {
  channel?.addEventListener("message", listener);
}

// A name for a record; `crypto.randomUUID` is missing on pages without TLS.
export const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((octet) => octet.toString(16).padStart(2, "0")).join("");

// Which pages are alive, told by the lock that each holds for as long as it is. Only they still have the files that were
// chosen in them.
export const page = newId();
navigator.locks?.request(`testigo-page-${page}`, () => new Promise(() => {}));

export async function livePages() {
  const held = (await navigator.locks?.query())?.held ?? [];
  return new Set([page, ...held.map((lock) => lock.name.replace("testigo-page-", ""))]);
}

export async function copyOf(id) {
  return answerOf(await inQueue((queue) => queue.getFileHandle(id)), (handle) => handle.getFile());
}

// A copy whose record is gone was left by a browser that ended between the two.
export async function sweep() {
  try {
    const known = new Set((await all()).map((record) => record.id));
    await inQueue(async (queue) => {
      for await (const name of queue.keys()) if (!known.has(name)) await forget(name);
    });
  } catch {
    // Nothing to sweep where there is no private file system.
  }
}

export async function clearAll() {
  for (const record of await all()) await remove(record.id);
  await sweep();
}
