import type { StorageType } from "./storage.ts";

/** A tensor on the host, f32 or i32 values whatever its storage; row-major, contiguous. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array | Int32Array;
  /** How the tensor was stored where it came from; values are already rounded to it. */
  readonly storage?: StorageType | "i32" | "i64";
}

/** A tensor for the reference: float64, row-major, contiguous. */
export interface Float64Tensor {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** The number of elements of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Shapes of one call. R is 0 without history. */
export interface CallShape {
  readonly B: number;
  readonly Lq: number;
  readonly Lk: number;
  readonly R: number;
}

/** Inputs of one call, in whatever tensor type the target works with. Shapes as in `semantics.md`. */
export interface AttentionInputs<T> {
  /** [B, H, Lq, D] */
  readonly q: T;
  /** [B, Hkv, Lk, D] */
  readonly k: T;
  /** [B, Hkv, Lk, Dv] */
  readonly v: T;
  /** [B, H, R, D]: the query rows just before row 0. */
  readonly qHistory?: T;
  /** int32 [B, Lk], only with mask `documents`. */
  readonly documents?: T;
  /** int32 [B], only with mask `lengths`. */
  readonly lengths?: T;
  /** int32 [B]: absolute position of row 0. */
  readonly positions?: T;
  /** [B or 1, H or 1, R + Lq, Lk], only with mask `bias`; −∞ hides a pair. */
  readonly bias?: T;
  /** int32 [2], only with `dropout`: the call drops weights, which ones these words decide. Without it nothing is dropped. */
  readonly dropoutSeed?: T;
  /** Layer number from 0, for `depth_scale`. */
  readonly layer?: number;
}
