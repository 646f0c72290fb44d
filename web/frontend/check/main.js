// Checks a receipt in this browser alone: nothing is sent anywhere. A second implementation of formats.md, clauses 3.2,
// 3.3 and 5, on its own libraries, so that it can disagree with the archive's.
import { by, element, say, scriptURL, size } from "../drop/page.js";
import { checkReceipt } from "./receipt.js";

const form = by("check");
let verdict = null;

by("receipt").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  verdict = file.size > 64 * 2 ** 20 ? { ok: false, problems: ["unreadable"] } : checkReceipt(await file.arrayBuffer());
  show();
});

by("compare").addEventListener("change", async ({ target }) => {
  for (const file of target.files) await compare(file);
});

function show() {
  const { ok, whole, problems, items, keys, number, received } = verdict;
  by("verdict").className = `note ${ok ? (whole ? "note-ok" : "note-warn") : "note-bad"}`;
  by("verdict-title").textContent = say(ok ? (whole ? "check_ok" : "check_older") : "check_bad");
  by("verdict-text").textContent = ok ? say(whole ? "check_ok_text" : "check_older_text") : problems.map((problem) => say(`check_${problem}`)).join(" ");
  by("facts").replaceChildren();
  if (ok) {
    fact(say("check_number"), element("span", { className: "mono" }, number));
    fact(say("check_received"), element("span", { className: "mono" }, received));
    for (const key of keys) fact(say("check_key"), groups(key));
  }
  by("items").replaceChildren(...(ok ? items.map(row) : []));
  by("result").hidden = false;
  by("compare-part").hidden = !ok;
  by("verdict").focus();
}

function fact(name, value) {
  by("facts").append(element("dt", {}, name), element("dd", {}, value));
}

function groups(hex) {
  return element("span", { className: "hash", dir: "ltr" }, ...hex.match(/.{1,4}/g).map((group) => element("span", {}, group)));
}

function row(item) {
  return element(
    "li", { className: "file", "data-sha256": item.sha256 },
    element("span", { className: "name" }, item.number),
    element("span", { className: "tag tag-ok" }, say("check_in_log")),
    element("span", { className: "how" }, `${size(item.size)} · ${item.recorded}`),
    groups(item.sha256),
  );
}

// A worker digests the file, so that the page stays alive with large ones.
function compare(file) {
  return new Promise((resolve) => {
    const worker = new Worker(scriptURL(form.dataset.spool));
    worker.onmessage = ({ data }) => {
      if (!data.end) return;
      worker.terminate();
      const found = [...by("items").children].find((item) => item.dataset.sha256 === data.sha256);
      const words = say(data.unreadable ? "check_unreadable_file" : found ? "check_same" : "check_other", { name: file.name });
      const tag = data.unreadable || !found ? "note-warn" : "note-ok";
      by("compared").append(element("li", { className: `note ${tag}` }, element("span", {}, words)));
      resolve();
    };
    worker.postMessage({ id: "check", file, copy: false });
  });
}
