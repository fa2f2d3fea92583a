/** What kernels are written in: WGSL with typed launchers, CUDA with a C API and typed launchers. */
export const EMITTED_TARGETS = ["wgsl", "cuda"] as const;
export type EmittedTarget = (typeof EMITTED_TARGETS)[number];
