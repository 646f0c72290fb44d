// What both copying workers share: the copy in the private file system, its text as octets, and how a full disk looks.
export const STEP = 4 * 2 ** 20;

export async function folder() {
  return (await navigator.storage.getDirectory()).getDirectoryHandle("queue", { create: true });
}

export async function openCopy(id) {
  const handle = await (await folder()).getFileHandle(id, { create: true });
  const access = await handle.createSyncAccessHandle();
  access.truncate(0);
  return access;
}

export async function forget(id) {
  try {
    await (await folder()).removeEntry(id);
  } catch {
    // There was no copy.
  }
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
