import type { KernelPlan } from "../contract/plan.ts";
import { placeOf } from "../launcher/holdings.ts";
import { BUFFER_USAGE } from "./constants.ts";
import type { CompiledKernel } from "./pipelines.ts";

/** @throws RangeError when the plan binds a resource that it does not have: a defect of the planner. */
export function bindKernel(
  device: GPUDevice,
  kernel: KernelPlan,
  compiled: CompiledKernel,
  places: ReadonlyMap<string, GPUBufferBinding>,
): GPUBindGroup {
  return device.createBindGroup({
    label: kernel.name,
    layout: compiled.layout,
    entries: kernel.bindings.map(({ binding, resource }) => ({
      binding,
      resource: placeOf(kernel, resource, places, () => ({ buffer: dummyBuffer(device, resource) })),
    })),
  });
}

const DUMMY_BYTES = 256;
const dummies = new WeakMap<GPUDevice, Map<string, GPUBuffer>>();

/** Stands for a tensor that the call does not give; one for each name, so that a written one is bound only once. */
function dummyBuffer(device: GPUDevice, resource: string): GPUBuffer {
  let buffers = dummies.get(device);
  if (buffers === undefined) {
    buffers = new Map();
    dummies.set(device, buffers);
  }
  let buffer = buffers.get(resource);
  if (buffer === undefined) {
    buffer = device.createBuffer({
      label: `mtac no ${resource}`,
      size: DUMMY_BYTES,
      usage: BUFFER_USAGE.STORAGE,
    });
    buffers.set(resource, buffer);
  }
  return buffer;
}
