import type { CallShape } from "./tensor.ts";

/** Sizes rounded to powers of two: results that were measured at one shape serve those near it. */
export interface ShapeBucket {
  readonly B: number;
  readonly Lq: number;
  readonly Lk: number;
  /** 0 stays 0. */
  readonly R: number;
}

/** A plan of an artifact that was the fastest on one device at shapes of a bucket. */
export interface TunedPlan {
  /** `deviceIdentity` of the device. */
  readonly device: string;
  readonly bucket: ShapeBucket;
  /** Index in the artifact's plans, or in those of its backward pass. */
  readonly plan: number;
}

/**
 * Whether a result that was measured on one device holds for another: where their identities are equal. Browsers leave out much of
 * what Dawn tells; vendor and architecture are the least that must be there and agree.
 */
export function sameDevice(measured: string, identity: string): boolean {
  if (measured === identity) return true;
  const [theirs, own] = [measured.split("|"), identity.split("|")];
  const [vendor = "", architecture = ""] = own;
  if (vendor === "" || architecture === "" || theirs.length !== own.length) return false;
  // The last part names features, of which a device may truly have none.
  return own.every((part, index) => part === theirs[index] || (part === "" && index < own.length - 1));
}

/** The entry whose bucket is nearest to a shape: by the sum of the sizes' distances in log scale; of two as near the larger. */
export function nearestBucket<T extends { readonly bucket: ShapeBucket }>(
  entries: readonly T[],
  shape: CallShape,
): T | null {
  return entries.reduce<T | null>(
    (best, entry) => (best === null || isNearer(entry.bucket, best.bucket, shape) ? entry : best),
    null,
  );
}

function isNearer(a: ShapeBucket, b: ShapeBucket, shape: CallShape): boolean {
  const difference = distance(a, shape) - distance(b, shape);
  // Logarithms of equal ratios may differ in their last bits.
  if (Math.abs(difference) > 1e-9) return difference < 0;
  const [larger, smaller] = [volume(a), volume(b)];
  return larger === smaller ? orderOf(a) > orderOf(b) : larger > smaller;
}

/** In powers of two, summed over the sizes. */
function distance(bucket: ShapeBucket, shape: CallShape): number {
  return (
    Math.abs(Math.log2(bucket.B / shape.B)) +
    Math.abs(Math.log2(bucket.Lq / shape.Lq)) +
    Math.abs(Math.log2(bucket.Lk / shape.Lk)) +
    Math.abs(history(bucket.R) - history(shape.R))
  );
}

/** From no history to one row is a step like that from one row to two. */
function history(rows: number): number {
  return rows === 0 ? 0 : 1 + Math.log2(rows);
}

function volume({ B, Lq, Lk, R }: ShapeBucket): number {
  return B * (Lq + R) * Lk;
}

function orderOf({ B, Lq, Lk, R }: ShapeBucket): string {
  return JSON.stringify([B, Lk, Lq, R]);
}
