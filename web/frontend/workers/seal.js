// Seals a chosen file to the archive while it copies it into the private file system: what waits on the phone is an age
// file that the phone itself cannot open. Digest and names are sealed too. The copy is what is sent, also while it grows:
// the page asks for its octets here until the copy is whole.
import { Encrypter } from "age-encryption";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { forget } from "../drop/private.js";
import { STEP, openCopy, problemOf, write } from "./copy.js";

const WRITTEN_AT_ONCE = 2 ** 20;
const dropped = new Set();
let line = Promise.resolve();
let growing = null; // the copy that is being made: {id, access, length, end, asked}

self.onmessage = ({ data }) => {
  if (data.drop) dropped.add(data.id);
  else if (data.read) ask(data);
  else line = line.then(() => seal(data));
};

async function seal({ id, file, recipients }) {
  if (dropped.delete(id)) return;
  const tell = (what) => self.postMessage({ id, ...what });
  const source = new Digested(file);
  try {
    const { name, type, lastModified } = file;
    const names = await sealedText(recipients[0], { filename: name, filetype: type, last_modified: String(lastModified) });
    const sealed = await encrypterFor(recipients).encrypt(source.stream);
    const copy = await Copy.begin(id, sealed.size(file.size));
    tell({ names, length: copy.length, problem: copy.problem });
    growing = copy;
    for await (const piece of joined(sealed.getReader())) {
      const before = copy.problem;
      if (dropped.has(id)) break;
      await copy.append(piece);
      if (copy.problem !== before) tell({ length: copy.length, problem: copy.problem });
      tell({ done: copy.end });
    }
    if (dropped.delete(id)) return await copy.discard();
    const digest = await sealedText(recipients[0], { sha256: bytesToHex(source.digest.digest()) });
    tell({ end: true, copied: copy.close(), problem: copy.problem, digest });
  } catch {
    // The phone took the file away while it was read.
    await growing?.discard();
    tell({ end: true, unreadable: true });
  } finally {
    growing?.answerAll(null);
    growing = null;
  }
}

// The file as a stream that is digested as it is read.
class Digested {
  digest = sha256.create();

  constructor(file) {
    let at = 0;
    this.stream = new ReadableStream(
      {
        pull: async (controller) => {
          const piece = new Uint8Array(await file.slice(at, at + STEP).arrayBuffer());
          at += piece.length;
          if (piece.length) {
            this.digest.update(piece);
            controller.enqueue(piece);
          }
          if (at >= file.size) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
  }
}

class Copy {
  end = 0;
  problem = null;
  #asked = [];

  static async begin(id, length) {
    const copy = new Copy();
    Object.assign(copy, { id, length });
    try {
      copy.access = await openCopy(id);
    } catch (error) {
      copy.#fail(problemOf(error));
    }
    return copy;
  }

  // Without room nothing stays, and the file goes as it is from where it was chosen.
  #fail(problem) {
    Object.assign(this, { problem, length: null, access: null });
    this.answerAll(null);
  }

  async append(piece) {
    if (!this.access) return;
    try {
      write(this.access, piece, this.end);
      this.end += piece.length;
      this.#asked = this.#asked.filter((asked) => !this.#answer(asked));
    } catch (error) {
      this.access.close();
      this.#fail(problemOf(error));
      await forget(this.id);
    }
  }

  ask(asked) {
    if (!this.access) reply(asked, null);
    else if (!this.#answer(asked)) this.#asked.push(asked);
  }

  #answer(asked) {
    if (this.end < asked.to) return false;
    const octets = new Uint8Array(asked.to - asked.from);
    this.access.read(octets, { at: asked.from });
    reply(asked, octets);
    return true;
  }

  answerAll(octets) {
    for (const asked of this.#asked) reply(asked, octets);
    this.#asked = [];
  }

  // Tells whether the copy is whole.
  close() {
    if (!this.access) return false;
    this.access.flush();
    const whole = this.access.getSize() === this.length;
    this.access.close();
    this.access = null;
    return whole;
  }

  async discard() {
    this.access?.close();
    this.access = null;
    await forget(this.id);
  }
}

function ask(asked) {
  if (growing?.id === asked.id) growing.ask(asked);
  else reply(asked, null);
}

// Nothing as an answer means: not here; the copy is whole, or it is gone.
function reply({ id, read }, octets) {
  self.postMessage({ id, read, octets }, octets ? [octets.buffer] : []);
}

async function* joined(reader) {
  const buffer = new Uint8Array(WRITTEN_AT_ONCE);
  let used = 0;
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    for (let rest = value; rest.length; ) {
      const part = rest.subarray(0, buffer.length - used);
      buffer.set(part, used);
      used += part.length;
      rest = rest.subarray(part.length);
      if (used === buffer.length) {
        yield buffer;
        used = 0;
      }
    }
  }
  if (used) yield buffer.subarray(0, used);
}

function encrypterFor(recipients) {
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  return encrypter;
}

// A few words sealed to one recipient, as text: a record shall hold neither names nor digests that can be read.
async function sealedText(recipient, words) {
  const octets = await encrypterFor([recipient]).encrypt(JSON.stringify(words));
  let text = "";
  for (const octet of octets) text += String.fromCharCode(octet);
  return btoa(text);
}
