import type { CallShape, Plan, Schedule, StorageType } from "../../runtime/contract/index.ts";
import type { MeteredTarget } from "../targets.ts";
import type { Growth } from "./growth.ts";

/** What a benchmark found, as plain JSON: `mtac bench --json` prints it, CSV and HTML are made of it. */
export interface BenchReport {
  readonly format: 1;
  readonly provenance: Provenance;
  readonly spec: BenchedSpec;
  readonly target: MeteredTarget;
  /** Device and driver, for people, and as one text that changes when either does. */
  readonly device: { readonly description: string; readonly identity: string };
  /** Of all times: nanoseconds, or cycles of the emulated device. */
  readonly unit: "ns" | "cycles";
  readonly rounds: number;
  readonly seed: number;
  /** What `shareOfProduct` is a share of. */
  readonly product: ProductReport | { readonly reason: string };
  /** Peers that could not be asked at some length. */
  readonly missing: readonly MissingPeer[];
  /** What the reader should know beside the numbers. */
  readonly notes: readonly string[];
  readonly lengths: readonly LengthReport[];
  readonly growth: readonly SubjectGrowth[];
  /** Whether it was cut off: then there are fewer rounds or lengths. */
  readonly interrupted: boolean;
}

export interface Provenance {
  /** Version of mtac. */
  readonly mtac: string;
  /** Of Node; null where a kit's runner in Python took the times. */
  readonly node: string | null;
  readonly platform: string;
  readonly processor: string;
  /** Processors that this process may use. */
  readonly cores: number;
  /** When it began: ISO 8601, UTC. */
  readonly at: string;
}

export interface BenchedSpec {
  readonly file: string;
  readonly attention: string;
  /** The file's text. */
  readonly text: string;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly storage: StorageType;
}

/** The best plain matrix product of this device. */
export interface ProductReport {
  readonly kernel: string;
  /** Rows and columns of its three square f32 matrices. */
  readonly size: number;
  /** 2 · size³ */
  readonly operations: number;
}

export interface MissingPeer {
  readonly name: string;
  readonly lengths: readonly number[];
  readonly reason: string;
  readonly remedy: string;
}

export interface LengthReport {
  readonly shape: CallShape;
  /** Operations of the forward pass that no implementation avoids; a multiply-add is two. */
  readonly operations: number;
  /** Bytes that no implementation avoids moving. */
  readonly compulsoryBytes: number;
  /** The same of the backward pass; null where it was not asked for. */
  readonly gradients: { readonly operations: number; readonly compulsoryBytes: number } | null;
  /** The matrix product, timed in turns with the rows. */
  readonly product: (Spread & { readonly operationsPerSecond: number }) | null;
  readonly rows: readonly Row[];
}

/** Of the counted runs. */
export interface Spread {
  readonly median: number;
  /** First quartile. */
  readonly low: number;
  /** Third quartile. */
  readonly high: number;
  readonly samples: number;
  readonly clock: "device" | "wall" | "estimate";
}

export const ROW_STATES = ["measured", "wrong", "failed", "interrupted"] as const;
export type RowState = (typeof ROW_STATES)[number];

/** One subject at one length. */
export interface Row {
  /** The same at every length: `unfused`, a schedule's name, `tuned`, `backward`, `tuned backward`, a peer's name. */
  readonly subject: string;
  readonly kind: SubjectKind;
  readonly plan: { readonly schedule: Schedule; readonly knobs: Plan["knobs"] } | null;
  /** The planner's choice for this shape. */
  readonly chosen: boolean;
  /** What `mtac tune` found to be the fastest. */
  readonly tuned: boolean;
  /** Peers: their version, and what they run on. */
  readonly version: string | null;
  readonly runsOn: string | null;
  readonly state: RowState;
  /** Why there is no time. */
  readonly reason: string | null;
  /** The largest relative error of a result against float64, and what it may be; null where nothing was computed. */
  readonly error: { readonly tensor: string; readonly error: number; readonly bound: number } | null;
  /** null unless the state is `measured`. */
  readonly time: Spread | null;
  /** The baseline's median over this one's; null for the backward pass, which has no baseline but in kits for a GPU. */
  readonly speedup: number | null;
  /** The backward pass: its median over that of the forward pass, by the tuned plan where there is one, else by the planner's choice. */
  readonly timeOverForward: number | null;
  readonly operationsPerSecond: number | null;
  /** Of the matrix product's operations per second. Peers run elsewhere: null. */
  readonly shareOfProduct: number | null;
  /** Bytes that the call holds at its peak; null for peers, which do not tell but in kits. */
  readonly peakBytes: number | null;
  readonly bytesOverCompulsory: number | null;
  /** Bytes that the call holds beside what it is given and gives; null for peers. */
  readonly workspaceBytes: number | null;
}

export type SubjectKind = "baseline" | "schedule" | "tuned" | "peer" | "backward";

export interface SubjectGrowth extends Growth {
  readonly subject: string;
}

/** Whether a subject's results were wrong anywhere. */
export function hasWrongResults({ lengths }: BenchReport): boolean {
  return lengths.some(({ rows }) => rows.some(({ state }) => state === "wrong"));
}

/** Every subject of the report, in the order of its first appearance. */
export function subjectsOf({ lengths }: Pick<BenchReport, "lengths">): readonly string[] {
  return [...new Set(lengths.flatMap(({ rows }) => rows.map(({ subject }) => subject)))];
}

export function rowOf({ rows }: LengthReport, subject: string): Row | undefined {
  return rows.find((row) => row.subject === subject);
}

/** What no implementation avoids of what a row computes. */
export function floorsOf(
  { kind }: Row,
  { gradients, operations, compulsoryBytes }: LengthReport,
): NonNullable<LengthReport["gradients"]> {
  return kind === "backward" && gradients !== null ? gradients : { operations, compulsoryBytes };
}
