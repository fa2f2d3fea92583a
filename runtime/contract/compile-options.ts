/** Sources define nothing but device code when this is set. */
const KERNELS_ONLY = "-DMTAC_KERNELS_ONLY";

/** How CUDA sources are compiled, beside the architecture and the form of the result; part of the keys of caches. */
export const CUDA_COMPILE_OPTIONS = {
  nvrtc: ["--std=c++17", "--generate-line-info", KERNELS_ONLY],
  nvcc: ["-std=c++17", "-lineinfo", KERNELS_ONLY],
} as const;
