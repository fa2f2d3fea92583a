import type { Waiter } from "./device-state.ts";

const LONGEST_NAP_MS = 1;

/**
 * Waits for a promise of Dawn in Node without burning a core: Dawn polls its queue on every turn of the event loop, as
 * fast as the loop turns, so slow the loop down. Short waits get short naps to keep their latency.
 */
export const dawnWait: Waiter = async (promise) => {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  promise.then(settle, settle);
  const never = new Int32Array(new SharedArrayBuffer(4));
  const start = performance.now();
  while (!settled) {
    Atomics.wait(never, 0, 0, Math.min((performance.now() - start) / 8, LONGEST_NAP_MS));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return promise;
};
