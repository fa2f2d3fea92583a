import type { Expression } from "./expression.ts";
import type { DispatchField, LaunchField } from "./launch.ts";
import type { Pipeline, SourceLine } from "./pipeline.ts";
import type { KernelProgram } from "./program.ts";
import type { StorageForm } from "./storage.ts";
import type { TunedPlan } from "./tuned.ts";

/** What kernels are written for. */
export type Target = "webgpu" | "cuda" | "cpu";

/** The ways to order the work of an attention. */
export const SCHEDULES = ["single_pass", "two_pass", "staged"] as const;
/** One of `SCHEDULES`. */
export type Schedule = (typeof SCHEDULES)[number];

/** Why a plan can or cannot run on a device. */
export interface Requirements {
  /** Largest workgroup memory of its kernels, in bytes. */
  readonly workgroupBytes: number;
  /** Largest number of invocations in one workgroup. */
  readonly invocations: number;
  /** Largest number of storage buffers that one kernel binds. */
  readonly storageBuffers: number;
  /** WebGPU features, for example `shader-f16`. */
  readonly features: readonly string[];
  /** CUDA: the least compute capability, times ten (80 for sm_80). */
  readonly computeCapability?: number;
}

/**
 * What one element behind a binding is: of the plan's storage form, f32, f16 (maps of tensor-core kernels), int32, or `word`: an f32
 * that kernels may look at as bits, so that infinities survive. `launch` is the launch block.
 */
export type BindingElement = "storage" | "f32" | "f16" | "i32" | "word" | "launch";

/**
 * What a binding holds: the caller's tensors (`q` … `bias`), results (`o`, `lse` f32 [B, H, Lq], −∞ for empty rows),
 * `parameters` (all parameters in the plan's order, then the call's integer inputs: u32 words), `launch` (the uniform block of
 * `launch.ts`), or a workspace buffer by its name. A tensor that the call does not give is bound to a dummy.
 *
 * CUDA kernels take their bindings as parameters, in order of `binding`: the `uniform` one as `struct Launch` by value
 * of the kernel's `launch` fields, the others as pointers. There `parameters` holds nothing but parameters, `positions`, `lengths` and
 * `documents` are int32 buffers of their own, and a tensor that the call does not give is a null pointer.
 */
export interface BufferBinding {
  readonly binding: number;
  readonly access: "uniform" | "read" | "read_write";
  readonly resource: string;
  /** How the kernel's text declares it, for emitters; artifacts that are shipped leave it out. */
  readonly operand?: Operand;
}

/** How a kernel sees a resource. */
export interface Operand {
  /** The name in the kernel's text: several kernels read `source` and write `result`, whichever maps these are. */
  readonly variable: string;
  readonly element: BindingElement;
  /** Elements that one load or store takes: strides are multiples of it. */
  readonly width: number;
}

/** One kernel of a plan: its source, its bindings, what it computes. */
export interface KernelPlan {
  /** Unique in the plan; also the stem of the kernel's file and its debug label. */
  readonly name: string;
  /** Key into the artifact's sources: `<attention>.<kernel>.wgsl`, or `<attention>.cu` for all kernels of a CUDA plan. */
  readonly file: string;
  readonly entryPoint: string;
  readonly workgroupSize: number;
  /** Workgroup memory; in CUDA dynamic shared memory, given at the launch. */
  readonly workgroupBytes: number;
  readonly bindings: readonly BufferBinding[];
  /** The fields of its launch block. */
  readonly launch: readonly LaunchField[];
  /** Pipeline-overridable constants (WGSL `override`), as functions of the call: variants are made on demand. */
  readonly overrides: Readonly<Record<string, Expression>>;
  /** The spec line that the kernel computes. */
  readonly source: SourceLine | null;
  /** What the kernel does, for emitters; artifacts that are shipped leave it out. */
  readonly program?: KernelProgram;
}

/**
 * What a call does, in order. Expressions see B, Lq, Lk, R (rows of history), H, `positions` (1 where the call gives them, else
 * 0), `d_bias_batches` and `d_bias_heads` (axes of the gradient of `bias`, 0 where it is not asked for), `values_kept` (1 where the call has `VALUES`), the plan's `definitions`, and the variables of the enclosing loops. A dispatch with an empty grid is skipped.
 */
export type Step =
  | {
      readonly kind: "dispatch";
      readonly kernel: string;
      readonly grid: readonly [Expression, Expression, Expression];
      readonly launch: Readonly<Partial<Record<DispatchField, Expression>>>;
      /** Multiply-adds of the dispatch, to decide where a submission must be cut. */
      readonly multiplyAdds: Expression;
    }
  | {
      readonly kind: "loop";
      readonly variable: string;
      readonly from: Expression;
      /** Exclusive. */
      readonly to: Expression;
      readonly by: Expression;
      readonly body: readonly Step[];
    };

/** Device memory that a call needs between its kernels. */
export interface WorkspaceBuffer {
  readonly name: string;
  readonly bytes: Expression;
}

/** What the cost model predicts at the plan's nominal shape. */
export interface Cost {
  readonly multiplyAdds: number;
  readonly floorMultiplyAdds: number;
  readonly bytes: number;
  readonly barriers: number;
  /** Relative time: comparable between candidates of one target only. */
  readonly time: number;
}

/** What plans of this version look like: launchers refuse those of others. */
export const PLAN_FORMAT = 2;

/** One way to compute one attention on one target: plain JSON, executed by the launcher, shown by `mtac explain`. */
export interface Plan {
  readonly format: typeof PLAN_FORMAT;
  readonly target: Target;
  /** Set where it computes gradients from the same inputs and that of o; else it computes o. */
  readonly direction?: "backward";
  /** Set where calls can keep what the output's stages are given, for a backward pass: see `VALUES`. */
  readonly keepsValues?: true;
  readonly schedule: Schedule;
  readonly storage: StorageForm;
  readonly pipeline: Pipeline;
  /** What the planner chose: tile sizes, workgroup size, lowering. */
  readonly knobs: Readonly<Record<string, number | string>>;
  readonly requires: Requirements;
  /** Where each parameter lies in the `parameters` buffer, in 32-bit words. */
  readonly parameters: readonly { readonly name: string; readonly offset: number; readonly length: number }[];
  /** Words of all parameters together; the integer inputs follow. */
  readonly parameterWords: number;
  /** Elements that the strides of a tensor's rows must be multiples of, for example {q: 4, k: 4, v: 4, o: 4}. */
  readonly alignment: Readonly<Record<"q" | "k" | "v" | "o", number>>;
  readonly workspace: readonly WorkspaceBuffer[];
  /** Named values, evaluated in this order before the workspace and the steps. */
  readonly definitions: readonly { readonly name: string; readonly value: Expression }[];
  readonly kernels: readonly KernelPlan[];
  readonly steps: readonly Step[];
  /** Made because it won on some device (`Artifact.tuned`, `tunedBackward`): other devices do not choose it. */
  readonly tuned?: true;
  /** The shape for which the cost was predicted. */
  readonly nominal: { readonly B: number; readonly Lq: number; readonly Lk: number; readonly R: number };
  readonly cost: Cost;
}

/** A CUDA plan's kernels, compiled beforehand, for machines without a compiler. */
export interface KernelImage {
  /** What it was compiled for: `sm_90` (cubin), or the least that it runs on (PTX). */
  readonly architecture: string;
  readonly kind: "cubin" | "ptx";
  /** The source it was made from: a key of the artifact's sources. */
  readonly file: string;
  /** Bytes, or base64 text so that the artifact stays JSON. */
  readonly data: string | Uint8Array;
}

/** Everything a launcher needs for one attention: plans, the most preferred first, and the kernels' text by file name. */
export interface Artifact {
  readonly name: string;
  readonly plans: readonly Plan[];
  /** Plans that compute gradients, the most preferred first; artifacts that nobody trains with leave them out. */
  readonly backward?: readonly Plan[];
  /** Plans for calls that give `dropout_seed`, where the attention has dropout: those above compute what it is without. */
  readonly dropout?: Readonly<Record<"plans" | "backward", readonly Plan[]>>;
  readonly sources: Readonly<Record<string, string>>;
  /** Plans that were the fastest on a device; elsewhere the order of `plans` decides. */
  readonly tuned?: readonly TunedPlan[];
  /** The same of `backward`. */
  readonly tunedBackward?: readonly TunedPlan[];
  /** CUDA: compiled kernels, used where there is no compiler. */
  readonly images?: readonly KernelImage[];
  /** Stages of the spec in the kernels' text, by file name; plan files hold them, launchers do not. */
  readonly traces?: Readonly<Record<string, readonly StageLines[]>>;
}

/** All plans of an artifact: those of calls that drop weights, and those of gradients, too. */
export function allPlans({ plans, backward = [], dropout }: Artifact): readonly Plan[] {
  return [...plans, ...backward, ...(dropout?.plans ?? []), ...(dropout?.backward ?? [])];
}

/** A kernel's lines, counted from 1, that are one stage's, and the stage's line of the spec: first, last, spec. */
export type StageLines = readonly [first: number, last: number, spec: number];
