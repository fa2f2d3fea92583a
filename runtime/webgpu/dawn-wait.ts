import type { Waiter } from "./device-state.ts";

const LONGEST_NAP_MS = 1;

let waiting = 0;
let lastEvent = 0;
let napping = false;

/**
 * Waits for a promise of Dawn in Node without burning a core: while one is pending, Dawn polls its queue on every turn
 * of the event loop, as fast as the loop turns, so the loop is slowed down. One nap a turn serves all waits; it is
 * short at first, to keep the latency of short waits low.
 */
export const dawnWait: Waiter = (promise) => {
  waiting++;
  lastEvent = performance.now();
  const settle = (): void => {
    waiting--;
    lastEvent = performance.now();
  };
  promise.then(settle, settle);
  if (!napping) void nap();
  return promise;
};

async function nap(): Promise<void> {
  napping = true;
  const never = new Int32Array(new SharedArrayBuffer(4));
  while (waiting > 0) {
    Atomics.wait(never, 0, 0, Math.min((performance.now() - lastEvent) / 8, LONGEST_NAP_MS));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  napping = false;
}
