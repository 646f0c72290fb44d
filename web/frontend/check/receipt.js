// What a receipt proves, worked out from the file alone: the values that it opens, the entry that committed to them, the
// entry's place in the tree, and the signatures under the tree's root. No network, no page.
import { ed25519 } from "@noble/curves/ed25519.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes, equalBytes, utf8ToBytes } from "./octets.js";

const OPENED = ["fixity,recorded_time,run", "fixity,intake,recorded_time,run"]; // the latter where a cleaned copy is kept
const MEMBERS = ["checkpoint", "items", "received_time", "receipt", "timestamps", "v", "verifier_keys"];
const MORE = { 1: [], 2: ["use"], 3: ["use", "signed"] }; // the second version states a use, the third signs the whole
const EVENTS = ["ingestion", "duplicate receipt"];
const ED25519 = 1;
const MLDSA44 = 6;

class Differs extends Error {}
const must = (right, problem) => {
  if (!right) throw new Differs(problem);
};

// Answers `{ok, whole, problems, number, received, items, keys}`; `problems` are keys of the page's words. `whole` is false
// for an older form, which is not signed as a whole: then number and time are the file's word.
export function checkReceipt(octets) {
  try {
    // Not as a browser reads files: it passes over a byte order mark, and mends what is no UTF-8.
    const receipt = parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(octets));
    const { root, size, keys } = checkSignatures(receipt);
    const items = receipt.items.map((item) => checkItem(item, root, size));
    must(items.length, "unreadable");
    const whole = checkHead(receipt);
    return { ok: true, whole, problems: [], number: receipt.receipt, received: receipt.received_time, items, keys };
  } catch (error) {
    return { ok: false, problems: [error instanceof Differs ? error.message : "unreadable"] };
  }
}

function parse(text) {
  const receipt = canonical(text);
  const members = [...MEMBERS, ...(MORE[receipt.v] ?? ["unknown"])].sort().join();
  must(Object.keys(receipt).sort().join() === members && Array.isArray(receipt.items), "unreadable");
  return receipt;
}

// RFC 8785 is what JavaScript itself writes, with sorted members; other bytes are not what the archive gave out.
function canonical(text) {
  const value = JSON.parse(text);
  must(write(value) === text, "unreadable");
  return value;
}

function write(value) {
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${write(value[name])}`).join(",")}}`;
}

function checkSignatures({ checkpoint, verifier_keys: written }) {
  const end = checkpoint.lastIndexOf("\n\n");
  const body = checkpoint.slice(0, end + 1);
  const [origin, size, root, ...more] = body.trimEnd().split("\n");
  must(end > 0 && /^\d+$/.test(size) && more.length === 0, "signature");
  const rootOctets = fromBase64(root);
  const lines = signatureLines(checkpoint, end);
  const keys = written.map(verifierKey);
  must(keys.some((key) => key.type === ED25519), "signature");
  for (const key of keys) {
    must(key.name === origin, "signature");
    const ours = lines.filter((line) => isBy(line, key));
    const state = { origin, size: BigInt(size), root: rootOctets };
    must(ours.length && ours.every((line) => signedBy(key, line.signature, body, state)), "signature");
  }
  return { root: rootOctets, size: Number(size), keys: keys.map((key) => bytesToHex(key.fingerprint)) };
}

// Formats, 5.2: the keys of the log, in their order and no other, signed everything but the member `signed`.
function checkHead({ signed, ...unsigned }) {
  if (unsigned.v < 3) return false;
  const end = signed.lastIndexOf("\n\n");
  const body = signed.slice(0, end + 1);
  must(body === `testigo-receipt/3\nsha256 ${bytesToHex(sha256(utf8ToBytes(write(unsigned))))}\n`, "head");
  const lines = signatureLines(signed, end);
  const keys = unsigned.verifier_keys.map(verifierKey);
  must(lines.length === keys.length, "head");
  keys.forEach((key, place) => {
    const verify = key.type === ED25519 ? ed25519.verify : ml_dsa44.verify;
    must(isBy(lines[place], key) && verify(lines[place].signature, utf8ToBytes(body), key.key), "head");
  });
  return true;
}

const isBy = (line, key) => line.name === key.name && equalBytes(line.id, key.id);

function signatureLines(note, end) {
  must(note.endsWith("\n"), "signature");
  return note.slice(end + 2, -1).split("\n").map(signatureLine);
}

function signatureLine(line) {
  const [dash, name, encoded, ...more] = line.split(" ");
  must(dash === "—" && encoded && more.length === 0, "signature");
  const octets = fromBase64(encoded);
  return { name, id: octets.slice(0, 4), signature: octets.slice(4) };
}

function verifierKey(text) {
  const [name, id, ...rest] = text.split("+");
  const material = fromBase64(rest.join("+"));
  const fingerprint = sha256(concatBytes(utf8ToBytes(`${name}\n`), material));
  must(bytesToHex(fingerprint.slice(0, 4)) === id && [ED25519, MLDSA44].includes(material[0]), "signature");
  return { name, id: fingerprint.slice(0, 4), type: material[0], key: material.slice(1), fingerprint };
}

function signedBy({ type, key, name }, signature, body, { origin, size, root }) {
  if (type === ED25519) return ed25519.verify(signature, utf8ToBytes(body), key);
  const [cosigner, log] = [utf8ToBytes(name), utf8ToBytes(origin)];
  const message = concatBytes(
    utf8ToBytes("subtree/v1\n\0"), Uint8Array.of(cosigner.length), cosigner, signature.slice(0, 8),
    Uint8Array.of(log.length), log, bigEndian(0n), bigEndian(size), root,
  );
  return ml_dsa44.verify(signature.slice(8), message, key);
}

function bigEndian(value) {
  const octets = new Uint8Array(8);
  new DataView(octets.buffer).setBigUint64(0, value);
  return octets;
}

function checkItem(item, root, size) {
  const leaf = utf8ToBytes(item.leaf);
  const entry = canonical(item.leaf);
  const opened = {};
  for (const disclosure of item.disclosures) {
    must(entry._sd.includes(base64url(sha256(utf8ToBytes(disclosure)))), "item");
    const [, name, value] = canonical(new TextDecoder("utf-8", { fatal: true }).decode(fromBase64(padded(disclosure))));
    must(!(name in opened), "item");
    opened[name] = value;
  }
  must(OPENED.includes(Object.keys(opened).sort().join()) && EVENTS.includes(entry.event), "item");
  const { fixity, run, recorded_time: recorded } = opened;
  must(fixity.stage === "receipt" && fixity.item === run.item, "item");
  must(fixity.sha256 === item.sha256 && fixity.size === item.size && entry.seq === item.index, "item");
  const kept = opened.intake?.stored ?? item;
  must(kept.sha256 === item.sha256 && kept.size === item.size, "item");
  must(equalBytes(climb(leaf, item.index, size, item.proof.map(fromBase64)), root), "proof");
  return { number: item.number, sha256: item.sha256, size: item.size, recorded };
}

// RFC 9162, 2.1.3.2.
function climb(leaf, index, size, proof) {
  must(index >= 0 && index < size, "proof");
  let [fn, sn] = [BigInt(index), BigInt(size) - 1n];
  let hash = sha256(concatBytes(Uint8Array.of(0), leaf));
  for (const step of proof) {
    must(sn !== 0n, "proof");
    if (fn & 1n || fn === sn) {
      hash = sha256(concatBytes(Uint8Array.of(1), step, hash));
      while (!(fn & 1n) && fn) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      hash = sha256(concatBytes(Uint8Array.of(1), hash, step));
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  must(sn === 0n, "proof");
  return hash;
}

// The same octets have one spelling; what browsers read besides is not what the archive wrote.
function fromBase64(text) {
  const characters = atob(text);
  must(btoa(characters) === text, "unreadable");
  return Uint8Array.from(characters, (character) => character.charCodeAt(0));
}

const padded = (text) => (text + "=".repeat(-text.length & 3)).replace(/-/g, "+").replace(/_/g, "/");
const base64url = (octets) => btoa(String.fromCharCode(...octets)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
