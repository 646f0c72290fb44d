// On pages without a queue of their own: files that still wait on this phone are named, with the way on.
import { by, count, say } from "./page.js";
import { all, isWaiting } from "./queue.js";

export async function tellWaiting() {
  const waiting = (await all()).filter(isWaiting);
  by("waiting").hidden = !waiting.length;
  by("waiting-text").textContent = say("files_wait", { n: count(waiting.length) });
  const link = by("waiting-link");
  if (link) link.href = `/d/${encodeURIComponent(waiting[0]?.code ?? "")}`;
  return waiting.length;
}
