// The browser's private file system, where the copies of what waits lie.

// Chromium 150 gives no answer, now and then, where the handle that was asked is garbage by then: one copy in forty was
// never begun. So a handle is held until its answer is here.
const asked = new Set();

export async function answerOf(handle, ask) {
  asked.add(handle);
  try {
    return await ask(handle);
  } finally {
    asked.delete(handle);
  }
}

export async function inQueue(ask) {
  const root = await navigator.storage.getDirectory();
  return answerOf(await answerOf(root, () => root.getDirectoryHandle("queue", { create: true })), ask);
}

export async function forget(id) {
  try {
    await inQueue((queue) => queue.removeEntry(id));
  } catch {
    // There is none where the browser has no private file system, or the copy was never begun.
  }
}
