import {
  type KernelPlan,
  LAUNCH_FIELDS,
  type LaunchField,
  O,
  type Operand,
  type Plan,
  type Target,
  VALUES,
} from "../../runtime/contract/index.ts";
import { storageBufferCount } from "./bindings.ts";

/** What the output's stages are given, as kernels bind it: one row after the other, as the caller's o would lie. */
export const KEPT_VALUES: Operand = { variable: "kept_values", element: "f32", width: 1 };

/** Storage buffers that every device of a target lets a kernel bind: WebGPU specification, "Limits". */
const LEAST_BUFFERS: Readonly<Record<Target, number>> = {
  webgpu: 8,
  cuda: Number.POSITIVE_INFINITY,
  cpu: Number.POSITIVE_INFINITY,
};

/**
 * A plan of a forward pass whose kernels can keep what the output's stages are given, for the backward pass of the same call. As it is where there are
 * no such stages, or where a kernel would bind more buffers than every device has: then the backward pass computes it again.
 */
export function keepValues(plan: Plan): Plan {
  const { target, pipeline, direction, requires, keepsValues = false } = plan;
  if (direction === "backward" || pipeline.output.length === 0 || keepsValues) return plan;
  const kernels = plan.kernels.map((kernel) => (writesOutput(kernel) ? keeping(kernel, target) : kernel));
  const storageBuffers = Math.max(...kernels.map(({ bindings }) => storageBufferCount(bindings)));
  if (storageBuffers > LEAST_BUFFERS[target]) return plan;
  return { ...plan, keepsValues: true, requires: { ...requires, storageBuffers }, kernels };
}

function writesOutput({ bindings }: KernelPlan): boolean {
  return bindings.some(({ resource }) => resource === O.name);
}

function keeping(kernel: KernelPlan, target: Target): KernelPlan {
  const { bindings, launch } = kernel;
  const kept = {
    binding: bindings.length,
    access: "read_write",
    resource: VALUES.name,
    operand: KEPT_VALUES,
  } as const;
  const known: readonly LaunchField[] = [...launch, "keeps_values"];
  return {
    ...kernel,
    bindings: [...bindings, kept],
    // Elsewhere a null pointer says that nothing is kept.
    launch:
      target === "webgpu" ? LAUNCH_FIELDS.flatMap(([name]) => (known.includes(name) ? [name] : [])) : launch,
  };
}
