import {
  hasDropout,
  MtacError,
  type Pipeline,
  type Plan,
  SCHEDULES,
  type Schedule,
} from "../../runtime/contract/index.ts";
import { SCALAR_BACKWARD, TENSOR_BACKWARD } from "./backward/index.ts";
import { type Candidate, dropped, type Lowerings } from "./candidate.ts";
import { alignment } from "./layout.ts";
import { LIBRARY, unfusedLibrary } from "./library.ts";
import { LIBRARY_BACKWARD } from "./library-backward.ts";
import type { GpuMachine, Machine, PlanRequest, Task } from "./machine.ts";
import { checkOptions, ignoredOption, type OptionName } from "./options.ts";
import { floorOf } from "./predict.ts";
import { checkRequest } from "./request.ts";
import {
  fusedOptions,
  singlePassCandidates,
  singlePassOptions,
  twoPassCandidates,
} from "./schedule/fused.ts";
import { STAGED_OPTIONS, stagedCandidates, unfusedCandidate } from "./schedule/staged.ts";
import { TENSOR } from "./tensor/index.ts";

export {
  CUDA_ARCHITECTURES,
  type CudaArchitecture,
  cudaArchitecture,
  DEFAULT_ARCHITECTURES,
  plannedArchitecture,
} from "./architectures.ts";
export type { Candidate } from "./candidate.ts";
export { type Estimate, estimate } from "./estimate.ts";
export { keepValues } from "./keep-values.ts";
export { backwardWorkspace } from "./library-backward-workspace.ts";
export { libraryWorkspace } from "./library-workspace.ts";
export * from "./limits.ts";
export { cpuMachine, cudaMachine, machinesOf, storedOn, webgpuMachine } from "./machine/index.ts";
export type { GpuMachine, Machine, PlanRequest, WantedDevices } from "./machine.ts";
export type { PlanOptions } from "./options.ts";
export type { Resource } from "./rates.ts";
export { PLAN_OPTIONS } from "./request.ts";
export * from "./roofline/index.ts";
export type { KernelWork } from "./work.ts";

const SCALAR: Lowerings<GpuMachine> = {
  single_pass: { options: singlePassOptions, candidates: singlePassCandidates },
  two_pass: { options: fusedOptions, candidates: twoPassCandidates },
  staged: { options: () => STAGED_OPTIONS, candidates: stagedCandidates },
};

/** A way to lower a schedule for a task. */
interface Lowered {
  readonly options: readonly OptionName[];
  candidates(): readonly Candidate[];
}

/** The ways to lower a schedule on the task's machine, in the order of equals. */
function lowerings(task: Task, schedule: Schedule): readonly Lowered[] {
  const { machine } = task;
  switch (machine.kind) {
    case "gpu":
      return bound(gpuLowerings(machine, task.direction), { ...task, machine }, schedule);
    case "cpu":
      return bound(
        [task.direction === "backward" ? LIBRARY_BACKWARD : LIBRARY],
        { ...task, machine },
        schedule,
      );
  }
}

function gpuLowerings(
  { architecture }: GpuMachine,
  direction: Task["direction"],
): readonly Lowerings<GpuMachine>[] {
  if (direction === "backward")
    return architecture === null ? [SCALAR_BACKWARD] : [TENSOR_BACKWARD, SCALAR_BACKWARD];
  return architecture === null ? [SCALAR] : [TENSOR, SCALAR];
}

function bound<On extends Machine>(
  all: readonly Lowerings<On>[],
  task: Task<On>,
  schedule: Schedule,
): readonly Lowered[] {
  return all.map(({ [schedule]: { options, candidates } }) => ({
    options: options(task.machine),
    candidates: () => candidates(task),
  }));
}

/**
 * All candidates for a pipeline on a machine: the legal ones first, the cheapest first, then the dropped ones with their
 * reasons.
 *
 * @throws MtacError MTA933 for a request that is none; RangeError for a lever that does not exist, or that nothing asked for has a use for
 */
export function planCandidates(pipeline: Pipeline, request: PlanRequest): Candidate[] {
  checkRequest(pipeline, request);
  const { options = {}, schedule } = request;
  checkOptions(options);
  const task = taskOf(pipeline, request);
  const schedules = schedule === undefined ? SCHEDULES : [schedule];
  let ignored: string | null = null;
  let used = Object.keys(options).length === 0;
  const candidates = schedules.flatMap((each): readonly Candidate[] => {
    const illegal = scheduleIllegal(pipeline, each);
    if (illegal !== null) return [dropped(each, {}, illegal)];
    return lowerings(task, each).flatMap((lowering) => {
      const reason = ignoredOption(options, lowering.options);
      if (reason !== null) {
        ignored = reason;
        return [dropped(each, {}, reason)];
      }
      used = true;
      return lowering.candidates();
    });
  });
  if (!used && ignored !== null) throw new RangeError(ignored);
  return candidates.sort((a, b) => rank(a) - rank(b));
}

function taskOf(pipeline: Pipeline, request: PlanRequest): Task {
  return { ...request, pipeline, alignment: alignment(pipeline), floor: floorOf(pipeline, request) };
}

function rank(candidate: Candidate): number {
  return candidate.cost === null ? Number.POSITIVE_INFINITY : candidate.cost.time;
}

/** Why a schedule cannot compute a pipeline at all, whatever the device; null where it can. */
export function scheduleIllegal(pipeline: Pipeline, schedule: Schedule): string | null {
  if (schedule === "staged") return null;
  if (pipeline.normalize === "sparsemax")
    return "sparsemax needs a whole row of scores at once: only staged keeps one";
  if (hasDropout(pipeline))
    return "a dropout takes the map of a strip as a kernel of its own: only staged keeps one";
  if (schedule === "single_pass" && pipeline.weights.length > 0) {
    return "stages after the softmax need the finished sum of each row, which one pass has only at its end";
  }
  return null;
}

/**
 * The candidate with the least predicted cost.
 *
 * @throws MtacError MTA405 when no candidate fits: it says which limit of the device the nearest one breaks.
 */
export function choosePlan(pipeline: Pipeline, request: PlanRequest): Plan {
  const candidates = planCandidates(pipeline, request);
  const best = candidates[0]?.plan;
  if (best !== undefined && best !== null) return best;
  const reasons = [
    // The first of a schedule is the nearest miss.
    ...new Map(
      [...candidates].reverse().map((candidate) => [candidate.schedule, candidate.reason]),
    ).entries(),
  ];
  throw new MtacError(
    "MTA405",
    "input",
    `no schedule can compute "${pipeline.name}" with ${request.machine.limits.workgroupBytes} bytes of workgroup memory and ${request.machine.limits.invocations} invocations a workgroup: ${reasons.map(([schedule, reason]) => `${schedule}: ${reason}`).join("; ")}`,
    {
      remedy:
        request.schedule === undefined
          ? "use a device with higher limits, a smaller kernel or a smaller value_dim"
          : `leave out --schedule ${request.schedule}, so that the planner may choose another`,
    },
  );
}

/**
 * The pipeline as most code computes it: the stages of `staged` over one strip of all rows, with whole maps in
 * memory and nothing skipped. For benchmarks: it is what every schedule must beat.
 */
export function unfusedPlan(pipeline: Pipeline, request: PlanRequest): Plan {
  const { machine } = request;
  const task = taskOf(pipeline, request);
  const { plan, reason } =
    machine.kind === "cpu" ? unfusedLibrary({ ...task, machine }) : unfusedCandidate({ ...task, machine });
  if (plan === null) throw new MtacError("MTA405", "input", reason ?? "");
  return plan;
}
