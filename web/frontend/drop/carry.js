// Carries what a page holds across a reload or a change of language: what was typed, and files whose copy is not whole.
// It lies in the service worker's memory for some seconds and nowhere on the phone; only the next page of the same code
// gets it. Where there is no service worker nothing is carried.
const PATIENCE_MS = 500;
const worker = () => navigator.serviceWorker?.controller;

export const canCarry = () => Boolean(worker());

export function leave(what) {
  worker()?.postMessage({ leave: what });
}

export function takeOver(code) {
  if (!canCarry()) return null;
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data);
    setTimeout(resolve, PATIENCE_MS, null);
    worker().postMessage({ take: code }, [port2]);
  });
}
