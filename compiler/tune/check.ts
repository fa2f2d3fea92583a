import type { CallShape, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { compareGradients, compareTensors } from "../execution/comparison.ts";
import type { Meter, MeteredPlan, PlacedCall } from "../execution/meter.ts";
import { randomCall } from "../execution/random-call.ts";
import { referenceTensors } from "../execution/reference-results.ts";
import type { AttentionCall } from "../execution/request.ts";
import { deviceFacts } from "../targets.ts";
import type { Refusal } from "./rejection.ts";
import { layerFor } from "./trial-candidates.ts";

/** A small call, and what the float64 reference makes of it. */
export class CorrectnessCheck<Placed extends PlacedCall> {
  readonly call: AttentionCall;
  readonly #pipeline: Pipeline;
  readonly #meter: Meter<Placed>;
  #expected: ReadonlyMap<string, Float64Tensor> | null = null;
  #placed: Placed | null = null;

  /** @param grad Whether gradients are checked, not the attention itself. */
  constructor(meter: Meter<Placed>, pipeline: Pipeline, shape: CallShape, seed: number, grad: boolean) {
    this.#meter = meter;
    this.#pipeline = pipeline;
    const Lk = Math.min(shape.Lk, deviceFacts(meter.target).checkedKeys);
    const small = { B: Math.min(shape.B, 2), Lq: Math.min(shape.Lq, Lk), Lk, R: 0 };
    const R = Math.min(shape.R, Math.max(0, small.Lk - small.Lq));
    this.call = randomCall(pipeline, { ...small, R }, { seed, layer: layerFor(pipeline), grad });
  }

  /** Why the plan's results are wrong; null where they are right. */
  async fault(plan: MeteredPlan<Placed>): Promise<Refusal | null> {
    this.#placed ??= this.#meter.place(this.#pipeline, this.call);
    await plan.sample(this.#placed);
    const results = await plan.results(this.#placed);
    this.#expected ??= expectedOf(this.#pipeline, this.call);
    const { storage } = this.#pipeline;
    const errors =
      this.call.dO === null
        ? compareTensors(results, this.#expected, storage)
        : compareGradients(results, this.#expected, storage);
    const wrong = errors.find(({ ok }) => !ok);
    if (wrong === undefined) return null;
    const { tensor, error, bound } = wrong;
    const message = `${tensor} lies ${error.toExponential(1)} from the reference, at most ${bound.toExponential(0)}`;
    return { reason: "wrong", code: "MTA409", message };
  }

  /** After the device was lost, or at the end. */
  forget(): void {
    this.#placed?.release();
    this.#placed = null;
  }
}

/** Without the gradient of the bias: nobody asks for it. */
function expectedOf(pipeline: Pipeline, call: AttentionCall): ReadonlyMap<string, Float64Tensor> {
  return new Map([...referenceTensors(pipeline, call)].filter(([name]) => name !== "d_bias"));
}
