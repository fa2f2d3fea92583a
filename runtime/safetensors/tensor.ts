/** Element types that mtac reads and writes, with their sizes in bytes. */
export const ELEMENT_BYTES = { F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2 } as const;

export type ElementType = keyof typeof ELEMENT_BYTES;

export function isElementType(name: string): name is ElementType {
  return Object.hasOwn(ELEMENT_BYTES, name);
}

/** Elements as a file holds them: F16 and BF16 as their bits, little-endian like every platform that runs JavaScript. */
export type ElementArray = Float64Array | BigInt64Array | Float32Array | Int32Array | Uint16Array;

/** A tensor in a safetensors file, row-major. */
export interface StoredTensor {
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  readonly data: ElementArray;
}

/** A tensor whose elements are looked at only on demand: a view of the file, or a copy where the file aligns it badly. */
export class TensorView implements StoredTensor {
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  readonly #read: () => Uint8Array;
  #data: ElementArray | null = null;

  constructor(dtype: ElementType, shape: readonly number[], read: () => Uint8Array) {
    this.dtype = dtype;
    this.shape = shape;
    this.#read = read;
  }

  /** The elements' bytes inside the file. */
  get bytes(): Uint8Array {
    return this.#read();
  }

  get data(): ElementArray {
    this.#data ??= viewElements(this.dtype, this.bytes);
    return this.#data;
  }
}

function viewElements(dtype: ElementType, bytes: Uint8Array): ElementArray {
  const size = ELEMENT_BYTES[dtype];
  // A new array, not `slice()`: the slice of a Node Buffer is a view again, as badly aligned as before.
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const length = byteLength / size;
  switch (dtype) {
    case "F64":
      return new Float64Array(buffer, byteOffset, length);
    case "I64":
      return new BigInt64Array(buffer, byteOffset, length);
    case "F32":
      return new Float32Array(buffer, byteOffset, length);
    case "I32":
      return new Int32Array(buffer, byteOffset, length);
    case "F16":
    case "BF16":
      return new Uint16Array(buffer, byteOffset, length);
  }
}
