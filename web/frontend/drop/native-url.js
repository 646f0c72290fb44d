// What tus-js-client takes from url-parse, every browser that runs these scripts has: an address, counted from another that
// itself counts from the page.
export default class extends URL {
  constructor(address, from) {
    super(address, new URL(from, location.href));
  }
}
