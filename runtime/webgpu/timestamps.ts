import { BUFFER_USAGE, MAP_MODE_READ, MAX_QUERIES } from "./constants.ts";
import { waitFor } from "./device-state.ts";

/** Device time of a call: the sum over its compute passes (WebGPU, "Timestamp Query"). */
export class PassTimer {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  #used = 0;
  #overflow = false;

  private constructor(device: GPUDevice, count: number) {
    this.#device = device;
    this.#queries = device.createQuerySet({ label: "mtac timestamps", type: "timestamp", count });
  }

  /** Null where the device cannot tell the time. */
  static create(device: GPUDevice, passes: number): PassTimer | null {
    if (!device.features.has("timestamp-query")) return null;
    return new PassTimer(device, Math.min(2 * Math.max(passes, 1), MAX_QUERIES));
  }

  nextPass(): GPUComputePassTimestampWrites | null {
    if (this.#used + 2 > this.#queries.count) {
      this.#overflow = true;
      return null;
    }
    this.#used += 2;
    return {
      querySet: this.#queries,
      beginningOfPassWriteIndex: this.#used - 2,
      endOfPassWriteIndex: this.#used - 1,
    };
  }

  /** Milliseconds, or null when there were more passes than queries. Waits for the passes to end. */
  async read(): Promise<number | null> {
    const device = this.#device;
    if (this.#used === 0 || this.#overflow) return null;
    const size = this.#used * 8;
    const resolved = device.createBuffer({ size, usage: BUFFER_USAGE.QUERY_RESOLVE | BUFFER_USAGE.COPY_SRC });
    const staging = device.createBuffer({ size, usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST });
    try {
      const encoder = device.createCommandEncoder();
      encoder.resolveQuerySet(this.#queries, 0, this.#used, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
      device.queue.submit([encoder.finish()]);
      await waitFor(device, staging.mapAsync(MAP_MODE_READ));
      const ticks = new BigUint64Array(staging.getMappedRange());
      let nanoseconds = 0n;
      for (let pass = 0; pass < ticks.length; pass += 2)
        nanoseconds += (ticks[pass + 1] ?? 0n) - (ticks[pass] ?? 0n);
      // Implementations may give values that run backwards; such a reading says nothing.
      return nanoseconds < 0n ? null : Number(nanoseconds) / 1e6;
    } finally {
      resolved.destroy();
      staging.destroy();
    }
  }

  destroy(): void {
    this.#queries.destroy();
  }
}
