import type { Cost, Pipeline, Plan, Step } from "../../../runtime/contract/index.ts";
import { totalReach } from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { addCosts } from "../cost.ts";
import { addEstimates, type CudaEstimate } from "../cuda-cost.ts";
import type { Fitted } from "../fit.ts";
import type { PlanRequest } from "../machine.ts";
import { mapsOf, rowsLaunch, stripDefinitions, stripSteps } from "../staged.ts";
import { rowBegin, rowEnd } from "../staged-kernels.ts";
import type { KernelWork } from "../work.ts";
import { directStagedCost } from "./cost.ts";
import { defineDirectPlan, directKernelPlan } from "./define.ts";
import { type DirectStagedKnobs, directStagedKernels, type StripKernel } from "./staged-kernels.ts";

/** The staged schedule with given knobs: its predicted cost, and its plan when asked for. */
export interface DirectStagedChoice {
  readonly cost: Cost;
  readonly estimate: CudaEstimate;
  readonly work: readonly KernelWork[];
  plan(): Plan;
}

/** The fewest rows that a strip gains: with fewer the halo would cost more than the strip. */
const LEAST_STRIP_ROWS = 16;

/** Strips of query rows, one kernel a stage, f32 maps of a strip in two buffers that take turns. */
export function fitDirectStaged(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  knobs: DirectStagedKnobs,
): Fitted<DirectStagedChoice> {
  const kernels = directStagedKernels(pipeline, request, knobs);
  if (!kernels.fits) return kernels;
  const predicted = kernels.value.map((kernel) => ({
    name: kernel.name,
    ...directStagedCost(pipeline, kernel, request.shape, knobs, architecture),
  }));
  const cost = addCosts(predicted.map((each) => each.cost));
  return {
    fits: true,
    value: {
      cost,
      estimate: addEstimates(predicted.map((each) => each.estimate)),
      work: predicted.map(({ name, counts }) => ({ kernel: name, ...counts })),
      plan: () => writePlan(pipeline, request, architecture, knobs, kernels.value, cost),
    },
  };
}

/** The knobs as a spec's `tune` block names them. */
export function directStagedKnobNames(knobs: DirectStagedKnobs): Plan["knobs"] {
  return {
    lowering: "direct",
    tile_q: knobs.tileQ,
    tile_k: knobs.tileK,
    product_tile_q: knobs.productTileQ,
    product_workgroup: knobs.productThreads,
    strip_rows: knobs.stripRows,
  };
}

function writePlan(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  knobs: DirectStagedKnobs,
  kernels: readonly StripKernel[],
  cost: Cost,
): Plan {
  const reach = totalReach([...pipeline.scores, ...pipeline.weights]);
  const body: Step[] = kernels.map((kernel) => ({
    kind: "dispatch",
    kernel: kernel.name,
    grid: kernel.grid,
    launch: rowsLaunch(
      kernel.program.kind,
      kernel.program.kind === "product" ? "row" : rowBegin(kernel.halo),
      rowEnd(kernel.halo),
    ),
    multiplyAdds: [
      "mul",
      "batches",
      pipeline.heads,
      "strip",
      ["sub", "key_end", "key_begin"],
      pipeline.headDim,
    ],
  }));
  const strips = { ...knobs, entryBytes: 4, leastRows: LEAST_STRIP_ROWS, multiple: 4, skipDead: true };
  return defineDirectPlan(pipeline, request, architecture, {
    schedule: "staged",
    knobs: directStagedKnobNames(knobs),
    definitions: stripDefinitions(pipeline, strips, reach),
    workspace: mapsOf(kernels).map((name) => ({
      name,
      bytes: ["mul", 4, "batch_step", pipeline.heads, "map_head_stride"],
    })),
    kernels: kernels.map((kernel) => directKernelPlan(pipeline, kernel)),
    steps: stripSteps(pipeline, reach, true, body),
    cost,
  });
}
