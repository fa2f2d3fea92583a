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

export function storageBufferCount(bindings: readonly BufferBinding[]): number {
  return bindings.filter((binding) => binding.access !== "uniform").length;
}
