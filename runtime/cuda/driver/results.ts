/** CUresult values that are acted upon (CUDA Driver API, "Data types used by CUDA driver"). */
export const CU = {
  SUCCESS: 0,
  OUT_OF_MEMORY: 2,
  NO_DEVICE: 100,
  NOT_FOUND: 500,
  NOT_READY: 600,
  LAUNCH_OUT_OF_RESOURCES: 701,
} as const;

/** Errors of kernels: they arrive at any later call, and leave the context unusable. */
const STICKY = new Set([
  214, // ECC_UNCORRECTABLE
  220, // NVLINK_UNCORRECTABLE
  700, // ILLEGAL_ADDRESS
  702, // LAUNCH_TIMEOUT
  709, // CONTEXT_IS_DESTROYED
  710, // ASSERT
  714, // HARDWARE_STACK_ERROR
  715, // ILLEGAL_INSTRUCTION
  716, // MISALIGNED_ADDRESS
  717, // INVALID_ADDRESS_SPACE
  718, // INVALID_PC
  719, // LAUNCH_FAILED
]);

export function isSticky(result: number): boolean {
  return STICKY.has(result);
}

/** CUdevice_attribute. */
export const ATTRIBUTE = {
  MAX_THREADS_PER_BLOCK: 1,
  MAX_GRID_DIM_X: 5,
  MAX_GRID_DIM_Y: 6,
  MAX_GRID_DIM_Z: 7,
  MAX_SHARED_MEMORY_PER_BLOCK: 8,
  MULTIPROCESSOR_COUNT: 16,
  COMPUTE_CAPABILITY_MAJOR: 75,
  COMPUTE_CAPABILITY_MINOR: 76,
  MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: 97,
} as const;

/** CUfunction_attribute. */
export const FUNCTION_ATTRIBUTE = {
  MAX_THREADS_PER_BLOCK: 0,
  SHARED_SIZE_BYTES: 1,
  MAX_DYNAMIC_SHARED_SIZE_BYTES: 8,
} as const;

/** CUjit_option. */
export const JIT = { ERROR_LOG_BUFFER: 5, ERROR_LOG_BUFFER_SIZE_BYTES: 6 } as const;

/** CUstream_flags: a stream that does not wait for the legacy default stream. */
export const STREAM_NON_BLOCKING = 1;

/** CUevent_flags. */
export const EVENT_DEFAULT = 0;
export const EVENT_DISABLE_TIMING = 2;
