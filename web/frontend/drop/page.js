// What every script of a page shares: its words (they come from the page, in the reader's language), numbers, elements.
// Number formats use Western digits in all languages, as the receipt on paper does.

const lang = document.documentElement.lang || "en";
const holder = document.getElementById("words");
const words = holder ? JSON.parse(holder.textContent) : {};

export const by = (id) => document.getElementById(id);

export function say(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const number = (digits) => new Intl.NumberFormat(lang, { numberingSystem: "latn", maximumFractionDigits: digits });
export const count = (n) => number(0).format(n);

// What is safe is rounded down: as long as anything is missing it must not read like all.
export function size(octets, round = Math.round) {
  for (const [unit, name] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    const parts = octets < 10 * unit ? 10 : 1;
    if (octets >= unit) return `${number(1).format(round((octets * parts) / unit) / parts)}\u00a0${name}`;
  }
  return `${count(octets)}\u00a0B`;
}

// Text goes in as text: no word of a file's name can become markup.
export function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name === "className" ? "class" : name, value);
  }
  made.append(...children);
  return made;
}

// Workers may come from our own static folder and from nowhere else.
const policy = globalThis.trustedTypes?.createPolicy("testigo", {
  createScriptURL(address) {
    const url = new URL(address, location.origin);
    const ours = url.origin === location.origin && (url.pathname.startsWith("/static/") || url.pathname === "/sw.js");
    if (!ours) throw new TypeError("a script from elsewhere");
    return url.href;
  },
});
export const scriptURL = (address) => (policy ? policy.createScriptURL(address) : address);
