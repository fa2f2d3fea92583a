import { type BufferBinding, hasMask, type Pipeline } from "../../runtime/contract/index.ts";

/** Numbers the bindings of a kernel; the uniform block is always 0. `bias` is left out where the mask has none. */
export function bind(
  pipeline: Pipeline,
  read: readonly string[],
  written: readonly string[],
): BufferBinding[] {
  const resources = [
    ...read.map((resource) => ({ resource, access: "read" as const })),
    ...written.map((resource) => ({ resource, access: "read_write" as const })),
  ].filter(({ resource }) => resource !== "bias" || hasMask(pipeline, "bias"));
  return [
    { binding: 0, access: "uniform", resource: "launch" },
    ...resources.map(({ resource, access }, index) => ({ binding: index + 1, access, resource })),
  ];
}

/**
 * The bindings of a CUDA kernel, in the order of its parameters: no fewer pointers than it reads. Kernels that read
 * `integers` get those that the mask and the placement of rows need.
 */
export function bindCuda(
  pipeline: Pipeline,
  read: readonly string[],
  written: readonly string[],
): BufferBinding[] {
  const integers = [
    "positions",
    ...(hasMask(pipeline, "lengths") ? ["lengths"] : []),
    ...(hasMask(pipeline, "documents") ? ["documents"] : []),
  ];
  const expanded = read.flatMap((resource) => (resource === "integers" ? integers : [resource]));
  return bind(pipeline, expanded, written);
}

export function storageBufferCount(bindings: readonly BufferBinding[]): number {
  return bindings.filter((binding) => binding.access !== "uniform").length;
}
