import type { PlanOptions } from "../../compiler/plan/index.ts";
import type {
  AttentionInputs,
  CallShape,
  Float64Tensor,
  Pipeline,
  Plan,
  Schedule,
  StorageType,
} from "../../runtime/contract/index.ts";
import type { ReferenceResult } from "../../runtime/reference/index.ts";
import type { CaseOptions } from "../support/arbitrary.ts";
import type { FittingPlans } from "../support/gpu.ts";
import type { Random } from "../support/random.ts";

/** What a plan gave. */
export interface SuiteResult {
  readonly o: Float32Array;
  readonly lse: Float32Array | null;
}

/** Chooses plans within the limits that it stands for. */
export interface Planner {
  /** The limits, for people. */
  readonly name: string;
  plans(
    pipeline: Pipeline,
    shape: CallShape,
    schedule: Schedule,
    options?: PlanOptions,
  ): FittingPlans | { readonly reason: string };
}

/** A device that the suites' plans run on. */
export interface SuiteDevice {
  /** Those that its plans have. */
  readonly schedules: readonly Schedule[];
  readonly planner: Planner;
  /** For what `planner` has no plans of: null where that is all there is. */
  readonly fallback: Planner | null;
  /** A planner within limits that are drawn. */
  drawPlanner(random: Random): Planner;
  /** Options that force what small cases never need; mostly none. */
  drawOptions(schedule: Schedule, random: Random): PlanOptions;
  /**
   * @param scatter Draws places of the tensors; null: contiguous.
   * @param order Any number: which of the orders of threads the device takes, where it has several.
   */
  run(
    plan: Plan,
    parameters: ReadonlyMap<string, Float64Tensor>,
    inputs: AttentionInputs<Float64Tensor>,
    scatter: Random | null,
    order: number,
  ): Promise<SuiteResult>;
  /** Why results lie outside the tolerance of `semantics.md` times `factor`; null where they do not. */
  problem(
    pipeline: Pipeline,
    result: SuiteResult,
    expected: Pick<ReferenceResult, "o" | "lse">,
    factor?: number,
  ): string | null;
  close(): void;
}

/** One way to compute attentions, which every suite runs over: a further target is a further row of the table. */
export interface SuiteTarget {
  readonly name: string;
  /** The vitest project whose needs are the target's. */
  readonly project: "numeric" | "cuda" | "cpu" | "sanitize";
  /** Whether it can run here; says loudly what is missing. */
  available(): Promise<boolean>;
  open(): Promise<SuiteDevice>;
  /** Storage types of the first and of the other comparisons: with the vectors' own results, with the reference's on rounded inputs. */
  readonly exact: readonly StorageType[];
  readonly rounded: readonly StorageType[];
  /** Whether rounded inputs are compared for every vector, not one of each kind of stage and mask. */
  readonly roundsAll: boolean;
  /** Whether all 45 vectors run where they are, or only where MTAC_ALL_VECTORS asks for them. */
  readonly everyVector: boolean;
  /** Random attentions: how they are drawn, and how many. */
  readonly cases: CaseOptions;
  readonly runs: number;
  /** For each schedule of a random attention the best plan, and so many random ones of those that fit. */
  pick(random: Random): { readonly best: boolean; readonly candidates: number };
  /** Whether `staged` fits every attention, and so many random ones that every schedule runs. */
  readonly fitsAll: boolean;
  readonly runsAll: boolean;
  /** The most buffers that a kernel may bind. */
  readonly storageBuffers: number;
  /** Cases with known results: their storage types, plans a schedule, and whether scores of all kernels hold large offsets. */
  readonly known: readonly [StorageType, ...StorageType[]];
  readonly depth: number;
  readonly holdsOffsets: boolean;
  /** Storage types of cases with dropout; those of `known` where it is not given. */
  readonly drops?: readonly StorageType[];
}
