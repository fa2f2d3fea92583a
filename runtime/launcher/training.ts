import { checkObject, describeValue } from "../contract/arguments.ts";
import { MtacError } from "../contract/errors.ts";
import type { Layout } from "../contract/layout.ts";
import { nearestName } from "../contract/names.ts";
import type { ParameterVersion } from "../contract/parameters.ts";
import type { Artifact, Plan } from "../contract/plan.ts";
import { D_PARAMETERS, splitParameters } from "../contract/results.ts";
import type { CallShape } from "../contract/tensor.ts";
import type { Backend, BackendTypes, CallOutcome, PreparedCall } from "./backend.ts";
import type { AskedCall } from "./call.ts";
import type { BackwardOptions, GradientKey, Gradients, SomeGradients } from "./gradients.ts";
import {
  choosePlan,
  planForShape,
  shapeOfInputs,
  type TunedChoice,
  tunedChoices,
  whatLacks,
} from "./plan-choice.ts";
import { SavedCall, type SavedState } from "./saved.ts";

/** What training needs of a launcher. */
export interface Trained<Tensor extends Layout, Types extends BackendTypes<Tensor>> {
  readonly backend: Backend<Tensor, Types>;
  readonly artifact: Artifact;
  readonly saved: WeakMap<SavedCall, SavedState<Tensor, Types>>;
  /** Checks a call of a plan. */
  prepare(
    asked: AskedCall<Tensor>,
    version: ParameterVersion<Types["memory"]>,
    plan: Plan,
  ): PreparedCall<Tensor, Types>;
}

/** A backward pass that can be run, and what is to be given of it. */
export interface PreparedPass<Tensor extends Layout, Types extends BackendTypes<Tensor>> {
  readonly call: PreparedCall<Tensor, Types>;
  readonly wanted: ReadonlySet<GradientKey>;
  /** What it reads of the saved call. */
  readonly state: SavedState<Tensor, Types>;
}

const GRADIENT_KEYS: readonly GradientKey[] = [
  "dQ",
  "dQHistory",
  "dK",
  "dV",
  "dBias",
  "parameters",
  "dParameters",
];

/** The backward side of a launcher. */
export class Trainer<Tensor extends Layout, Types extends BackendTypes<Tensor>> {
  /** The first of the artifact's plans for gradients that the device can run; see `planFor`. */
  readonly plan: Plan;
  /** The same for calls that drop weights. */
  readonly dropoutPlan: Plan;
  readonly #tuned: readonly TunedChoice[];
  readonly #launcher: Trained<Tensor, Types>;

  /** @throws MtacError MTA620; the target's error, where no plan fits the device. */
  constructor(launcher: Trained<Tensor, Types>) {
    const { backend, artifact } = launcher;
    const { backward: plans = [], tunedBackward: tuned = [] } = artifact;
    if (plans.length === 0)
      throw new MtacError("MTA620", "usage", `attention "${artifact.name}" was compiled without gradients`, {
        remedy: "compile the spec with --grad, or with `grad: true` in the build step",
      });
    this.plan = choosePlan(backend, { ...artifact, plans }, {});
    const { dropout } = artifact;
    this.dropoutPlan =
      dropout === undefined ? this.plan : choosePlan(backend, { ...artifact, plans: dropout.backward }, {});
    const fits = (plan: Plan): boolean => whatLacks(backend, plan).length === 0;
    this.#tuned = tunedChoices({ plans, tuned }, backend.identity, {}, fits);
    this.#launcher = launcher;
  }

  /**
   * The plan that gradients of calls of a shape take: the one that was the fastest on this device near that shape, else `plan`. Any suits any
   * forward plan: what that has not kept it computes again.
   */
  planFor(shape: CallShape): Plan {
    return planForShape(this.#tuned, this.plan, shape);
  }

  /**
   * Checks a backward pass and applies its plan to its size.
   *
   * @param onHost Whether the parameters' gradients come to the host where nothing is said.
   */
  prepare(
    saved: SavedCall,
    dO: Tensor,
    options: BackwardOptions<Tensor>,
    onHost: boolean,
  ): PreparedPass<Tensor, Types> {
    const wanted = wantedGradients(options, onHost ? "parameters" : D_PARAMETERS.key);
    const state = this.#stateOf(saved);
    const { inputs, version, values } = state;
    const { wanted: _names, ...outputs } = options;
    const asked: AskedCall<Tensor> = {
      inputs,
      dO,
      values,
      outputs,
      wants: (key) => [...wanted].some((each) => each === key) || wantsWords(wanted, key),
    };
    const plan = inputs.dropoutSeed === undefined ? this.planFor(shapeOfInputs(inputs)) : this.dropoutPlan;
    return { call: this.#launcher.prepare(asked, version, plan), wanted, state };
  }

  /** Gradients by the keys that callers know them by. */
  byKey<Owned>(
    results: ReadonlyMap<string, Owned>,
  ): Readonly<Record<Exclude<GradientKey, "parameters">, Owned | null>> {
    const of = (name: string): Owned | null => results.get(name) ?? null;
    return {
      dQ: of("d_q"),
      dQHistory: of("d_q_history"),
      dK: of("d_k"),
      dV: of("d_v"),
      dBias: of("d_bias"),
      dParameters: of(D_PARAMETERS.name),
    };
  }

  /** Gradients as callers get them; those of the parameters are brought to the host where they are wanted there. */
  async finish(
    { results, statistics }: CallOutcome<Tensor, Types>,
    wanted: ReadonlySet<GradientKey>,
  ): Promise<SomeGradients<Gradients<Tensor, Types>>> {
    const { dParameters: words, ...others } = this.byKey(results);
    const kept = wanted.has(D_PARAMETERS.key);
    const values =
      words === null || !wanted.has("parameters")
        ? new Float32Array()
        : await this.#launcher.backend.read(words);
    if (!kept) words?.destroy();
    return {
      ...others,
      dParameters: kept ? words : null,
      parameters: wanted.has("parameters") ? splitParameters(this.plan, values) : null,
      statistics,
    };
  }

  /** @throws MtacError MTA621 … MTA623 */
  #stateOf(saved: unknown): SavedState<Tensor, Types> {
    const { artifact, saved: states } = this.#launcher;
    const subject = `attention "${artifact.name}"`;
    const fault = (code: string, message: string, remedy = SAVE): MtacError =>
      new MtacError(code, "usage", message, { remedy });
    if (!(saved instanceof SavedCall))
      throw fault("MTA621", `gradients need a saved call, not ${describeValue(saved)}`);
    const state = states.get(saved);
    if (state === undefined)
      throw fault("MTA622", `the call was saved by another launcher than this one of ${subject}`);
    if (saved.released)
      throw fault(
        "MTA623",
        `the saved call of ${subject} was released`,
        "release it after the last backward pass",
      );
    return state;
  }
}

const SAVE = "pass `saved` of what forward(inputs, { save: true }) of the same launcher gives";

/** Those of the parameters come from the device as one tensor, wherever they go. */
function wantsWords(wanted: ReadonlySet<GradientKey>, key: string): boolean {
  return key === D_PARAMETERS.key && wanted.has("parameters");
}

/**
 * The gradients that are asked for.
 *
 * @param parameters How those of the parameters are given where nothing is said.
 * @throws MtacError MTA614, MTA624
 */
function wantedGradients(
  options: BackwardOptions<unknown>,
  parameters: GradientKey,
): ReadonlySet<GradientKey> {
  checkObject("outputs", options, "pass an object { dQ, wanted }, or leave it out");
  const { wanted, ...outputs } = options;
  const chosen: unknown = wanted ?? ["dQ", "dQHistory", "dK", "dV", parameters];
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
