import type { CallShape, Cost, FusedProgram, Pipeline } from "../../runtime/contract/index.ts";
import { floorMultiplyAdds } from "../ir/index.ts";
import { mapKernelRegisters } from "./direct/registers.ts";
import { addEstimates, type Estimate, estimate } from "./estimate.ts";
import type { ScalarKernel } from "./kernel.ts";
import type { PlanRequest } from "./machine.ts";
import { rememberByPipeline } from "./remember.ts";
import { fusedWork, mapWork } from "./scalar-work.ts";
import type { StripKernel, StripKnobs } from "./schedule/strips.ts";
import type { KernelWork } from "./work.ts";

/** What is predicted of kernels that run one after the other over a whole call, from nothing but their work and a machine's rates. */
export interface Prediction {
  readonly cost: Cost;
  readonly estimate: Estimate;
  readonly work: readonly KernelWork[];
}

const rememberedFloor = rememberByPipeline<number>();

/** The floor of the work: every candidate reports it. */
function floorOf(pipeline: Pipeline, shape: CallShape): number {
  return rememberedFloor(pipeline, JSON.stringify(shape), () => floorMultiplyAdds(pipeline, shape));
}

/** The one formula that all candidates of all machines are ranked by. */
export function predict(
  pipeline: Pipeline,
  { machine, shape, onPredicted }: PlanRequest,
  work: readonly KernelWork[],
): Prediction {
  onPredicted?.(work.length);
  const total = addEstimates(work.map((each) => estimate(each, machine.rates)));
  const sum = (of: (each: KernelWork) => number): number => work.reduce((all, each) => all + of(each), 0);
  return {
    cost: {
      multiplyAdds: sum((each) => each.matrixMultiplyAdds + each.f32MultiplyAdds),
      floorMultiplyAdds: floorOf(pipeline, shape),
      bytes: sum((each) => each.cacheBytes),
      barriers: sum((each) => each.barriers),
      time: total.time,
    },
    estimate: total,
    work,
  };
}

/** Of one fused kernel; `registers` words of a thread. */
export function predictFused(
  pipeline: Pipeline,
  request: PlanRequest,
  kernel: ScalarKernel<FusedProgram>,
  registers: number,
): Prediction {
  const { machine, shape } = request;
  return predict(pipeline, request, [fusedWork(pipeline, kernel, registers, shape, machine.units)]);
}

/** Of one kernel over a strip's maps. */
export function predictMap(
  pipeline: Pipeline,
  request: PlanRequest,
  kernel: StripKernel,
  strips: StripKnobs,
): Prediction {
  const { machine, shape } = request;
  const registers = mapKernelRegisters(kernel.program);
  return predict(pipeline, request, [mapWork(pipeline, kernel, registers, { shape, strips }, machine.units)]);
}

/** Of kernels that run one after the other. */
export function addPredictions(predictions: readonly Prediction[]): Prediction {
  const cost = { multiplyAdds: 0, floorMultiplyAdds: 0, bytes: 0, barriers: 0, time: 0 };
  const work: KernelWork[] = [];
  for (const each of predictions) {
    cost.multiplyAdds += each.cost.multiplyAdds;
    cost.floorMultiplyAdds = each.cost.floorMultiplyAdds;
    cost.bytes += each.cost.bytes;
    cost.barriers += each.cost.barriers;
    cost.time += each.cost.time;
    work.push(...each.work);
  }
  return { cost, estimate: addEstimates(predictions.map((each) => each.estimate)), work };
}
