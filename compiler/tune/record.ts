import type {
  CallShape,
  Pipeline,
  Plan,
  Schedule,
  ShapeBucket,
  StorageForm,
} from "../../runtime/contract/index.ts";
import { cudaNamespace } from "../emit/dialect/cuda.ts";
import { digestOf } from "../files/text.ts";
import { pipelineMeaning, stableJson } from "../ir/meaning.ts";
import type { MeteredTarget } from "../targets.ts";

/** What a result holds for. A result whose key differs in any part is not used. */
export interface TuningKey {
  /** Version of mtac. */
  readonly mtac: string;
  /** `specHash` of the pipeline. */
  readonly spec: string;
  readonly target: MeteredTarget;
  /** What was measured, where it is not the attention itself. */
  readonly direction?: "backward";
  /** Device and driver, as one text that changes when either does. */
  readonly device: string;
  readonly storage: StorageForm;
  readonly bucket: ShapeBucket;
}

/** One way to compute an attention, as it was measured. */
export interface TunedCandidate {
  readonly schedule: Schedule;
  readonly knobs: Plan["knobs"];
  /** `sourceHash` of its plan and kernels: it names the candidate, and tells whether it is still the same. */
  readonly source: string;
}

export const CLOCKS = ["device", "wall", "estimate"] as const;
export type Clock = (typeof CLOCKS)[number];

export const UNITS = ["ns", "cycles"] as const;
export type TimeUnit = (typeof UNITS)[number];

interface Finding {
  readonly format: 1;
  readonly key: TuningKey;
  readonly candidate: TunedCandidate;
  /** The sweep that found it: any text that the tuner chooses. */
  readonly sweep: string;
  /** The very shape that was run. */
  readonly shape: CallShape;
  /** ISO 8601, UTC. */
  readonly at: string;
}

/** A candidate's time. */
export interface Measurement extends Finding {
  readonly kind: "measured";
  /** Round of the sweep, from 0: fewer candidates are measured longer in each. */
  readonly rung: number;
  readonly clock: Clock;
  readonly unit: TimeUnit;
  readonly median: number;
  /** First quartile. */
  readonly low: number;
  /** Third quartile. */
  readonly high: number;
  /** How many runs the quartiles are of. */
  readonly samples: number;
  /** The planner's own first choice. */
  readonly first?: true;
}

export const REJECTIONS = ["wrong", "compile", "device-lost", "limit", "timeout"] as const;

/** Why a candidate has no time. */
export interface Rejection extends Finding {
  readonly kind: "rejected";
  readonly reason: (typeof REJECTIONS)[number];
  /** The error's code, `MTA…`. */
  readonly code: string;
  readonly message: string;
}

/** One line of the store. */
export type TuningRecord = Measurement | Rejection;

/** Sizes rounded to the nearest power of two in log scale. */
export function bucketOf({ B, Lq, Lk, R }: CallShape): ShapeBucket {
  return { B: nearestPower(B), Lq: nearestPower(Lq), Lk: nearestPower(Lk), R: R === 0 ? 0 : nearestPower(R) };
}

function nearestPower(size: number): number {
  return 2 ** Math.round(Math.log2(size));
}

export function sameBucket(a: ShapeBucket, b: ShapeBucket): boolean {
  return a.B === b.B && a.Lq === b.Lq && a.Lk === b.Lk && a.R === b.R;
}

/** Whether two keys are equal but for their buckets. */
export function sameSetting(a: Omit<TuningKey, "bucket">, b: Omit<TuningKey, "bucket">): boolean {
  return (
    a.mtac === b.mtac &&
    a.spec === b.spec &&
    a.target === b.target &&
    a.direction === b.direction &&
    a.device === b.device &&
    a.storage === b.storage
  );
}

export function sameKey(a: TuningKey, b: TuningKey): boolean {
  return sameSetting(a, b) && sameBucket(a.bucket, b.bucket);
}

/** Hash of what an attention computes: equal for pipelines that differ in their names and places only. */
export function specHash(pipeline: Pipeline): string {
  return digestOf(pipelineMeaning(pipeline));
}

/** What of a plan says where it came from, or follows from the rest. */
const PROVENANCE: ReadonlySet<string> = new Set([
  "source",
  "file",
  "entryPoint",
  "program",
  "cost",
  "nominal",
]);

/**
 * Hash of a plan and of its kernels' text, without comments: the attention's name, its place in the spec and the predicted
 * cost do not count, so that a spec may be renamed and rearranged.
 *
 * @param sources The kernels' text by file name, as `emitKernels` gives it; it may hold other files too.
 * @throws RangeError when the text of a kernel is missing.
 */
export function sourceHash(plan: Plan, sources: Readonly<Record<string, string>>): string {
  // A library's text is mtac's own, whose version every key has.
  const written = plan.kernels.filter(({ program }) => program?.kind !== "library");
  const files = [...new Set(written.map(({ file }) => file))];
  const texts = files.map((file) => {
    const text = sources[file];
    if (text === undefined) throw new RangeError(`the text of ${file} is missing`);
    return withoutNames(plan, text);
  });
  return digestOf(stableJson([{ ...plan, pipeline: specHash(plan.pipeline) }, texts], PROVENANCE));
}

/** CUDA's entry points and namespace carry the attention's name, and so do comments. */
function withoutNames(plan: Plan, text: string): string {
  let plain = text.replace(/\/\/.*$/gm, "");
  plan.kernels.forEach(({ entryPoint }, index) => {
    plain = plain.replaceAll(new RegExp(`\\b${entryPoint}\\b`, "g"), `kernel_${index}`);
  });
  return plain.replaceAll(new RegExp(`\\b${cudaNamespace(plan)}\\b`, "g"), "kernels");
}
