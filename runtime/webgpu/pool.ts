import { roundUp } from "./constants.ts";

/** A buffer on loan from the pool; `size` is what was allocated, at least what was asked for. */
export interface PooledBuffer {
  readonly buffer: GPUBuffer;
  readonly size: number;
}

/** Idle bytes above which a pool frees the buffers that were idle longest, all but the last. */
const MAX_IDLE_BYTES = 512 * 2 ** 20;

/**
 * Buffers that calls borrow, per device. A buffer may be released as soon as every command that uses it has been
 * *submitted*: whoever gets it next is behind those commands on the same queue, for writes (`writeBuffer`) and
 * dispatches alike (WebGPU, "GPUQueue": operations execute in order). Commands that are recorded but not yet submitted
 * hold on to their buffers; that is why `encode()` hands its caller a `release()`.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  /** Oldest first. */
  readonly #idle: PooledBuffer[] = [];
  #idleBytes = 0;
  #created = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Number of buffers made so far, for tests and diagnosis. */
  get created(): number {
    return this.#created;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  acquire(bytes: number, usage: number, label: string): PooledBuffer {
    const size = Math.max(Math.min(sizeClass(bytes), this.#device.limits.maxBufferSize), bytes);
    // The last one released is the likeliest to be in a cache.
    const index = this.#idle.findLastIndex((idle) => idle.size === size && idle.buffer.usage === usage);
    const [found] = index < 0 ? [] : this.#idle.splice(index, 1);
    if (found !== undefined) {
      this.#idleBytes -= found.size;
      return found;
    }
    this.#created++;
    return { buffer: this.#device.createBuffer({ label: `mtac ${label}`, size, usage }), size };
  }

  release(pooled: PooledBuffer): void {
    this.#idle.push(pooled);
    this.#idleBytes += pooled.size;
    while (this.#idleBytes > MAX_IDLE_BYTES && this.#idle.length > 1) this.#freeOldest();
  }

  /** Frees all idle buffers. */
  clear(): void {
    while (this.#idle.length > 0) this.#freeOldest();
  }

  #freeOldest(): void {
    const oldest = this.#idle.shift();
    if (oldest === undefined) return;
    this.#idleBytes -= oldest.size;
    oldest.buffer.destroy();
  }
}

/** Sizes in steps of an eighth of a power of two: a growing cache reuses buffers, and at most 1/8 is wasted. */
function sizeClass(bytes: number): number {
  const step = Math.max(2 ** Math.floor(Math.log2(Math.max(bytes, 1)) - 3), 256);
  return roundUp(Math.max(bytes, 1), step);
}

const pools = new WeakMap<GPUDevice, BufferPool>();

export function poolOf(device: GPUDevice): BufferPool {
  let pool = pools.get(device);
  if (pool === undefined) {
    pool = new BufferPool(device);
    pools.set(device, pool);
  }
  return pool;
}

/** Frees the workspace that earlier calls left on the device for later ones. */
export function releaseWorkspace(device: GPUDevice): void {
  pools.get(device)?.clear();
}
