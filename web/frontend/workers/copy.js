// What both copying workers share: the copy in the private file system, its text as octets, and how a full disk looks.
import { answerOf, inQueue } from "../drop/private.js";

export const STEP = 4 * 2 ** 20;
const OPEN_MS = 15_000;

// A browser that gives no answer keeps no file from going: it goes without a copy then.
export async function openCopy(id) {
  const late = new Promise((_, reject) => setTimeout(reject, OPEN_MS, new Error("no answer")));
  const access = await Promise.race([accessTo(id), late]);
  access.truncate(0);
  return access;
}

async function accessTo(id) {
  const handle = await inQueue((queue) => queue.getFileHandle(id, { create: true }));
  return answerOf(handle, () => handle.createSyncAccessHandle());
}

export function write(access, piece, at) {
  let written = 0;
  while (written < piece.length) {
    const now = access.write(piece.subarray(written), { at: at + written });
    // A full disk is told by an exception, by nothing written, and by some browsers as a count beyond what was given.
    if (now === 0 || now > piece.length - written) throw new DOMException("the disk is full", "QuotaExceededError");
    written += now;
  }
}

export const problemOf = (error) => (error?.name === "QuotaExceededError" ? "full" : "none");
