/**
 * Flag values of the WebGPU specification ("GPUBufferUsage", "GPUMapMode"). The global namespaces of these names exist
 * in browsers but not in Node, and the runtime adds nothing to the global scope.
 */
export const BUFFER_USAGE = {
  MAP_READ: 0x0001,
  COPY_SRC: 0x0004,
  COPY_DST: 0x0008,
  UNIFORM: 0x0040,
  STORAGE: 0x0080,
  QUERY_RESOLVE: 0x0200,
} as const;

/** What the buffer of parameters is used for: read by kernels, copied for calls that add integers of their own. */
export const PARAMETER_USAGE = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;

export const MAP_MODE_READ = 0x0001;

/** GPUShaderStage.COMPUTE. */
export const SHADER_STAGE_COMPUTE = 0x4;

/** Largest number of queries in a set (WebGPU, "createQuerySet"). */
export const MAX_QUERIES = 4096;

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
