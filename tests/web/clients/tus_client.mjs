// Send one file with an independent tus client, as long as it takes: node tus_client.mjs KIND ENDPOINT FILE TOKEN CODE SHA256 CHUNK
import { createReadStream, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";

const [kind, endpoint, path, visit, code, sha256, chunk] = process.argv.slice(2);
const require = createRequire(`${process.env.TESTIGO_NPM}/`);
const metadata = { filename: "clip.mp4", filetype: "video/mp4", visit, code, sha256 };
const retryDelays = Array(400).fill(20);
const chunkSize = Number(chunk) || Infinity;
const done = (url) => console.log(JSON.stringify({ ok: true, url }));
const fail = (error) => { console.error(String(error)); process.exit(1); };

if (kind === "tus-js-client") {
  const tus = require("tus-js-client");
  const upload = new tus.Upload(createReadStream(path), {
    endpoint, metadata, retryDelays, chunkSize, uploadSize: statSync(path).size,
    onShouldRetry: () => true, onError: fail, onSuccess: () => done(upload.url),
  });
  upload.start();
} else {
  const { Uppy } = await import(require.resolve("@uppy/core"));
  const { default: Tus } = await import(require.resolve("@uppy/tus"));
  const uppy = new Uppy({ autoProceed: false });
  uppy.use(Tus, { endpoint, retryDelays, chunkSize: Number(chunk) || 5 * 2 ** 20, allowedMetaFields: Object.keys(metadata),
    onShouldRetry: () => true, limit: 1, removeFingerprintOnSuccess: true, storeFingerprintForResuming: false });
  // Under Node the tus client inside takes a Buffer; Uppy asks it for the size that a Blob has.
  const data = readFileSync(path);
  Object.defineProperty(data, "size", { value: data.length });
  uppy.addFile({ name: "clip.mp4", type: "video/mp4", data, meta: metadata });
  const result = await uppy.upload();
  if (result.failed.length) fail(result.failed[0].error); else done(result.successful[0].uploadURL);
}
