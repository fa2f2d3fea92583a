import type { Layout } from "../contract/layout.ts";
import type { HostTensor } from "../contract/tensor.ts";
import type { BackendTypes } from "./backend.ts";
import type { SavedCall } from "./saved.ts";

/** What a call gives that is to be followed by `backward`. */
export type SavedResult<Result> = Result & {
  /** For `backward`; `release()` it after the last one. */
  readonly saved: SavedCall;
};

/** A gradient that `backward` can be asked for. */
export type GradientKey = "dQ" | "dQHistory" | "dK" | "dV" | "dBias" | "parameters" | "dParameters";

/** Where gradients go: f32, contiguous; those that are left out are allocated. */
export interface GradientOutputs<Tensor> {
  /** [B, H, Lq, D] */
  readonly dQ?: Tensor;
  /** [B, H, R, D] */
  readonly dQHistory?: Tensor;
  /** [B, Hkv, Lk, D] */
  readonly dK?: Tensor;
  /** [B, Hkv, Lk, Dv] */
  readonly dV?: Tensor;
  /** As large as the bias of the call: [B or 1, H or 1, R + Lq, Lk] */
  readonly dBias?: Tensor;
  /** [words]: those of all parameters, one after the other in the plan's order. */
  readonly dParameters?: Tensor;
}

/** Which gradients are computed, and where they go. */
export interface BackwardOptions<Tensor> extends GradientOutputs<Tensor> {
  /** Those that are given: all but `dBias` and `dParameters`, if not said. A tensor that one goes to asks for it, too. */
  readonly wanted?: readonly GradientKey[];
}

/** Gradients of Σ o·dO, all f32; tensors stay on the device, and are the caller's to destroy. */
export interface Gradients<Tensor extends Layout, Types extends BackendTypes<Tensor>> {
  /** [B, H, Lq, D] */
  readonly dQ: Types["owned"];
  /** [B, H, R, D]; null where the call has no history. */
  readonly dQHistory: Types["owned"] | null;
  /** [B, Hkv, Lk, D] */
  readonly dK: Types["owned"];
  /** [B, Hkv, Lk, Dv] */
  readonly dV: Types["owned"];
  /** In the shape of the bias, summed up along its axes of one element; null where it was not asked for, or the mask has no bias. */
  readonly dBias: Types["owned"] | null;
  /** On the host, by name, each in its parameter's shape. */
  readonly parameters: ReadonlyMap<string, HostTensor>;
  /** The same as one tensor on the device, in the plan's order; null where it was not asked for, or there are no parameters. */
  readonly dParameters: Types["owned"] | null;
  readonly statistics: Types["statistics"];
}

/** Those gradients that were asked for; null in place of the others. */
export type SomeGradients<All> = {
  readonly [Key in keyof All]: Key extends "statistics" ? All[Key] : All[Key] | null;
};
