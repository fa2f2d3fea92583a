import type { DeviceStorage, Layout } from "./layout.ts";

/** The size of one axis, for types only: a size that types do not know (`number`) goes with every other. */
interface AxisSize<Size> {
  // A method, whose parameters TypeScript compares in both directions.
  is(size: Size): void;
}

/**
 * What types know of a tensor on a device. Nothing of it exists at run time: tensors whose storage or shape is known only then
 * go with every input, others only with inputs of the same storage and sizes.
 */
export interface TypedTensor<Storage extends DeviceStorage, Shape extends readonly number[]> {
  /** Never there. */
  hasStorage?(storage: Storage): void;
  /** Never there. */
  hasShape?(sizes: ShapeSizes<Shape>): void;
}

/** The sizes of a shape, each to be compared on its own. */
export type ShapeSizes<Shape extends readonly number[]> = {
  readonly [Axis in keyof Shape]: AxisSize<Shape[Axis]>;
};

/** `Symbol.dispose`, which not all browsers have. */
export const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? /* @__PURE__ */ Symbol.for("Symbol.dispose");

/** A new tensor's layout and label. */
export interface TensorOptions {
  /** Elements; row-major and contiguous if not given. */
  readonly strides?: readonly number[];
  readonly label?: string;
}

/** What all tensors have that mtac made and that are the caller's. */
export abstract class OwnedLayout<Storage extends DeviceStorage, Shape extends readonly number[]>
  implements Layout, TypedTensor<Storage, Shape>
{
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly storage: DeviceStorage;
  readonly #free: () => void;
  #freed = false;

  /** @param free Gives the memory back. */
  constructor(
    { offset = 0, shape, strides, storage }: Layout & { readonly offset?: number },
    free: () => void,
  ) {
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
    this.storage = storage;
    this.#free = free;
  }

  /** Frees the memory, once. The calls that use it must have ended; on WebGPU those that have begun still end well. */
  destroy(): void {
    if (!this.disown()) this.#free();
  }

  /** The memory is freed by others from here on, and may be another tensor's. Returns whether it was freed already. */
  protected disown(): boolean {
    const before = this.#freed;
    this.#freed = true;
    return before;
  }

  /** As `destroy`. */
  [DISPOSE](): void {
    this.destroy();
  }

  /** Never there: see `TypedTensor`. */
  hasStorage?(storage: Storage): void;
  /** Never there: see `TypedTensor`. */
  hasShape?(sizes: ShapeSizes<Shape>): void;
}
