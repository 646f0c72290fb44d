// The service worker: the pages that an observer needs open without a signal, and the queue is told when it is back.
// It stores no receipt, no answer and no evidence: only public pages, style and scripts.
/* global SHELL */
const PAGES = "testigo-pages";
const FILES = "testigo-files";
const KEPT = /^\/(d(\/[A-Za-z0-9]+)?|check|safety|help\/iphone)$/;
const WISH = "/?wish"; // which language this phone was answered in last, or asked for
const PATIENCE = 2500;
const HELD_MS = 15_000;

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      await (await caches.open(FILES)).addAll(SHELL);
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      await self.clients.claim();
      await forgetUnnamed();
      await keepOpenPages();
      // A page that was open before this version still needs its own scripts; they go when no page is open.
      if (!(await self.clients.matchAll()).length) await tidy();
    })(),
  );
});

// The page that brought this worker came before it; it must open without a signal as well.
async function keepOpenPages() {
  const kept = await caches.open(PAGES);
  for (const { url } of await self.clients.matchAll()) {
    const { pathname } = new URL(url);
    if (!KEPT.test(pathname)) continue;
    const response = await fetch(pathname).catch(() => null);
    if (!response) continue;
    const page = response.clone();
    if (await keep(pathname, response)) await Promise.all((await namedIn(page)).map((name) => file(new Request(name)).catch(() => {})));
  }
}

// One page a language: what was kept in one never answers for another. Only the answer says which it is in.
const keyOf = (path, language) => `${path}?lang=${encodeURIComponent(language)}`;

async function keep(path, response) {
  const language = response.headers.get("Content-Language");
  if (!response.ok || response.redirected || !language) return false;
  await (await caches.open(PAGES)).put(keyOf(path, language), response);
  await wish(language);
  return true;
}

const wish = async (language) => (await caches.open(PAGES)).put(WISH, new Response(language));
const wished = async () => (await (await caches.open(PAGES)).match(WISH))?.text();

// Pages that an earlier version kept without their language.
async function forgetUnnamed() {
  const kept = await caches.open(PAGES);
  for (const request of await kept.keys()) if (!new URL(request.url).search) await kept.delete(request);
}

// The style and the script without which a kept page is half of one.
const namedIn = async (page) => [...(await page.text()).matchAll(/(?:module" src|stylesheet" href)="(\/static\/[^"]+)"/g)].map(([, name]) => name);

async function tidy() {
  const files = await caches.open(FILES);
  const pages = await caches.open(PAGES);
  const named = await Promise.all((await pages.keys()).map(async (request) => namedIn(await pages.match(request))));
  const needed = new Set([...SHELL, ...named.flat()]);
  for (const request of await files.keys()) {
    if (!needed.has(new URL(request.url).pathname)) await files.delete(request);
  }
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate" && KEPT.test(url.pathname)) event.respondWith(page(event, url));
  else if (url.pathname.startsWith("/static/")) event.respondWith(file(request));
});

// The server's page where there is a signal; the kept one at once where there is none, or soon where it is too weak. In
// the language that is wanted: another one only where there is no signal at all, and then the page says so.
async function page(event, { pathname, searchParams }) {
  const fetched = fetch(event.request).then(async (response) => {
    await keep(pathname, response.clone());
    return response;
  });
  event.waitUntil(fetched.catch(() => {}));
  const asked = searchParams.get("lang");
  const wanted = asked ?? (await wished());
  const kept = await caches.open(PAGES);
  const found = wanted && (await kept.match(keyOf(pathname, wanted)));
  if (found) {
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, found));
    return Promise.race([fetched.catch(() => found), late]);
  }
  try {
    return await fetched;
  } catch (error) {
    const other = (await kept.keys()).find((request) => new URL(request.url).pathname === pathname);
    if (!other) throw error;
    return notIn(wanted, await kept.match(other));
  }
}

// A kept page, with the sentence that it brought along for whoever wants another language.
async function notIn(wanted, response) {
  const html = await response.text();
  const [, words] = (/^[\w-]+$/.test(wanted) && new RegExp(` lang="${wanted}"[^>]* data-away="([^"]*)"`).exec(html)) || [];
  const note = words ? `<div class="note note-warn" role="status" lang="${wanted}"><p>${words}</p></div>` : "";
  const headers = new Headers(response.headers);
  for (const name of ["Content-Encoding", "Content-Length"]) headers.delete(name);
  return new Response(html.replace(/<main [^>]*>/, (main) => main + note), { headers });
}

async function file(request) {
  const kept = await caches.open(FILES);
  const found = await kept.match(request, { ignoreVary: true });
  if (found) return found;
  const response = await fetch(request);
  if (response.ok) await kept.put(request, response.clone());
  return response;
}

// What a page held when it was left, for the page of the same code that comes within seconds. In memory alone.
let left = null;
self.addEventListener("message", (event) => {
  const { leave, take } = event.data;
  if (leave) {
    const held = (left = leave);
    event.waitUntil(
      new Promise((resolve) => setTimeout(resolve, HELD_MS)).then(() => {
        if (left === held) left = null;
      }),
    );
  } else if (take) {
    event.ports[0].postMessage(left?.code === take ? left : null);
    left = null;
  }
});

// Only Chromium sends this; elsewhere the page wakes by itself when it is looked at.
self.addEventListener("sync", (event) => {
  event.waitUntil(
    (async () => {
      for (const client of await self.clients.matchAll()) client.postMessage("wake");
    })(),
  );
});
