/** Storage of q, k, v and o as a spec names it; accumulation and parameters are always f32. */
export type StorageType = "f32" | "f16" | "bf16";

/**
 * How a kernel holds a storage type in its buffers: `f16-native` needs the WebGPU feature `shader-f16` (CUDA always has it),
 * `bf16-native` CUDA; `*-packed` holds two elements per 32-bit word, the even element in the low half.
 */
export type StorageForm = "f32" | "f16-native" | "f16-packed" | "bf16-native" | "bf16-packed";

/** Bytes that an element takes, by storage type. */
export const BYTES_PER_ELEMENT: Readonly<Record<StorageType, number>> = { f32: 4, f16: 2, bf16: 2 };
