// The receipt page's script: print, save, and take everything of Testigo off this phone before the form asks the browser to.
import { by } from "./page.js";
import { clearAll } from "./queue.js";

by("print")?.addEventListener("click", () => print());
if (by("print")) by("print").hidden = false;

const clear = by("clear");
clear?.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await clearAll();
    for (const name of await caches.keys()) await caches.delete(name);
    for (const worker of await navigator.serviceWorker.getRegistrations()) await worker.unregister();
  } finally {
    clear.submit();
  }
});
