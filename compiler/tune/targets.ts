/** What kernels are tuned on. */
export const TUNED_TARGETS = ["webgpu", "cuda", "cuda-emulated"] as const;
export type TunedTarget = (typeof TUNED_TARGETS)[number];
