// Copies a chosen file into the private file system sealed to the archive's key, so that whoever takes the phone finds a
// size and a time and nothing else. What is sent is the sealed file; digests are made of both.
import { Encrypter } from "age-encryption";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

let line = Promise.resolve();

self.onmessage = ({ data }) => {
  line = line.then(() => seal(data));
};

async function seal({ id, file, recipients }) {
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle("queue", { create: true });
    const access = await (await folder.getFileHandle(id, { create: true })).createSyncAccessHandle();
    access.truncate(0);
    try {
      self.postMessage(await write(id, file, recipients, access));
    } finally {
      access.close();
    }
  } catch (error) {
    self.postMessage({ id, copied: false, problem: error?.name === "QuotaExceededError" ? "full" : "none" });
  }
}

async function write(id, file, recipients, access) {
  const plain = sha256.create();
  const sealed = sha256.create();
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  let read = 0;
  const counted = new TransformStream({
    transform(piece, controller) {
      plain.update(piece);
      read += piece.length;
      controller.enqueue(piece);
    },
  });
  const reader = (await encrypter.encrypt(file.stream().pipeThrough(counted))).getReader();
  let at = 0;
  let told = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    sealed.update(value);
    if (access.write(value, { at }) !== value.length) throw new DOMException("the disk is full", "QuotaExceededError");
    at += value.length;
    if (read - told > 4 * 2 ** 20) self.postMessage({ id, done: (told = read) });
  }
  access.flush();
  return { id, copied: true, sealed: true, problem: null, sealedSize: at, sha256: bytesToHex(sealed.digest()), plainSha256: bytesToHex(plain.digest()) };
}
