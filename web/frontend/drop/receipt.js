// The receipt page's script: what still waits, print, and taking everything of Testigo off this phone before the form asks
// the browser to. Files that were never sent go only once the person has read that they would be lost.
import { by } from "./page.js";
import { clearAll } from "./queue.js";
import { tellWaiting } from "./waiting.js";

by("print").addEventListener("click", () => print());
by("print").hidden = false;
tellWaiting().catch(() => {});

const clear = by("clear");
let warned = false;
clear.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!warned && (await tellWaiting().catch(() => 0))) {
    warned = true;
    by("clear-warning").hidden = false;
    by("clear-warning").focus();
    return;
  }
  try {
    await clearAll();
    for (const name of await caches.keys()) await caches.delete(name);
    for (const worker of await navigator.serviceWorker.getRegistrations()) await worker.unregister();
  } finally {
    clear.submit();
  }
});
