import type { StorageType } from "../../runtime/contract/index.ts";
import { attentionNode, stackNode, tuneNode } from "./builder-nodes.ts";
import { type Built, makeBuilt, type StageValue, stageValue } from "./builder-values.ts";
import { callSite } from "./call-site.ts";
import type { PointwiseKind } from "./pointwise.ts";

/** An attention built in TypeScript: listed in a spec's default export, extended, or used in a stack. */
export type BuiltAttention = Built<"attention">;
/** What `stack()` makes. */
export type BuiltStack = Built<"stack">;
/** What `tune()` makes. */
export type BuiltTune = Built<"tune">;
/** What a spec in TypeScript exports, one or an array of them. */
export type BuiltDeclaration = BuiltAttention | BuiltStack | BuiltTune;

/** `"6x11"`, or `[6, 11]`: query rows by keys. */
export type Size = `${number}x${number}` | readonly [query: number, key: number];

/** `init` of a spec: what a parameter holds before training. */
export type InitOption = "identity" | "zeros" | { readonly normal: number };

/** A term of the mask. */
export type MaskOption = "causal" | "documents" | "lengths" | "bias" | "none" | { readonly window: number };

/** The modifiers of a `conv`, with names in camelCase. */
export interface ConvOptions {
  readonly padKey?: "both" | "left" | "right";
  readonly padQuery?: "past" | "both";
  readonly across?: number;
  readonly dilation?: Size;
  readonly bias?: boolean;
  readonly shared?: boolean;
  readonly init?: InitOption;
  readonly as?: string;
}

/** The modifiers of a `mix`, with names in camelCase. */
export interface MixOptions {
  readonly init?: InitOption;
  readonly as?: string;
}

/** The modifiers of a `norm`, with names in camelCase. */
export interface NormOptions {
  readonly eps?: number;
  readonly depthScale?: boolean;
  readonly as?: string;
}

/** The modifiers of a `gate`. */
export interface GateOptions {
  readonly as?: string;
}

/** What `attention NAME { … }` holds in a spec, with names in camelCase. */
export interface AttentionOptions {
  readonly extends?: BuiltAttention | string;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly headDim?: number;
  readonly valueDim?: number;
  readonly scale?: number | "rsqrt(headDim)";
  readonly dtype?: StorageType;
  readonly mask?: MaskOption | readonly MaskOption[];
  readonly normalize?: "softmax" | "sparsemax";
  readonly scores?: readonly (StageValue<"conv"> | StageValue<"mix"> | StageValue<PointwiseKind>)[];
  readonly weights?: readonly (StageValue<"conv"> | StageValue<"mix"> | StageValue<"dropout">)[];
  readonly output?: readonly (StageValue<"norm"> | StageValue<"gate">)[];
}

/** A layer, the layers `from` … `to` (both ends), or every n-th layer from one on. */
export type LayerOption =
  | number
  | { readonly from: number; readonly to: number }
  | { readonly every: number; readonly from: number };

/** Which layers of a stack use an attention. */
export type UseOption =
  | { readonly attention: BuiltAttention | string; readonly at: LayerOption | readonly LayerOption[] }
  | { readonly attention: BuiltAttention | string; readonly otherwise: true };

/** What `stack NAME { … }` holds in a spec. */
export interface StackOptions {
  readonly layers: number;
  readonly use: readonly UseOption[];
}

/** What `tune ATTENTION { … }` holds in a spec. */
export interface TuneOptions {
  readonly lengths?: readonly number[];
  readonly batch?: readonly number[];
  /** Values by knob, the knobs in camelCase. */
  readonly sweep?: Readonly<Record<string, readonly (number | string)[]>>;
}

/**
 * A key-query convolution over the scores or the weights.
 * @param size query rows by keys, for example `"6x11"`
 */
export function conv(size: Size, options: ConvOptions = {}): StageValue<"conv"> {
  return stageValue("conv", size, options, callSite(conv));
}

/** Mixes the maps of every `group` heads. */
export function mix(group: number, options: MixOptions = {}): StageValue<"mix"> {
  return stageValue("mix", group, options, callSite(mix));
}

/** Keeps scores within ±`limit`: limit · tanh(s / limit). */
export function softcap(limit: number): StageValue<"softcap"> {
  return stageValue("softcap", limit, {}, callSite(softcap));
}

/** Cuts negative scores off: max(0, s). */
export function relu(): StageValue<"relu"> {
  return stageValue("relu", null, {}, callSite(relu));
}

/**
 * Drops weights in training calls that give `dropoutSeed`; elsewhere the identity.
 * @param rate the probability that an entry becomes 0, from 0 to below 1; the others are divided by 1 − rate
 */
export function dropout(rate: number): StageValue<"dropout"> {
  return stageValue("dropout", rate, {}, callSite(dropout));
}

/** RMS norm over the value dimension, per head. */
export function norm(options: NormOptions = {}): StageValue<"norm"> {
  return stageValue("norm", null, options, callSite(norm));
}

/** A sigmoid gate, one for each head and row (`scalar`) or for each channel. */
export function gate(mode?: "scalar" | "channel", options: GateOptions = {}): StageValue<"gate"> {
  return stageValue(
    "gate",
    null,
    mode === undefined ? options : { [mode]: true, ...options },
    callSite(gate),
  );
}

/**
 * Declares an attention: the same as `attention NAME { … }` in a spec, with the same checks.
 * Nothing is thrown for a wrong value, here or by the functions for stages: `compile`, `analyseBuilt` and the command report it, with the
 * line of the call.
 * @param name letters `a` to `z`, digits and `_`, as in a spec
 */
export function attention(name: string, options: AttentionOptions): BuiltAttention {
  return makeBuilt("attention", name, attentionNode(name, options, callSite(attention)));
}

/** Declares which layer uses which attention: the same as `stack NAME { … }` in a spec. */
export function stack(name: string, options: StackOptions): BuiltStack {
  return makeBuilt("stack", name, stackNode(name, options, callSite(stack)));
}

/** Declares the sweep for one attention: the same as `tune ATTENTION { … }` in a spec. */
export function tune(target: BuiltAttention | string, options: TuneOptions): BuiltTune {
  return makeBuilt(
    "tune",
    typeof target === "string" ? target : target.name,
    tuneNode(target, options, callSite(tune)),
  );
}
