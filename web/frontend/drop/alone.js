// Which tab of a browser sends: one at a time.
import { setSetting, setting } from "./queue.js";

const BEAT_MS = 3000;

// A frozen tab may hold the lock and do nothing: once its sign of life is old, the
// page that is looked at takes over, and the server retires the frozen one's requests.
export async function withLock(work, stolen) {
  if (!navigator.locks) return work();
  const held = async () => {
    const beat = setInterval(() => setSetting("beat", Date.now()), BEAT_MS);
    await setSetting("beat", Date.now());
    try {
      return await work();
    } finally {
      clearInterval(beat);
    }
  };
  for (;;) {
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), 3 * BEAT_MS);
    const begin = () => (clearTimeout(timer), held());
    try {
      return await navigator.locks.request("testigo-sender", { signal: patience.signal }, begin);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
      if (!patience.signal.aborted) return stolen();
      const frozen = Date.now() - ((await setting("beat")) ?? 0) > 4 * BEAT_MS;
      if (!frozen || document.visibilityState !== "visible") continue;
      return navigator.locks.request("testigo-sender", { steal: true }, held).catch(stolen);
    }
  }
}
