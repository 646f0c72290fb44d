// Octets that are compared and joined; nothing here is secret, so comparing need not be constant in time.
export { bytesToHex, concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";

export const equalBytes = (one, other) => one.length === other.length && one.every((octet, at) => octet === other[at]);
