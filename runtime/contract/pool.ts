/** Memory on loan from a pool; `size` is what was allocated, at least what was asked for. */
export interface Pooled<B> {
  readonly buffer: B;
  readonly size: number;
  /** What the buffer may be used for; only equal usages share buffers. */
  readonly usage: number;
}

/** Where a pool's buffers come from. */
export interface PoolSource<B> {
  create(size: number, usage: number, label: string): B;
  free(buffer: B): void;
  /** Largest buffer that there can be. */
  readonly largest: number;
}

/** Idle bytes above which a pool frees the buffers that were idle longest, all but the last. */
const MAX_IDLE_BYTES = 512 * 2 ** 20;

/**
 * Buffers that calls borrow, per device. Whoever gets a buffer next must be behind its last user: on the same queue, or after
 * that user's end.
 */
export class BufferPool<B> {
  readonly #source: PoolSource<B>;
  /** Oldest first. */
  readonly #idle: Pooled<B>[] = [];
  #idleBytes = 0;
  #created = 0;

  constructor(source: PoolSource<B>) {
    this.#source = source;
  }

  /** Number of buffers made so far, for tests and diagnosis. */
  get created(): number {
    return this.#created;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  acquire(bytes: number, usage: number, label: string): Pooled<B> {
    const size = Math.max(Math.min(sizeClass(bytes), this.#source.largest), bytes);
    // The last one released is the likeliest to be in a cache.
    const index = this.#idle.findLastIndex((idle) => idle.size === size && idle.usage === usage);
    const [found] = index < 0 ? [] : this.#idle.splice(index, 1);
    if (found !== undefined) {
      this.#idleBytes -= found.size;
      return found;
    }
    this.#created++;
    return { buffer: this.#source.create(size, usage, `mtac ${label}`), size, usage };
  }

  release(pooled: Pooled<B>): void {
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
    this.#source.free(oldest.buffer);
  }
}

/** Sizes in steps of an eighth of a power of two: a growing cache reuses buffers, and at most 1/8 is wasted. */
function sizeClass(bytes: number): number {
  const size = Math.max(bytes, 1);
  const step = Math.max(2 ** Math.floor(Math.log2(size) - 3), 256);
  return Math.ceil(size / step) * step;
}
