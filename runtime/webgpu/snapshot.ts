import { VALUES } from "../contract/resources.ts";
import { elementCount } from "../contract/tensor.ts";
import { BUFFER_USAGE } from "./constants.ts";
import { boundBytes } from "./placement.ts";
import type { DeviceTensor } from "./tensors.ts";

export const SNAPSHOT_USAGE = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_DST;

/** A range of a caller's buffer that is copied, in bytes. */
interface CopiedRange {
  readonly source: GPUBuffer;
  readonly begin: number;
  end: number;
}

/** A copied range and where it went. */
interface Copy extends CopiedRange {
  readonly buffer: GPUBuffer;
}

/**
 * Copies of a call's inputs as they were when it was called, for a call whose last command is submitted later. Tensors that share
 * memory share their copy. Buffers without the usage COPY_SRC cannot be copied, and are read where they lie.
 */
export class InputSnapshot {
  readonly #copies: readonly Copy[];

  /** @param tensors By resource name. */
  constructor(tensors: ReadonlyMap<string, DeviceTensor>, make: (bytes: number) => GPUBuffer) {
    // Integers are copied behind the parameters anyway; nobody else has what a saved call keeps.
    const bound = [...tensors]
      .filter(([name, { storage }]) => storage !== "i32" && name !== VALUES.name)
      .map(([, tensor]) => tensor);
    this.#copies = mergeRanges(bound).map((range) => ({ ...range, buffer: make(range.end - range.begin) }));
  }

  record(encoder: GPUCommandEncoder): void {
    for (const { source, begin, end, buffer } of this.#copies)
      encoder.copyBufferToBuffer(source, begin, buffer, 0, end - begin);
  }

  /** The same bytes in the copy, or where they are if there is none. */
  place(binding: GPUBufferBinding): GPUBufferBinding {
    const { buffer, offset = 0 } = binding;
    const copy = this.#copies.find(
      ({ source, begin, end }) => source === buffer && begin <= offset && offset < end,
    );
    return copy === undefined ? binding : { ...binding, buffer: copy.buffer, offset: offset - copy.begin };
  }
}

/** Ranges start where a tensor does, so that the copies' offsets stay as aligned as the tensors' are. */
function mergeRanges(tensors: readonly DeviceTensor[]): CopiedRange[] {
  const merged: CopiedRange[] = [];
  const ranges = tensors
    .filter(({ buffer, shape }) => (buffer.usage & BUFFER_USAGE.COPY_SRC) !== 0 && elementCount(shape) > 0)
    .map((tensor) => ({
      source: tensor.buffer,
      begin: tensor.offset,
      end: tensor.offset + boundBytes(tensor),
    }));
  for (const range of ranges.toSorted((a, b) => a.begin - b.begin)) {
    const before = merged.find(({ source, end }) => source === range.source && range.begin < end);
    if (before === undefined) merged.push(range);
    else before.end = Math.max(before.end, range.end);
  }
  return merged;
}
