import type { Schedule } from "../../../runtime/contract/index.ts";
import { type Candidate, dropped, type Lowerings } from "../candidate.ts";
import type { GpuMachine, GpuTask } from "../machine.ts";
import { STAGED_OPTIONS } from "../schedule/staged.ts";
import { singlePassCandidates, twoPassCandidates } from "./fused.ts";
import { CHUNKS } from "./kernel.ts";
import { stagedCandidates } from "./staged.ts";
import { tensorIllegal } from "./support.ts";

type Candidates = (task: GpuTask) => readonly Candidate[];

/** Candidates of one schedule whose products run on tensor cores. */
function onTensorCores(schedule: Schedule, candidates: Candidates): Candidates {
  return (task) => {
    const illegal = tensorIllegal(task.pipeline);
    if (illegal !== null) return [dropped(schedule, { lowering: "tensor" }, illegal)];
    return candidates({ ...task, alignment: CHUNKS });
  };
}

/** The lowerings of the schedules to tensor cores. */
export const TENSOR: Lowerings<GpuMachine> = {
  single_pass: {
    options: () => ["splits"],
    candidates: onTensorCores("single_pass", singlePassCandidates),
  },
  two_pass: { options: () => [], candidates: onTensorCores("two_pass", twoPassCandidates) },
  staged: { options: () => STAGED_OPTIONS, candidates: onTensorCores("staged", stagedCandidates) },
};
