// Where a file's octets come from: the file as it was chosen, or its copy on the phone. A sealed copy is sent as it is,
// also while it still grows; its length is known before it is whole.
import { copyOf } from "./queue.js";

export const isSealed = (record) => Boolean(record.seal && record.length);

export async function sourceOf(record, { file, copier, latest, hear }) {
  if (!isSealed(record)) return file ?? (await copyOf(record.id));
  const slice = async (from, to) => {
    const end = Math.min(to, record.length);
    const heard = setInterval(hear, 500); // waiting for the phone itself is not a lost signal
    try {
      const grown = latest()?.copied ? null : await copier.read(record.id, from, end);
      const value = grown ? new Blob([grown]) : await whole(record, from, end);
      return { value, size: value.size, done: end >= record.length };
    } finally {
      clearInterval(heard);
    }
  };
  return { size: record.length, slice, close() {} };
}

async function whole(record, from, end) {
  const copy = await copyOf(record.id);
  if (copy.size !== record.length) throw new Error("the copy is not whole");
  return copy.slice(from, end);
}

// A file that the phone took away looks like a lost signal to a request; whoever reads it finds out.
export async function canRead(record, file) {
  if (isSealed(record) && !record.copied) return !record.unreadable;
  try {
    const source = (!isSealed(record) && file) || (await copyOf(record.id));
    await source.slice(Math.max(0, source.size - 1)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

// What the archive is told when an upload begins. Of a sealed file neither name nor kind: they follow sealed.
export function metadataOf(record, file) {
  const { code, visit, sha256 } = record;
  if (isSealed(record)) return { code, visit, sealed: "1", plain_size: String(record.size) };
  const { name, type, modified } = record.seal ? { name: file.name, type: file.type, modified: file.lastModified } : record;
  const metadata = { code, visit, filename: name, filetype: type, last_modified: String(modified) };
  if (sha256) metadata.sha256 = sha256;
  return metadata;
}

// What follows: sealed names at once, the digest as soon as it is known. Each with the field that says that it was told.
export function wordsOf(record) {
  const words = [];
  if (isSealed(record) && !record.namesTold) words.push([{ sealed: record.names }, "namesTold"]);
  if (!record.told && record.digest) words.push([{ sealed: record.digest }, "told"]);
  else if (!record.told && record.sha256) words.push([{ sha256: record.sha256 }, "told"]);
  return words;
}
export const knowsDigest = (record) => Boolean(record.sha256 || record.digest);
