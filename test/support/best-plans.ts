import {
  cpuMachine,
  cudaArchitecture,
  cudaMachine,
  type Machine,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import type { Pipeline, Plan, Target } from "../../runtime/contract/index.ts";

const architecture = cudaArchitecture("sm_80");
if (architecture === null) throw new Error("the planner does not know sm_80");
const MACHINES: Readonly<Record<Target, Machine>> = {
  webgpu: webgpuMachine(WEBGPU_COMMON_LIMITS),
  cuda: cudaMachine(architecture),
  cpu: cpuMachine(),
};

/** The best plan of each schedule and lowering, for a usual device of a target. */
export function bestPlans(pipeline: Pipeline, target: Target): Plan[] {
  const shape = { B: 1, Lq: 64, Lk: 64, R: 0 };
  const best = new Map<string, Plan>();
  for (const { schedule, knobs, plan } of planCandidates(pipeline, { machine: MACHINES[target], shape })) {
    const key = `${schedule} ${knobs["lowering"] ?? ""}`;
    if (plan !== null && !best.has(key)) best.set(key, plan);
  }
  return [...best.values()];
}
