/** A stretch of memory. */
interface Stretch {
  start: number;
  size: number;
}

const ALIGNMENT = 64;

/** Hands out stretches of one linear memory, at multiples of 64. What is freed joins its free neighbours. */
export class Heap {
  /** By their starts. */
  readonly #free: Stretch[] = [];
  #end: number;
  readonly #grow: (end: number) => boolean;

  /**
   * @param start Where memory begins that nobody has.
   * @param grow Makes the memory reach to `end`; false where it cannot.
   */
  constructor(start: number, grow: (end: number) => boolean) {
    this.#end = aligned(start);
    this.#grow = grow;
  }

  /** The first free stretch that is large enough, else new memory; null where there is none. */
  take(bytes: number): number | null {
    const size = aligned(Math.max(bytes, 1));
    const index = this.#free.findIndex((stretch) => stretch.size >= size);
    const found = this.#free[index];
    if (found === undefined) {
      if (!this.#grow(this.#end + size)) return null;
      this.#end += size;
      return this.#end - size;
    }
    const { start } = found;
    found.start += size;
    found.size -= size;
    if (found.size === 0) this.#free.splice(index, 1);
    return start;
  }

  /** Takes back what `take` gave for so many bytes. */
  give(start: number, bytes: number): void {
    const size = aligned(Math.max(bytes, 1));
    const next = this.#free.findIndex((stretch) => stretch.start > start);
    const at = next < 0 ? this.#free.length : next;
    this.#free.splice(at, 0, { start, size });
    this.#join(at);
    if (at > 0) this.#join(at - 1);
  }

  /** Joins a free stretch with the one behind it, if that begins where it ends. */
  #join(index: number): void {
    const [first, second] = this.#free.slice(index, index + 2);
    if (first === undefined || second === undefined || first.start + first.size !== second.start) return;
    first.size += second.size;
    this.#free.splice(index + 1, 1);
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
