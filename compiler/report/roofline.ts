import {
  type CallShape,
  type Pipeline,
  type Schedule,
  type Target,
  withoutDropout,
} from "../../runtime/contract/index.ts";
import {
  type Bound,
  boundCandidates,
  type Figure,
  type FloorWork,
  figuresOf,
  floorBound,
  floorWork,
  type Gpu,
  type KernelWork,
  type Machine,
  planCandidates,
  type Rates,
  type Roofline,
  ratesOf,
  type TargetLimits,
} from "../plan/index.ts";
import type { AttentionFacts } from "./explain.ts";

/** A GPU as its kernels are planned for it. */
export interface GpuOnTarget {
  readonly gpu: Gpu;
  readonly machine: Machine;
}

interface CandidateName {
  readonly schedule: Schedule;
  readonly knobs: Readonly<Record<string, number | string>>;
}

/** One way to run an attention on a GPU: how long it takes at least, or why it was dropped. */
export type RooflineCandidate =
  | (CandidateName & {
      readonly reason: null;
      /** Whether the planner takes it: its cost model knows more than peaks do. */
      readonly chosen: boolean;
      readonly roofline: Roofline;
      /** The floor's time over the candidate's. */
      readonly floorShare: number;
      readonly work: readonly KernelWork[];
    })
  | (CandidateName & { readonly reason: string; readonly chosen: false; readonly roofline: null });

/** An attention on one GPU; the legal candidates come first, the fastest first. */
export interface GpuRoofline {
  readonly gpu: string;
  readonly title: string;
  readonly target: Target;
  readonly limits: TargetLimits;
  readonly rates: Rates;
  readonly figures: Readonly<Record<string, Figure>>;
  readonly floor: FloorWork & Bound;
  readonly candidates: readonly RooflineCandidate[];
}

/** All that `mtac explain --roofline` says of one attention: plain data, printed whole by `--json`. */
export interface RooflineReport extends AttentionFacts {
  readonly rooflines: readonly GpuRoofline[];
}

/** The rooflines of an attention on GPUs; of one schedule, if it is named. */
export function rooflineReport(
  facts: AttentionFacts,
  gpus: readonly GpuOnTarget[],
  schedule: Schedule | undefined,
): RooflineReport {
  const { pipeline, shape } = facts;
  return { ...facts, rooflines: gpus.map((gpu) => rooflineOn(pipeline, shape, schedule, gpu)) };
}

function rooflineOn(
  pipeline: Pipeline,
  shape: CallShape,
  schedule: Schedule | undefined,
  { gpu, machine }: GpuOnTarget,
): GpuRoofline {
  const { target, limits } = machine;
  const rates = ratesOf(gpu, target);
  const inference = withoutDropout(pipeline);
  const work = floorWork(inference, shape);
  const floor = { ...work, ...floorBound(work, rates) };
  const planned = planCandidates(inference, {
    machine,
    shape,
    ...(schedule === undefined ? {} : { schedule }),
  });
  const legal = boundCandidates(planned, shape, rates).map(
    ({ candidate, roofline }): RooflineCandidate => ({
      schedule: candidate.schedule,
      knobs: candidate.knobs,
      reason: null,
      chosen: candidate === planned[0],
      roofline,
      floorShare: floor.seconds / roofline.seconds,
      work: candidate.work,
    }),
  );
  const dropped = planned.flatMap(({ schedule: name, knobs, reason }): RooflineCandidate[] =>
    reason === null ? [] : [{ schedule: name, knobs, reason, chosen: false, roofline: null }],
  );
  return {
    gpu: gpu.name,
    title: gpu.title,
    target,
    limits,
    rates,
    figures: figuresOf(gpu),
    floor,
    candidates: [...legal, ...dropped],
  };
}
