import { checkObject, describeValue } from "../contract/arguments.ts";
import { MtacError } from "../contract/errors.ts";
import type { Layout } from "../contract/layout.ts";
import { nearestName } from "../contract/names.ts";
import type { Plan } from "../contract/plan.ts";
import { D_PARAMETERS, splitParameters } from "../contract/results.ts";
import type { HostTensor } from "../contract/tensor.ts";
import type { Backend, BackendTypes, CallOutcome } from "./backend.ts";
import type { SavedCall } from "./saved.ts";

/** What a call gives that is to be followed by `backward`. */
export type SavedResult<Result> = Result & {
  /** For `backward`; `release()` it after the last one. */
  readonly saved: SavedCall;
};

/** A gradient that `backward` can be asked for. */
export const GRADIENT_KEYS = ["dQ", "dQHistory", "dK", "dV", "parameters", "dParameters"] as const;
/** One of `GRADIENT_KEYS`. */
export type GradientKey = (typeof GRADIENT_KEYS)[number];

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
  /** [words]: those of all parameters, one after the other in the plan's order. */
  readonly dParameters?: Tensor;
}

/** Which gradients are computed, and where they go. */
export interface BackwardOptions<Tensor> extends GradientOutputs<Tensor> {
  /** Those that are given: all but `dParameters`, if not said. A tensor that one goes to asks for it, too. */
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
  /** On the host, by name, each in its parameter's shape. */
  readonly parameters: ReadonlyMap<string, HostTensor>;
  /** The same as one tensor on the device, in the plan's order; null where it was not asked for, or there are no parameters. */
  readonly dParameters: Types["owned"] | null;
  readonly statistics: Types["statistics"];
}

/** Those gradients that were asked for; null, and no parameters, in place of the others. */
export type SomeGradients<All> = {
  readonly [Key in keyof All]: Key extends "statistics" | "parameters" ? All[Key] : All[Key] | null;
};

/** Those that are given where nothing is said: the parameters' come to the host. */
export const USUAL_GRADIENTS: readonly GradientKey[] = GRADIENT_KEYS.filter(
  (key) => key !== D_PARAMETERS.key,
);

/**
 * The gradients that are asked for.
 *
 * @param usual Those that are given where nothing is said.
 * @throws MtacError MTA614, MTA624
 */
export function wantedGradients(
  options: BackwardOptions<unknown>,
  usual: readonly GradientKey[],
): ReadonlySet<GradientKey> {
  checkObject("outputs", options, "pass an object { dQ, wanted }, or leave it out");
  const { wanted, ...outputs } = options;
  const chosen: unknown = wanted ?? usual;
  if (!Array.isArray(chosen))
    throw noSuchGradient(
      `\`wanted\` is ${describeValue(chosen)}`,
      `give a list of ${GRADIENT_KEYS.join(", ")}`,
    );
  const given = GRADIENT_KEYS.filter((key) => key !== "parameters" && outputs[key] !== undefined);
  const keys = [...chosen, ...given].map((key: unknown) => {
    const known = GRADIENT_KEYS.find((each) => each === key);
    if (known !== undefined) return known;
    const meant = nearestName(String(key), GRADIENT_KEYS);
    const remedy = meant === null ? `there are ${GRADIENT_KEYS.join(", ")}` : `did you mean ${meant}?`;
    throw noSuchGradient(`there is no gradient ${JSON.stringify(key) ?? "undefined"}`, remedy);
  });
  return new Set(keys);
}

function noSuchGradient(message: string, remedy: string): MtacError {
  return new MtacError("MTA624", "usage", message, { remedy });
}

/** Whether a result of a backward pass is needed for what is wanted. */
export function wantsResult(wanted: ReadonlySet<string>, key: string): boolean {
  return wanted.has(key) || (key === D_PARAMETERS.key && wanted.has("parameters"));
}

/** Gradients as callers get them; those of the parameters are brought to the host where they are wanted there. */
export async function gradientsOf<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  backend: Pick<Backend<Tensor, Types>, "read">,
  plan: Plan,
  { results, statistics }: CallOutcome<Tensor, Types>,
  wanted: ReadonlySet<GradientKey>,
): Promise<SomeGradients<Gradients<Tensor, Types>>> {
  const all = results.get(D_PARAMETERS.name) ?? null;
  const kept = wanted.has(D_PARAMETERS.key);
  const words = all !== null && wanted.has("parameters") ? await backend.read(all) : null;
  if (!kept) all?.destroy();
  return {
    ...byKey(results),
    dParameters: kept ? all : null,
    parameters: words === null ? new Map() : splitParameters(plan, words),
    statistics,
  };
}

/** Gradients by the keys that callers know them by. */
export function byKey<Owned>(
  results: ReadonlyMap<string, Owned>,
): Readonly<Record<Exclude<GradientKey, "parameters">, Owned | null>> {
  const of = (name: string): Owned | null => results.get(name) ?? null;
  return {
    dQ: of("d_q"),
    dQHistory: of("d_q_history"),
    dK: of("d_k"),
    dV: of("d_v"),
    dParameters: of(D_PARAMETERS.name),
  };
}
