import type { Cost, Pipeline } from "../../runtime/contract/index.ts";
import { floorGradientMultiplyAdds, floorMultiplyAdds } from "../ir/index.ts";
import type { Kernel } from "./define.ts";
import { addEstimates, type Estimate, estimate } from "./estimate.ts";
import type { PlanRequest, Task } from "./machine.ts";
import { rememberByPipeline } from "./remember.ts";
import { type KernelWork, multiplyAddsOf } from "./work.ts";

/** A kernel with what is predicted of it over a whole call, from nothing but its work and the machine's rates. */
export interface Predicted<Any extends Kernel = Kernel> {
  readonly kernel: Any;
  readonly work: KernelWork;
  readonly estimate: Estimate;
}

/** The one formula that all candidates of all machines are ranked by. */
export function predict<Any extends Kernel>(task: Task, kernel: Any, work: KernelWork): Predicted<Any> {
  task.onPredicted?.(1);
  return { kernel, work, estimate: estimate(work, task.machine.rates) };
}

/** What is predicted of a plan. */
export interface Prediction {
  readonly cost: Cost;
  readonly estimate: Estimate;
  readonly work: readonly KernelWork[];
}

const rememberedFloor = rememberByPipeline<number>();

/** The floor of a call's work, or of its gradients': every candidate reports it. */
export function floorOf(
  pipeline: Pipeline,
  { shape, direction }: Pick<PlanRequest, "shape" | "direction">,
): number {
  const floor = direction === "backward" ? floorGradientMultiplyAdds : floorMultiplyAdds;
  return rememberedFloor(pipeline, JSON.stringify([shape, direction]), () => floor(pipeline, shape));
}

/** What is predicted of kernels that run one after the other, whichever lowering they come from. */
export function predictTogether({ floor }: Task, kernels: readonly Predicted[]): Prediction {
  const total = addEstimates(kernels.map((each) => each.estimate));
  const cost = {
    multiplyAdds: 0,
    floorMultiplyAdds: floor,
    bytes: 0,
    barriers: 0,
    time: total.time,
  };
  for (const { work } of kernels) {
    cost.multiplyAdds += multiplyAddsOf(work);
    cost.bytes += work.cacheBytes;
    cost.barriers += work.barriers;
  }
  return { cost, estimate: total, work: kernels.map((each) => each.work) };
}
