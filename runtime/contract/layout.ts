import { checkLayout, describeValue } from "./arguments.ts";
import { decode, encode } from "./rounding.ts";
import type { StorageType } from "./storage.ts";
import { elementCount, type HostTensor } from "./tensor.ts";

/** How a tensor on a device holds its elements. */
export type DeviceStorage = StorageType | "i32";

/** A tensor's elements as they lie in memory, wherever that is. */
export interface Layout {
  readonly shape: readonly number[];
  /** Elements between neighbours along each axis; the last one is 1. */
  readonly strides: readonly number[];
  readonly storage: DeviceStorage;
}

/** Bytes that an element takes on a device: 4 for `f32` and `i32`, 2 for `f16` and `bf16`. */
export function bytesPerElement(storage: DeviceStorage): number {
  return storage === "f32" || storage === "i32" ? 4 : 2;
}

/** Strides of a row-major, contiguous tensor, in elements. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis] ?? 1;
  }
  return strides;
}

/**
 * The layout of a tensor that is to be made: row-major and contiguous if no strides are given.
 * @throws MtacError MTA616, MTA617
 */
export function newLayout(
  shape: readonly number[],
  storage: DeviceStorage,
  strides: readonly number[] | undefined,
): Layout {
  checkLayout(shape, storage, strides);
  return { shape: [...shape], strides: [...(strides ?? contiguousStrides(shape))], storage };
}

/** Elements from element 0 to the last one, inclusive; 0 for an empty tensor. */
export function elementSpan(shape: readonly number[], strides: readonly number[]): number {
  if (elementCount(shape) === 0) return 0;
  return shape.reduce((last, size, axis) => last + (size - 1) * (strides[axis] ?? 0), 1);
}

/** Bytes from the start of element 0 to the end of the last one. */
export function spanBytes({ shape, strides, storage }: Layout): number {
  return elementSpan(shape, strides) * bytesPerElement(storage);
}

/** Bytes of the tensor's own data, without gaps between strides. */
export function tensorBytes({ shape, storage }: Pick<Layout, "shape" | "storage">): number {
  return elementCount(shape) * bytesPerElement(storage);
}

/** The positions of a tensor's elements relative to element 0, in row-major order of its shape. */
function* elementOffsets(shape: readonly number[], strides: readonly number[]): Generator<number> {
  const count = elementCount(shape);
  const index = new Array<number>(shape.length).fill(0);
  let offset = 0;
  for (let element = 0; element < count; element++) {
    yield offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const stride = strides[axis] ?? 0;
      const next = (index[axis] ?? 0) + 1;
      if (next < (shape[axis] ?? 0)) {
        index[axis] = next;
        offset += stride;
        break;
      }
      offset -= (next - 1) * stride;
      index[axis] = 0;
    }
  }
}

/** A Float16Array, where the engine has them; its type is not everywhere known to TypeScript. */
export interface HalfArray extends ArrayLike<number> {
  readonly [Symbol.toStringTag]: "Float16Array";
}

/** Values that can be uploaded; a Uint16Array holds the bits of f16 or bf16 elements. */
export type UploadData = HostTensor["data"] | HalfArray | Uint16Array;

/** A tensor on the host that is to be uploaded; row-major, contiguous. */
export interface UploadSource<Shape extends readonly number[] = readonly number[]> {
  readonly shape: Shape;
  readonly data: UploadData;
}

const FLOAT_ARRAYS = ["Float32Array", "Float64Array", "Float16Array"];

/** Arrays whose values each storage type takes. */
const ARRAYS: Readonly<Record<DeviceStorage, readonly string[]>> = {
  f32: FLOAT_ARRAYS,
  f16: [...FLOAT_ARRAYS, "Uint16Array"],
  bf16: [...FLOAT_ARRAYS, "Uint16Array"],
  i32: ["Int32Array"],
};

/**
 * The problem with host data that is to be stored as a tensor, or null.
 * @throws MtacError MTA616, MTA617
 */
export function hostDataFault(
  source: unknown,
  storage: DeviceStorage,
  strides?: readonly number[],
): string | null {
  if (typeof source !== "object" || source === null || !("shape" in source && "data" in source))
    return `host data is ${describeValue(source)}, not { shape, data }`;
  const { shape, data } = source;
  checkLayout(shape, storage, strides);
  const accepted = ARRAYS[storage];
  if (!ArrayBuffer.isView(data) || !("length" in data) || !accepted.includes(typedArrayName(data)))
    return `host data is ${describeValue(data)}, which cannot be stored as ${storage}: give a ${accepted.join(" or a ")}`;
  if (Array.isArray(shape) && data.length !== elementCount(shape))
    return `host data has ${data.length} elements, its shape [${shape.join(", ")}] ${elementCount(shape)}`;
  return null;
}

/** The name of a typed array's type, whichever realm it comes from. */
export function typedArrayName(data: object): string {
  return Object.prototype.toString.call(data).slice("[object ".length, -1);
}

/** The bytes of a tensor's span, from element 0 on, rounded up to whole 32-bit words; gaps between strides are zero. */
export function encodeElements({ shape, strides, storage }: Layout, data: UploadData): ArrayBuffer {
  const bytes = new ArrayBuffer(Math.ceil(spanBytes({ shape, strides, storage }) / 4) * 4);
  const fill = (target: { [index: number]: number }, convert: (value: number) => number): void => {
    let element = 0;
    for (const offset of elementOffsets(shape, strides)) target[offset] = convert(data[element++] ?? 0);
  };
  switch (storage) {
    case "f32":
      fill(new Float32Array(bytes), (value) => value);
      break;
    case "i32":
      fill(new Int32Array(bytes), (value) => value);
      break;
    case "f16":
    case "bf16":
      fill(
        new Uint16Array(bytes),
        typedArrayName(data) === "Uint16Array" ? (bits) => bits : (value) => encode(storage, value),
      );
      break;
  }
  return bytes;
}

/**
 * A tensor's values in row-major order of its shape.
 *
 * @param bytes Whole elements; element 0 is the one with index `first`.
 */
export function decodeElements(
  { shape, strides, storage }: Layout,
  bytes: ArrayBuffer,
  first: number,
): Float32Array | Int32Array {
  const count = elementCount(shape);
  const gather = <T extends Float32Array | Int32Array>(
    result: T,
    from: { readonly [index: number]: number },
    convert: (bits: number) => number,
  ): T => {
    let element = 0;
    for (const offset of elementOffsets(shape, strides))
      result[element++] = convert(from[first + offset] ?? 0);
    return result;
  };
  switch (storage) {
    case "f32":
      return gather(new Float32Array(count), new Float32Array(bytes), (value) => value);
    case "i32":
      return gather(new Int32Array(count), new Int32Array(bytes), (value) => value);
    case "f16":
    case "bf16":
      return gather(new Float32Array(count), new Uint16Array(bytes), (bits) => decode(storage, bits));
  }
}
