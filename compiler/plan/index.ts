import {
  MtacError,
  type Pipeline,
  type Plan,
  SCHEDULES,
  type Schedule,
} from "../../runtime/contract/index.ts";
import { type Candidate, dropped } from "./candidate.ts";
import type { PlanRequest } from "./machine.ts";
import { checkOptions, ignoredOption, type OptionName } from "./options.ts";
import { checkRequest } from "./request.ts";
import { fusedOptions, singlePassCandidates, twoPassCandidates } from "./schedule/fused.ts";
import { STAGED_OPTIONS, stagedCandidates, unfusedStagedPlan } from "./schedule/staged.ts";
import { tensorCandidates, tensorOptions } from "./tensor/index.ts";
import { verifyPlan } from "./verify/index.ts";

export {
  CUDA_ARCHITECTURES,
  type CudaArchitecture,
  cudaArchitecture,
  DEFAULT_ARCHITECTURES,
  plannedArchitecture,
} from "./architectures.ts";
export type { Candidate } from "./candidate.ts";
export { type Estimate, estimate } from "./estimate.ts";
export * from "./limits.ts";
export { cudaMachine, machinesOf, storedOn, webgpuMachine } from "./machine/index.ts";
export type { Machine, PlanRequest, WantedDevices } from "./machine.ts";
export type { PlanOptions } from "./options.ts";
export type { Resource } from "./rates.ts";
export { PLAN_OPTIONS } from "./request.ts";
export * from "./roofline/index.ts";
export type { KernelWork } from "./work.ts";

/** One way to lower a schedule's kernels, with the options that change its plans. */
interface Lowering {
  readonly options: readonly OptionName[];
  candidates(): readonly Candidate[];
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
  const schedules = schedule === undefined ? SCHEDULES : [schedule];
  let ignored: string | null = null;
  let used = Object.keys(options).length === 0;
  const candidates = schedules.flatMap((each): readonly Candidate[] => {
    const illegal = scheduleIllegal(pipeline, each);
    if (illegal !== null) return [dropped(each, {}, illegal)];
    return lowerings(pipeline, request, each).flatMap((lowering) => {
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

function rank(candidate: Candidate): number {
  return candidate.cost === null ? Number.POSITIVE_INFINITY : candidate.cost.time;
}

/** The ways to lower a schedule that can compute the pipeline, in the order of equals. */
function lowerings(pipeline: Pipeline, request: PlanRequest, schedule: Schedule): readonly Lowering[] {
  const scalar = {
    single_pass: {
      options: fusedOptions(request.machine),
      candidates: () => singlePassCandidates(pipeline, request),
    },
    two_pass: {
      options: fusedOptions(request.machine),
      candidates: () => twoPassCandidates(pipeline, request),
    },
    staged: { options: STAGED_OPTIONS, candidates: () => stagedCandidates(pipeline, request) },
  }[schedule];
  if (request.machine.architecture === null) return [scalar];
  const tensor = {
    options: tensorOptions(schedule),
    candidates: () => tensorCandidates(pipeline, request, schedule),
  };
  return [tensor, scalar];
}

/** Why a schedule cannot compute a pipeline at all, whatever the device; null where it can. */
export function scheduleIllegal(pipeline: Pipeline, schedule: Schedule): string | null {
  if (schedule === "staged") return null;
  if (pipeline.normalize === "sparsemax")
    return "sparsemax needs a whole row of scores at once: only staged keeps one";
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
 * The pipeline as most code computes it: the stage kernels of `staged` over one strip of all rows, with whole maps in
 * memory and nothing skipped. For benchmarks: it is what every schedule must beat.
 */
export function unfusedPlan(pipeline: Pipeline, request: PlanRequest): Plan {
  const fitted = unfusedStagedPlan(pipeline, request);
  if (!fitted.fits) throw new MtacError("MTA405", "input", fitted.reason);
  return verifyPlan(fitted.value);
}
