/** What kernels are timed on. */
export const METERED_TARGETS = ["webgpu", "cuda", "cuda-emulated"] as const;
export type MeteredTarget = (typeof METERED_TARGETS)[number];
