import type { DeviceStorage } from "./layout.ts";

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
