import type { Plan, StorageForm, Target } from "../../../runtime/contract/index.ts";
import type { Machine, Machines } from "../machine.ts";
import { CPU_MACHINES } from "./cpu.ts";
import { CUDA_MACHINES } from "./cuda.ts";
import { WEBGPU_MACHINES } from "./webgpu.ts";

export { cpuMachine } from "./cpu.ts";
export { cudaMachine } from "./cuda.ts";
export { webgpuMachine } from "./webgpu.ts";

const MACHINES: Readonly<Record<Target, Machines>> = {
  webgpu: WEBGPU_MACHINES,
  cuda: CUDA_MACHINES,
  cpu: CPU_MACHINES,
};

/** What the devices of a target are to the planner. */
export function machinesOf(target: Target): Machines {
  return MACHINES[target];
}

/** The same plan for the form in which a machine holds its tensors, or another one that it knows: nothing else depends on it. */
export function storedOn(machine: Machine, plan: Plan, wanted?: StorageForm): Plan {
  const storage = machine.storage(plan.pipeline, wanted);
  return { ...plan, storage, requires: { ...plan.requires, ...machine.requires(storage) } };
}
