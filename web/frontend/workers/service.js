// The service worker: the pages that an observer needs open without a signal, and the queue is told when it is back.
// It stores no receipt, no answer and no evidence: only public pages, style and scripts.
/* global SHELL */
const PAGES = "testigo-pages";
const FILES = "testigo-files";
const KEPT = /^\/(d(\/[A-Za-z0-9]+)?|check|safety|help\/iphone)$/;
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
    if (response?.ok && !response.redirected) await kept.put(pathname, response);
  }
}

async function tidy() {
  const files = await caches.open(FILES);
  for (const request of await files.keys()) {
    if (!SHELL.includes(new URL(request.url).pathname)) await files.delete(request);
  }
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate" && KEPT.test(url.pathname)) event.respondWith(page(request, url));
  else if (url.pathname.startsWith("/static/")) event.respondWith(file(request));
});

// The server's page where there is a signal; the kept one at once where there is none, or soon where it is too weak.
async function page(request, url) {
  const kept = await caches.open(PAGES);
  const fetched = fetch(request).then(async (response) => {
    if (response.ok && !response.redirected) await kept.put(url.pathname, response.clone());
    return response;
  });
  const found = await kept.match(url.pathname);
  if (!found) return fetched;
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, found));
  return Promise.race([fetched.catch(() => found), late]);
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
