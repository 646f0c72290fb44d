// On pages without a queue of their own: files that are on this phone and not sent are named, with the way on.
import { by, count, say } from "./page.js";
import { SENT, all, isWaiting } from "./queue.js";

// What a link that has ended refused is among them: it goes under another code, and is lost where the phone is cleared.
export async function tellWaiting() {
  const unsent = (await all()).filter((record) => !SENT.has(record.state));
  by("waiting").hidden = !unsent.length;
  by("waiting-text").textContent = say("files_wait", { n: count(unsent.length) });
  const link = by("waiting-link");
  if (link) link.href = `/d/${encodeURIComponent((unsent.find(isWaiting) ?? unsent[0])?.code ?? "")}`;
  return unsent.length;
}
