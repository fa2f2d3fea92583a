import { LAUNCH_BYTES } from "../contract/launch.ts";
import { place } from "../contract/messages.ts";
import type { KernelPlan } from "../contract/plan.ts";
import type { Call } from "./call.ts";
import { BUFFER_USAGE, roundUp } from "./constants.ts";
import { GpuError } from "./errors.ts";
import type { CompiledKernel } from "./pipelines.ts";
import { boundBytes } from "./placement.ts";
import type { DeviceTensor } from "./tensors.ts";

/** What a binding of a plan refers to: buffers by resource name (see `BufferBinding`). */
export type Resources = ReadonlyMap<string, GPUBufferBinding>;

export interface ResourceParts {
  readonly call: Call;
  readonly o: DeviceTensor;
  readonly lse: DeviceTensor | null;
  readonly parameters: GPUBufferBinding;
  readonly launch: GPUBuffer;
  readonly workspace: readonly {
    readonly name: string;
    readonly bytes: number;
    readonly buffer: GPUBuffer;
  }[];
}

export function collectResources(parts: ResourceParts): Resources {
  const { q, k, v, qHistory, bias } = parts.call.inputs;
  const resources = new Map<string, GPUBufferBinding>();
  for (const { name, bytes, buffer } of parts.workspace) {
    resources.set(name, { buffer, size: Math.max(roundUp(bytes, 4), 16) });
  }
  resources.set("parameters", parts.parameters);
  resources.set("launch", { buffer: parts.launch, size: LAUNCH_BYTES });
  const history = parts.call.size.R > 0 ? qHistory : undefined;
  const tensors = { q, k, v, q_history: history, bias, o: parts.o, lse: parts.lse ?? undefined };
  for (const [name, tensor] of Object.entries(tensors)) {
    if (tensor === undefined) continue;
    resources.set(name, { buffer: tensor.buffer, offset: tensor.offset, size: boundBytes(tensor) });
  }
  return resources;
}

/** Names that a plan may bind though the call does not give the tensor. */
const OPTIONAL_RESOURCES = new Set(["q_history", "bias", "lse"]);

/**
 * @throws GpuError MTA726 when an output shares its buffer with another tensor of the kernel: WebGPU allows a buffer that
 *   is written no second binding in a dispatch, even where the ranges are disjoint ("Usage scope").
 */
export function checkSeparate(kernel: KernelPlan, resources: Resources): void {
  const bound = kernel.bindings.map(({ access, resource }) => ({
    access,
    resource,
    buffer: resources.get(resource)?.buffer,
  }));
  for (const written of bound) {
    if (written.access !== "read_write" || written.buffer === undefined) continue;
    const other = bound.find((entry) => entry !== written && entry.buffer === written.buffer);
    if (other === undefined) continue;
    throw new GpuError(
      "MTA726",
      `${written.resource} lies in the same buffer as ${other.resource}${place(kernel.name, kernel.source)}: WebGPU binds a ` +
        "buffer that is written only once in a dispatch",
      { remedy: `give ${written.resource} a buffer of its own`, kernel: kernel.name, source: kernel.source },
    );
  }
}

/** @throws RangeError when the plan binds a resource that it does not have: a defect of the planner. */
export function bindKernel(
  device: GPUDevice,
  kernel: KernelPlan,
  compiled: CompiledKernel,
  resources: Resources,
): GPUBindGroup {
  const bound = kernel.bindings.map(({ binding, resource }) => {
    const given = resources.get(resource);
    if (given === undefined && !OPTIONAL_RESOURCES.has(resource)) {
      throw new RangeError(`the kernel "${kernel.name}" binds an unknown resource "${resource}"`);
    }
    return { binding, buffer: given ?? { buffer: dummyBuffer(device, resource) } };
  });
  return device.createBindGroup({
    label: kernel.name,
    layout: compiled.layout,
    entries: bound.map(({ binding, buffer }) => ({ binding, resource: buffer })),
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
