// The service worker: the pages that an observer needs open without a signal, and the queue is told when it is back.
// It keeps no receipt, no answer and no evidence: only public pages, style and scripts.
/* global SHELL */
const PAGES = "testigo-pages";
const FILES = "testigo-files";
const KEPT = /^\/(d(\/[A-Za-z0-9]+)?|check|safety|help\/iphone)$/;
const PATIENCE = 2500;

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
      const files = await caches.open(FILES);
      for (const request of await files.keys()) {
        if (!SHELL.includes(new URL(request.url).pathname)) await files.delete(request);
      }
      await self.clients.claim();
    })(),
  );
});

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

// Only Chromium sends this; elsewhere the page wakes by itself when it is looked at.
self.addEventListener("sync", (event) => {
  event.waitUntil(
    (async () => {
      for (const client of await self.clients.matchAll()) client.postMessage("wake");
    })(),
  );
});
