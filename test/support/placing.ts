import { type Float64Tensor, pack } from "../../runtime/contract/index.ts";
import {
  bytesPerElement,
  contiguousStrides,
  type DeviceStorage,
  elementSpan,
  type Layout,
} from "../../runtime/contract/layout.ts";
import type { Random } from "./random.ts";

/** A NaN as f32, as a pair of f16 and as a pair of bf16: whoever reads it by mistake has NaN in the result. */
const POISON = 0x7fc07fc0;

/** Where a tensor lies in its buffer, in elements from element 0; `before` and `after` surround it. */
export interface Placement {
  readonly strides: readonly number[];
  /** Bytes before element 0, a multiple of the device's `minStorageBufferOffsetAlignment`. */
  readonly before: number;
  /** Bytes behind the last element, a multiple of 4. */
  readonly after: number;
}

/**
 * Random strides whose elements do not overlap: the outer axes nest in any order ([B, L, H, D] is one), rows and axes
 * have spare capacity behind them. Multiples of `alignment`; the last axis is contiguous.
 */
function drawStrides(shape: readonly number[], alignment: number, random: Random): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  const axes = shape.slice(0, -1).map((_, axis) => axis);
  let extent = shape.at(-1) ?? 1;
  while (axes.length > 0) {
    const [axis = 0] = axes.splice(random.integer(0, axes.length - 1), 1);
    const spare = random.chance(0.5) ? random.integer(1, 3) : 0;
    const stride = (Math.ceil(extent / alignment) + spare) * alignment;
    strides[axis] = stride;
    extent = stride * (shape[axis] ?? 1);
  }
  return strides;
}

/** The word offsets and values of a tensor's elements, written over a buffer full of poison. */
export function encodePlaced(tensor: Float64Tensor, storage: DeviceStorage, place: Placement): ArrayBuffer {
  const { shape, data } = tensor;
  const width = bytesPerElement(storage);
  const body = Math.ceil((elementSpan(shape, place.strides) * width) / 4) * 4;
  const words = new Uint32Array((place.before + Math.max(body, 16) + place.after) / 4).fill(POISON);
  const bytes = words.buffer;
  const first = place.before / width;
  const target =
    storage === "f32"
      ? new Float32Array(bytes)
      : storage === "i32"
        ? new Int32Array(bytes)
        : new Uint16Array(bytes);
  const values = storage === "f16" || storage === "bf16" ? pack(storage, data) : data;
  for (const [element, offset] of placedOffsets(shape, place.strides).entries()) {
    target[first + offset] = values[element] ?? 0;
  }
  return bytes;
}

/** Offsets of a tensor's elements from element 0, in row-major order of its shape. */
function placedOffsets(shape: readonly number[], strides: readonly number[]): number[] {
  let offsets = [0];
  for (const [axis, size] of shape.entries()) {
    const stride = strides[axis] ?? 0;
    offsets = offsets.flatMap((offset) =>
      Array.from({ length: size }, (_, index) => offset + index * stride),
    );
  }
  return offsets;
}

/** A random placement, or the contiguous one. Integer inputs and lse must be contiguous. */
export function drawPlacement(shape: readonly number[], alignment: number, random: Random | null): Placement {
  if (random === null) return { strides: contiguousStrides(shape), before: 0, after: 0 };
  return {
    strides: drawStrides(shape, alignment, random),
    before: 256 * random.integer(0, 2),
    after: 4 * random.integer(0, 9),
  };
}

/**
 * How many bit patterns outside a tensor's elements are no longer poison: what a kernel must never write.
 *
 * @param memory The tensor's whole memory.
 */
export function clobbered(memory: ArrayBuffer, tensor: Layout & { readonly offset?: number }): number {
  const { shape, strides, storage, offset = 0 } = tensor;
  const patterns = bytesPerElement(storage) === 4 ? new Uint32Array(memory) : new Uint16Array(memory);
  const first = offset / patterns.BYTES_PER_ELEMENT;
  const own = new Set(placedOffsets(shape, strides).map((each) => first + each));
  const poison = patterns.BYTES_PER_ELEMENT === 4 ? POISON : POISON & 0xffff;
  let count = 0;
  for (const [index, value] of patterns.entries()) if (value !== poison && !own.has(index)) count += 1;
  return count;
}
