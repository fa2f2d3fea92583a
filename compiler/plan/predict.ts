import type { Cost, FusedProgram, Pipeline } from "../../runtime/contract/index.ts";
import { addCosts, fusedCost, stagedCost } from "./cost.ts";
import { addEstimates, type CudaEstimate } from "./cuda-cost.ts";
import { directFusedCost, directStagedCost } from "./direct/cost.ts";
import { mapKernelRegisters } from "./direct/registers.ts";
import type { ScalarKernel } from "./kernel.ts";
import type { PlanRequest } from "./machine.ts";
import type { StripKernel, StripLimits } from "./schedule/strips.ts";
import type { KernelWork } from "./work.ts";

/** What is predicted of kernels that run one after the other, over a whole call. */
export interface Prediction {
  readonly cost: Cost;
  readonly estimate?: CudaEstimate;
  readonly work: readonly KernelWork[];
}

/** Of one fused kernel; `registers` words of a thread. */
export function predictFused(
  pipeline: Pipeline,
  { machine, shape }: PlanRequest,
  kernel: ScalarKernel<FusedProgram>,
  registers: number,
): Prediction {
  const { name, program, workgroup: threads, workgroupBytes: sharedBytes } = kernel;
  const { architecture } = machine;
  const { counts, ...predicted } =
    architecture === null
      ? fusedCost(pipeline, { program, workgroup: threads }, shape)
      : directFusedCost(pipeline, { program, threads, sharedBytes, registers }, shape, architecture);
  return { ...predicted, work: [{ kernel: name, ...counts }] };
}

/** Of one kernel over a strip's maps. */
export function predictMap(
  pipeline: Pipeline,
  { machine, shape }: PlanRequest,
  kernel: StripKernel,
  strips: StripLimits,
): Prediction {
  const { name, workgroup: threads, workgroupBytes: sharedBytes } = kernel;
  const { architecture } = machine;
  const { counts, ...predicted } =
    architecture === null
      ? stagedCost(pipeline, kernel, shape, strips)
      : directStagedCost(
          pipeline,
          { ...kernel, threads, sharedBytes, registers: mapKernelRegisters(kernel.program) },
          shape,
          strips,
          architecture,
        );
  return { ...predicted, work: [{ kernel: name, ...counts }] };
}

export function addPredictions(predictions: readonly Prediction[]): Prediction {
  const estimates = predictions.flatMap(({ estimate }) => estimate ?? []);
  return {
    cost: addCosts(predictions.map(({ cost }) => cost)),
    ...(estimates.length === 0 ? {} : { estimate: addEstimates(estimates) }),
    work: predictions.flatMap(({ work }) => work),
  };
}
