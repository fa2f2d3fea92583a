import { type Float64Tensor, pack } from "../../runtime/contract/index.ts";
import {
  bytesPerElement,
  contiguousStrides,
  type DeviceStorage,
  elementSpan,
} from "../../runtime/contract/layout.ts";
import { BUFFER_USAGE } from "../../runtime/webgpu/constants.ts";
import type { DeviceTensor } from "../../runtime/webgpu/tensors.ts";
import type { Random } from "./random.ts";

/** A NaN as f32, as a pair of f16 and as a pair of bf16: whoever reads it by mistake has NaN in the result. */
export const POISON = 0x7fc07fc0;

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
export function drawStrides(shape: readonly number[], alignment: number, random: Random): number[] {
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
export function placedOffsets(shape: readonly number[], strides: readonly number[]): number[] {
  let offsets = [0];
  for (const [axis, size] of shape.entries()) {
    const stride = strides[axis] ?? 0;
    offsets = offsets.flatMap((offset) =>
      Array.from({ length: size }, (_, index) => offset + index * stride),
    );
  }
  return offsets;
}

/** A tensor on the device with poison in every gap, before it and behind it. */
export function placeTensor(
  device: GPUDevice,
  tensor: Float64Tensor,
  storage: DeviceStorage,
  place: Placement,
): DeviceTensor {
  const bytes = encodePlaced(tensor, storage, place);
  const buffer = device.createBuffer({
    size: bytes.byteLength,
    usage: BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, bytes);
  return { buffer, offset: place.before, shape: tensor.shape, strides: place.strides, storage };
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

/** The whole buffer of a placed tensor, read as raw 16- or 32-bit patterns. */
export function patternsOf(words: Int32Array, storage: DeviceStorage): Uint16Array | Uint32Array {
  return storage === "f32" || storage === "i32"
    ? new Uint32Array(words.buffer, words.byteOffset, words.length)
    : new Uint16Array(words.buffer, words.byteOffset, words.length * 2);
}

/**
 * How many bit patterns outside a tensor's elements are no longer poison: what a kernel must never write.
 *
 * @param words The tensor's whole buffer.
 */
export function clobbered(words: Int32Array, tensor: DeviceTensor): number {
  const patterns = patternsOf(words, tensor.storage);
  const first = tensor.offset / patterns.BYTES_PER_ELEMENT;
  const own = new Set(placedOffsets(tensor.shape, tensor.strides).map((offset) => first + offset));
  const poison = patterns.BYTES_PER_ELEMENT === 4 ? POISON : POISON & 0xffff;
  let count = 0;
  for (const [index, value] of patterns.entries()) if (value !== poison && !own.has(index)) count += 1;
  return count;
}
