// The uploads of tus-js-client, with what this page needs of it. Its ways of reading files of other systems, and its own
// memory of uploads, stay out: a page that is opened on a weak line must not wait for them.
import HttpStack from "tus-js-client/lib.esm/browser/httpStack.js";
import BaseUpload from "tus-js-client/lib.esm/upload.js";

const httpStack = new HttpStack();
const fileReader = { openFile: async (body) => (body instanceof Blob ? sourceOfBlob(body) : body) };
const fingerprint = async () => null;

function sourceOfBlob(blob) {
  const slice = async (from, to) => ({ value: blob.slice(from, to), done: to >= blob.size });
  return { size: blob.size, slice, close() {} };
}

// `body` is a file, or a source of octets that knows its size.
export const newUpload = (body, options) =>
  new BaseUpload(body, { ...BaseUpload.defaultOptions, httpStack, fileReader, fingerprint, ...options });
