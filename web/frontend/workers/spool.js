// Copies a chosen file into the private file system and digests it on the way, in steps, so that memory stays small.
// Where there is no private file system it digests only.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { forget } from "../drop/private.js";
import { STEP, openCopy, problemOf, write } from "./copy.js";

const dropped = new Set();
let line = Promise.resolve();

self.onmessage = ({ data }) => {
  if (data.drop) dropped.add(data.id);
  else line = line.then(() => spool(data));
};

async function spool({ id, file, copy }) {
  if (dropped.delete(id)) return;
  let access = null;
  let problem = copy ? null : "none";
  if (copy) {
    try {
      access = await openCopy(id);
    } catch (error) {
      problem = problemOf(error);
    }
  }
  const digest = sha256.create();
  try {
    for (let at = 0; at < file.size; at += STEP) {
      const piece = new Uint8Array(await file.slice(at, at + STEP).arrayBuffer());
      digest.update(piece);
      if (access) {
        try {
          write(access, piece, at);
        } catch (error) {
          problem = problemOf(error);
          access.close();
          access = null;
          await forget(id);
        }
      }
      if (dropped.delete(id)) {
        // The person took it back while it was copied: nothing of it stays on the phone.
        access?.close();
        return await forget(id);
      }
      self.postMessage({ id, done: Math.min(at + STEP, file.size) });
    }
  } catch {
    // The phone took the file away while it was read: moved, deleted, or its permission ended.
    access?.close();
    await forget(id);
    return self.postMessage({ id, end: true, unreadable: true });
  }
  access?.flush();
  access?.close();
  self.postMessage({ id, end: true, copied: Boolean(access), problem, sha256: bytesToHex(digest.digest()) });
}
