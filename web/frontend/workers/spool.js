// Copies a chosen file into the private file system and digests it on the way, in steps, so that memory stays small.
// Where there is no private file system it digests only.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

const STEP = 4 * 2 ** 20;
let line = Promise.resolve();

self.onmessage = ({ data }) => {
  line = line.then(() => spool(data));
};

async function openCopy(id) {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle("queue", { create: true });
  const handle = await folder.getFileHandle(id, { create: true });
  const access = await handle.createSyncAccessHandle();
  access.truncate(0);
  return access;
}

async function spool({ id, file, copy }) {
  let access = null;
  let problem = copy ? null : "none";
  if (copy) {
    try {
      access = await openCopy(id);
    } catch (error) {
      problem = isFull(error) ? "full" : "none";
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
          problem = isFull(error) ? "full" : "none";
          access.truncate(0);
          access.close();
          access = null;
        }
      }
      self.postMessage({ id, done: Math.min(at + STEP, file.size) });
    }
  } catch {
    // The phone took the file away while it was read: moved, deleted, or its permission ended.
    access?.close();
    self.postMessage({ id, unreadable: true });
    return;
  }
  access?.flush();
  access?.close();
  self.postMessage({ id, copied: Boolean(access), problem, sha256: bytesToHex(digest.digest()) });
}

function write(access, piece, at) {
  let written = 0;
  while (written < piece.length) {
    const now = access.write(piece.subarray(written), { at: at + written });
    if (now === 0) throw new DOMException("the disk is full", "QuotaExceededError");
    written += now;
  }
}

const isFull = (error) => error?.name === "QuotaExceededError";
