import type { Dispatch } from "../contract/expand.ts";

/** How long one submission should keep the device busy: far below the seconds after which systems reset it. */
const TARGET_MS = 100;

/** Before anything is measured: half a second on a software adapter, a moment on a GPU. */
const FIRST_BUDGET = 2 ** 28;
const SMALLEST_BUDGET = 2 ** 24;

/** Decides where a call's dispatches are cut into submissions, from how fast the device has been so far. */
export class Pacer {
  #budget = FIRST_BUDGET;

  /** The end of the piece that starts at dispatch `begin`: at least one dispatch, at most `budget` multiply-adds. */
  cut(dispatches: readonly Dispatch[], begin: number, budget: number = this.#budget): number {
    let end = begin;
    let sum = 0;
    while (end < dispatches.length) {
      sum += dispatches[end]?.multiplyAdds ?? 0;
      if (end > begin && sum > budget) break;
      end++;
    }
    return end;
  }

  /** Learns from a piece; small ones tell more about overhead than about speed. */
  observe(multiplyAdds: number, milliseconds: number): void {
    if (multiplyAdds < this.#budget / 4 || milliseconds <= 0) return;
    this.#budget = Math.max((multiplyAdds / milliseconds) * TARGET_MS, SMALLEST_BUDGET);
  }
}

const pacers = new WeakMap<GPUDevice, Pacer>();

export function pacerOf(device: GPUDevice): Pacer {
  let pacer = pacers.get(device);
  if (pacer === undefined) {
    pacer = new Pacer();
    pacers.set(device, pacer);
  }
  return pacer;
}
