// What the connection is like, as far as a browser tells: there or not, Wi-Fi or not, and how fast the archive takes in.

const told = navigator.connection;

// Only some browsers tell Wi-Fi from mobile data; where they do not, the choice is not offered.
export const knowsWifi = () => typeof told?.type === "string";
export const onWifi = () => !knowsWifi() || ["wifi", "ethernet"].includes(told.type);

export function onLineChange(listener) {
  addEventListener("online", listener);
  addEventListener("offline", listener);
  told?.addEventListener?.("change", listener);
}

// Octets a second that the server has written, over the last half minute; null until there is enough to go by.
export class Rate {
  #points = [];

  add(octets, now = performance.now()) {
    this.#points.push([now, octets]);
    while (this.#points.length > 2 && now - this.#points[0][0] > 30_000) this.#points.shift();
  }

  restart() {
    this.#points = [];
  }

  get value() {
    if (this.#points.length < 2) return null;
    const [first, last] = [this.#points[0], this.#points.at(-1)];
    const seconds = (last[0] - first[0]) / 1000;
    return seconds > 1 && last[1] > first[1] ? (last[1] - first[1]) / seconds : null;
  }
}

// How long to wait after so many failures: short at first, so that a brief cut is over soon; never more than a minute.
const PAUSES = [300, 700, 1000, 1500, 2000, 3000, 5000, 8000, 15_000, 30_000, 60_000];
export const pauseAfter = (failures) => PAUSES[Math.min(failures, PAUSES.length) - 1] * (0.9 + Math.random() * 0.2);
