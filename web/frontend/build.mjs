// Makes web/static from the sources here: bundles with a content hash in each name, and manifest.json with their integrity.
// Running it again on the same sources and locked packages gives the same bytes; a test holds that.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "..", "static"));
const manifest = {};

const common = { bundle: true, minify: true, write: false, charset: "utf8", legalComments: "none", absWorkingDir: here };
const page = { ...common, format: "esm", target: ["chrome90", "firefox90", "safari15"] };
const worker = { ...common, format: "iife", target: ["chrome90", "firefox90", "safari15"] };

async function bundle(name, options) {
  const result = await build(options);
  await keep(name, result.outputFiles[0].contents);
  for (const path of Object.keys(result.metafile?.inputs ?? {})) used.add(path);
}

async function keep(name, bytes) {
  const digest = createHash("sha384").update(bytes).digest("base64");
  const mark = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  const dot = name.lastIndexOf(".");
  const file = `${name.slice(0, dot)}-${mark}${name.slice(dot)}`;
  await writeFile(join(out, file), bytes);
  manifest[name] = { file, integrity: `sha384-${digest}` };
}

// Whose code travels in the bundles, with each licence as its author wrote it.
async function licences() {
  const packages = new Set();
  for (const path of used) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path);
    if (found) packages.add(found[1]);
  }
  let text = "Testigo's own code is under the AGPL-3.0-or-later. The bundles in this folder also hold code of:\n";
  for (const name of [...packages].sort()) {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[sc]e/i.test(entry));
    const words = file ? await readFile(join(folder, file), "utf8") : "";
    text += `\n${"-".repeat(72)}\n${name} ${version} (${license})\n\n${words.replace(/[ \t]+$/gm, "").trim()}\n`;
  }
  return text;
}

const used = new Set();
await mkdir(out, { recursive: true });
for (const name of await readdir(out)) await rm(join(out, name));

await bundle("testigo.css", { ...common, entryPoints: ["style/testigo.css"], target: ["chrome111", "firefox113", "safari16.4"] });
await bundle("old.js", { ...worker, entryPoints: ["drop/old.js"], target: ["es5"], metafile: true });
const native = { "url-parse": "./drop/native-url.js", "js-base64": "./drop/native-base64.js" };
await bundle("drop.js", { ...page, entryPoints: ["drop/main.js"], metafile: true, alias: native });
await bundle("code.js", { ...page, entryPoints: ["drop/code.js"], metafile: true });
await bundle("receipt.js", { ...page, entryPoints: ["drop/receipt.js"], metafile: true });
await bundle("check.js", { ...page, entryPoints: ["check/main.js"], metafile: true });
await bundle("spool.worker.js", { ...worker, entryPoints: ["workers/spool.js"], metafile: true });
await bundle("seal.worker.js", { ...worker, entryPoints: ["workers/seal.js"], metafile: true });
const shell = ["testigo.css", "drop.js", "spool.worker.js"].map((name) => `/static/${manifest[name].file}`);
await bundle("sw.js", { ...worker, entryPoints: ["workers/service.js"], metafile: true, define: { SHELL: JSON.stringify(shell) } });

await writeFile(join(out, "LICENSES.txt"), await licences());
await writeFile(join(out, "manifest.json"), JSON.stringify(manifest, null, 1) + "\n");
