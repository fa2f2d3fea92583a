import {
  MtacError,
  type Pipeline,
  type Plan,
  SCHEDULES,
  type Schedule,
} from "../../runtime/contract/index.ts";
import { type Candidate, dropped, legal } from "./candidate.ts";
import { buildChain, type ChainRole } from "./chain.ts";
import { addCosts } from "./cost.ts";
import { directCandidates } from "./direct/index.ts";
import {
  FUSED_TILES_K,
  FUSED_TILES_Q,
  FUSED_WORKGROUPS,
  type FusedKernel,
  type FusedKnobs,
  fitFused,
  fusedKnobNames,
  singlePassPlan,
  twoPassKnobNames,
  twoPassPlan,
} from "./fused.ts";
import type { PlanRequest } from "./machine.ts";
import {
  fitStaged,
  PRODUCT_TILES,
  PRODUCT_WORKGROUPS,
  STAGED_TILES,
  STRIP_BYTES,
  STRIP_ROWS,
  stagedKnobNames,
  stagedPlan,
} from "./staged.ts";
import { tensorCandidates } from "./tensor/index.ts";
import { verifyPlan } from "./verify/index.ts";

export {
  CUDA_ARCHITECTURES,
  type CudaArchitecture,
  cudaArchitecture,
  DEFAULT_ARCHITECTURES,
  plannedArchitecture,
} from "./architectures.ts";
export type { Candidate } from "./candidate.ts";
export type { CudaEstimate } from "./cuda-cost.ts";
export { DISPATCH_MULTIPLY_ADDS, withStorage } from "./define.ts";
export { storageForm } from "./layout.ts";
export * from "./limits.ts";
export { cudaMachine, type Machine, machineOf, type PlanRequest, webgpuMachine } from "./machine.ts";
export { planVariables, workspaceBytes } from "./measure.ts";
export * from "./roofline/index.ts";
export type { KernelWork } from "./work.ts";

/** How many of the two kernels' best geometries `two_pass` combines. */
const TWO_PASS_BEST = 4;

/**
 * All candidates for a pipeline on a device: the legal ones first, the cheapest first, then the dropped ones with their
 * reasons.
 */
export function planCandidates(pipeline: Pipeline, request: PlanRequest): Candidate[] {
  const schedules = request.schedule === undefined ? SCHEDULES : [request.schedule];
  const candidates = schedules.flatMap((schedule) => [
    ...(request.machine.target === "cuda" ? tensorCandidates(pipeline, request, schedule) : []),
    ...scheduleCandidates(pipeline, request, schedule),
  ]);
  return candidates.sort((a, b) => rank(a) - rank(b));
}

function rank(candidate: Candidate): number {
  return candidate.cost === null ? Number.POSITIVE_INFINITY : candidate.cost.time;
}

function scheduleCandidates(pipeline: Pipeline, request: PlanRequest, schedule: Schedule): Candidate[] {
  const illegal = scheduleIllegal(pipeline, schedule);
  if (illegal !== null) return [dropped(schedule, {}, illegal)];
  const { architecture } = request.machine;
  if (architecture !== null) return directCandidates(pipeline, request, schedule, architecture);
  switch (schedule) {
    case "single_pass":
      return singlePassCandidates(pipeline, request);
    case "two_pass":
      return twoPassCandidates(pipeline, request);
    case "staged":
      return stagedCandidates(pipeline, request);
  }
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

function fusedKernels(
  pipeline: Pipeline,
  request: PlanRequest,
  role: ChainRole,
): { fitting: FusedKernel[]; dropped: { knobs: FusedKnobs; reason: string }[] } {
  const fitting: FusedKernel[] = [];
  const without: { knobs: FusedKnobs; reason: string }[] = [];
  for (const tileQ of FUSED_TILES_Q) {
    for (const tileK of FUSED_TILES_K) {
      const chain = buildChain(pipeline, role, tileQ, tileK);
      for (const workgroup of FUSED_WORKGROUPS) {
        const knobs = { tileQ, tileK, workgroup };
        const fitted = fitFused(pipeline, role, knobs, request, chain);
        if (fitted.fits) fitting.push(fitted.value);
        else without.push({ knobs, reason: fitted.reason });
      }
    }
  }
  fitting.sort((a, b) => a.cost.time - b.cost.time);
  return { fitting, dropped: without };
}

function singlePassCandidates(pipeline: Pipeline, request: PlanRequest): Candidate[] {
  const kernels = fusedKernels(pipeline, request, "single_pass");
  return [
    ...kernels.fitting.map((kernel) =>
      legal("single_pass", fusedKnobNames(kernel.knobs), {
        cost: kernel.cost,
        plan: () => singlePassPlan(pipeline, request, kernel),
        work: () => [kernel.work],
      }),
    ),
    ...kernels.dropped.map(({ knobs, reason }) => dropped("single_pass", fusedKnobNames(knobs), reason)),
  ];
}

function twoPassCandidates(pipeline: Pipeline, request: PlanRequest): Candidate[] {
  const statistics = fusedKernels(pipeline, request, "statistics");
  const apply = fusedKernels(pipeline, request, "apply");
  const plans = statistics.fitting.slice(0, TWO_PASS_BEST).flatMap((first) =>
    apply.fitting.slice(0, TWO_PASS_BEST).map((second) =>
      legal("two_pass", twoPassKnobNames(first, second), {
        cost: addCosts([first.cost, second.cost]),
        plan: () => twoPassPlan(pipeline, request, first, second),
        work: () => [first.work, second.work],
      }),
    ),
  );
  const without = statistics.fitting.length === 0 ? statistics.dropped : apply.dropped;
  const pass = statistics.fitting.length === 0 ? "pass 1" : "pass 2";
  return [
    ...plans,
    ...without.map(({ knobs, reason }) => dropped("two_pass", fusedKnobNames(knobs), `${pass}: ${reason}`)),
  ];
}

function stagedCandidates(pipeline: Pipeline, request: PlanRequest): Candidate[] {
  const candidates: Candidate[] = [];
  for (const tile of STAGED_TILES) {
    for (const productTileQ of PRODUCT_TILES) {
      for (const productWorkgroup of PRODUCT_WORKGROUPS) {
        for (const stripRows of STRIP_ROWS) {
          const own = { ...tile, productTileQ, productWorkgroup, stripRows };
          const knobs = { ...own, stripBytes: STRIP_BYTES, skipDead: true };
          const names = stagedKnobNames(knobs);
          const fitted = fitStaged(pipeline, request, knobs);
          candidates.push(
            fitted.fits
              ? legal("staged", names, { ...fitted.value, work: () => fitted.value.work })
              : dropped("staged", names, fitted.reason),
          );
        }
      }
    }
  }
  return candidates;
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
  const fitted = stagedPlan(pipeline, request, {
    tileQ: 32,
    tileK: 32,
    productTileQ: 16,
    productWorkgroup: 64,
    stripRows: Number.MAX_SAFE_INTEGER,
    stripBytes: Number.MAX_SAFE_INTEGER,
    skipDead: false,
  });
  if (!fitted.fits) throw new MtacError("MTA405", "input", fitted.reason);
  return verifyPlan(fitted.value);
}
