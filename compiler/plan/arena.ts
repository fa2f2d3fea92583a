import type { ConvStage } from "../../runtime/contract/index.ts";

/**
 * Bytes between the workgroup memory and the registers of WebGPU's kernels. What lanes of a subgroup share is counted once, so
 * that no device moves less.
 */

/** A 4x4 block of f32, written or read. */
export const BLOCK_BYTES = 64;
/** Four entries of f32, one lane's. */
export const FOUR_BYTES = 16;
/** Lanes that may be served together. */
const LANES = 32;

/** What a convolution reads for one 4x4 block: four rows of a kernel row's window, entry by entry where they slide along. */
export function convBlockBytes({ kernel, across, dilation }: ConvStage): number {
  const entries = dilation.key === 1 ? kernel.key + 3 : kernel.key * 4;
  return across * kernel.query * entries * FOUR_BYTES;
}

/** What the online softmax moves an entry: reads twice, and writes the weight where the same kernel multiplies it. */
export function softmaxBytes(single: boolean): number {
  return single ? 12 : 8;
}

/** What a product reads for four rows at one key: neighbouring lanes share the rows' weights. */
export function weightBytes(valueBlocks: number): number {
  return FOUR_BYTES * Math.max(1, valueBlocks / LANES);
}
