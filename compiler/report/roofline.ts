import type { Schedule, Target } from "../../runtime/contract/index.ts";
import type { Bound, Figure, FloorWork, KernelWork, Rates, Roofline, TargetLimits } from "../plan/index.ts";
import type { AttentionFacts } from "./explain.ts";

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
