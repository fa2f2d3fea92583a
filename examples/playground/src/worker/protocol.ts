import type { TensorError } from "../../../../compiler/execution/comparison.ts";
import type { Diagnostic } from "../../../../compiler/language/index.ts";
import type { TargetLimits } from "../../../../compiler/plan/index.ts";
import type { Explanation } from "../../../../compiler/report/explain.ts";
import type { AutoKind, CallStatistics } from "../../../../runtime/auto/index.ts";
import type { Artifact, CallShape, Pipeline, Plan, Schedule } from "../../../../runtime/contract/index.ts";
import type { DeviceChoice } from "../state/settings.ts";
import type { Problem } from "./rpc.ts";

/** What the page and its workers say to each other: plain data. */

/** What diagnostics and emitted files call the spec. */
export const SPEC_FILE = "spec.mta";

export interface AttentionSummary {
  readonly name: string;
  /** 1-based. */
  readonly line: number;
  readonly heads: number;
  /** Its results depend on the layer. */
  readonly needsLayer: boolean;
}

export interface AnalysisReply {
  readonly diagnostics: readonly Diagnostic[];
  /** Every attention of a spec without errors; none of one that has some. */
  readonly attentions: readonly AttentionSummary[];
  readonly sound: boolean;
}

/** A completion as the editor takes it. */
export interface CompletionReply {
  readonly label: string;
  readonly kind: string;
  readonly detail: string;
  /** Markdown. */
  readonly documentation: string;
  readonly sort: string;
  /** What replaces [from, to): text, or a snippet in the editor's notation. */
  readonly insert: string;
  readonly snippet: boolean;
  readonly from: number;
  readonly to: number;
}

export interface HoverReply {
  readonly from: number;
  readonly to: number;
  readonly markdown: string;
}

export interface CompileRequest {
  readonly text: string;
  readonly attention: string;
  /** Rows and keys that plans are chosen for. */
  readonly length: number;
  /** As nvcc's `-arch` names it. */
  readonly architecture: string;
  readonly schedule: Schedule | null;
}

/** A part that may fail alone: CUDA may have a plan where WebGPU has none. */
export type Attempt<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem };

export interface CompileReply {
  readonly pipeline: Pipeline;
  readonly webgpu: Explanation;
  readonly cuda: Explanation;
  /** Plans for the kinds of WebGPU devices and their kernels, as `mtac compile` writes them. */
  readonly wgsl: Attempt<Artifact>;
  /** The files that `mtac compile` writes for C and C++, by name. */
  readonly cudaFiles: Attempt<{
    readonly plans: readonly Plan[];
    readonly files: Readonly<Record<string, string>>;
  }>;
  readonly milliseconds: number;
}

export interface EmitRequest {
  readonly pipeline: Pipeline;
  readonly device: DeviceReply;
  readonly shape: CallShape;
  readonly schedule: Schedule | null;
  /** Whether there is a plan for gradients. */
  readonly gradients: boolean;
}

export interface CompilerMethods {
  readonly analyse: { readonly params: string; readonly result: AnalysisReply };
  readonly complete: {
    readonly params: { readonly text: string; readonly offset: number };
    readonly result: readonly CompletionReply[];
  };
  readonly hover: {
    readonly params: { readonly text: string; readonly offset: number };
    readonly result: HoverReply | null;
  };
  /** The formatted text, or null where it has syntax errors. */
  readonly format: { readonly params: string; readonly result: string | null };
  readonly compile: { readonly params: CompileRequest; readonly result: CompileReply };
  /** An artifact for one device. */
  readonly emit: { readonly params: EmitRequest; readonly result: Artifact };
}

/** What the page computes with. */
export type DeviceReply =
  | {
      readonly kind: "webgpu";
      /** Vendor, architecture and the like, as far as the browser tells. */
      readonly name: string;
      readonly limits: TargetLimits;
    }
  | {
      readonly kind: "wasm";
      readonly name: string;
      /** Why it is no GPU; null where the processor was asked for. */
      readonly reason: string | null;
      readonly processor: { readonly lanes: number; readonly threads: number };
    };

/** How far a run is. */
export interface RunProgress {
  readonly phase: "compiling kernels" | `running on ${string}` | "computing the reference";
  /** 0 to 1 where it is known. */
  readonly share: number | null;
}

export interface RunRequest {
  readonly pipeline: Pipeline;
  readonly shape: CallShape;
  readonly seed: number;
  readonly layer: number | null;
  readonly gradients: boolean;
  readonly device: DeviceChoice;
  /** What to run on it; null computes the reference alone. */
  readonly artifact: Artifact | null;
}

export interface RunReply {
  /** Null where the reference alone was computed. */
  readonly device: {
    readonly kind: AutoKind;
    readonly name: string;
    readonly statistics: CallStatistics;
    /** Of the backward pass; null where there was none. */
    readonly backward: CallStatistics | null;
    /** Time to make the kernels' pipelines, or to load the library. */
    readonly compileMs: number;
    readonly errors: readonly TensorError[];
  } | null;
  readonly referenceMs: number;
}

export interface MapsRequest {
  readonly pipeline: Pipeline;
  /** Rows and keys. */
  readonly length: number;
  readonly seed: number;
  readonly parameters: "random" | "init";
  readonly batch: number;
  readonly head: number;
  readonly gradients: boolean;
}

export interface StageMap {
  /** `scores`, `scores.conv`, …, `softmax`, `weights.conv`, … */
  readonly name: string;
  /** [length, length] of one head, row-major; 0 where not visible. */
  readonly values: Float64Array;
}

export interface MapsReply {
  readonly length: number;
  /** 1 where visible, [length, length]. */
  readonly visible: Uint8Array;
  /** In the pipeline's order. */
  readonly maps: readonly StageMap[];
  /** Gradients of Σ o·dO for a random dO; null where nobody asked. */
  readonly gradients: {
    /** Of each map, in the order of the maps. */
    readonly maps: readonly StageMap[];
    /** Of q, and of the k and v that the head reads. */
    readonly rows: readonly RowGradients[];
  } | null;
}

/** The gradient of one head's q, k or v. */
export interface RowGradients {
  readonly name: "d_q" | "d_k" | "d_v";
  /** [length, channels], row-major. */
  readonly values: Float64Array;
  readonly channels: number;
}

export interface NumericMethods {
  /** Opens what the page computes with. */
  readonly open: { readonly params: DeviceChoice; readonly result: DeviceReply };
  readonly run: { readonly params: RunRequest; readonly result: RunReply; readonly progress: RunProgress };
  readonly maps: { readonly params: MapsRequest; readonly result: MapsReply };
}

/** Batch entries that maps are computed for. */
export const MAP_BATCH = 2;
