import type { Pipeline, Plan, Step } from "../../../runtime/contract/index.ts";
import { affordable, type Candidate, dropped, legal, unexplored } from "../candidate.ts";
import { definePlan } from "../define.ts";
import type { Fitted } from "../fit.ts";
import { type Graph, graphOf, mapSlots, type Op } from "../graph.ts";
import { kernelPlan } from "../kernel.ts";
import type { PlanRequest, Tile } from "../machine.ts";
import type { OptionName } from "../options.ts";
import { addPredictions, type Prediction, predictMap } from "../predict.ts";
import {
  convKernel,
  mixKernel,
  normalizeKernel,
  type ProductKnobs,
  productKernel,
  type StagedContext,
  scoresKernel,
} from "./staged-kernels.ts";
import {
  forcedStrips,
  rowBegin,
  rowEnd,
  rowsLaunch,
  type StripKernel,
  type StripKnobs,
  stripDefinitions,
  stripSteps,
} from "./strips.ts";

/** Knobs of the staged schedule. */
interface StagedKnobs extends Tile, ProductKnobs {
  readonly strips: StripKnobs;
}

/** What changes the strips of staged plans: see `forcedStrips`. */
export const STAGED_OPTIONS: readonly OptionName[] = ["stripRows", "stripBytes"];

/** Strips of f32 maps: with fewer than 16 rows the halo would cost more than the strip. */
const STRIPS = { entryBytes: 4, leastRows: 16, multiple: 4 } as const;

/** Candidates of strips of query rows, one kernel an operation, with maps of a strip in buffers that take turns. */
export function stagedCandidates(pipeline: Pipeline, request: PlanRequest): readonly Candidate[] {
  const { staged, lowering } = request.machine;
  const kernels = graphOf(pipeline).ops.length;
  const { taken, left } = affordable(staged.tiles, kernels * staged.stripRows.length);
  const parts = new StagedParts(pipeline, request, true);
  const { stripBytes } = staged;
  const strips = staged.stripRows.map((stripRows) =>
    forcedStrips({ ...STRIPS, stripRows, stripBytes, skipDead: true }, request.options),
  );
  // What several candidates share is made once.
  const products = staged.productTilesQ.flatMap((productTileQ) =>
    staged.productWorkgroups.map((productWorkgroup) =>
      parts.product({ productTileQ, productWorkgroup }, strips),
    ),
  );
  const candidates = taken.flatMap((tile) => {
    const maps = parts.maps(tile, strips);
    return products.flatMap(({ knobs: product, fitted }) =>
      strips.map((own, index) => {
        const knobs = { ...tile, ...product, strips: own };
        const names = knobNames(request, knobs);
        if (!fitted.fits) return dropped("staged", names, fitted.reason);
        const choice = joined(knobs, [...(maps[index] ?? []), ...(fitted.value[index] ?? [])]);
        return legal("staged", names, choice.prediction, () => parts.plan(choice));
      }),
    );
  });
  return [
    ...candidates,
    ...left.map(({ tileQ, tileK }) =>
      unexplored("staged", { ...lowering, tile_q: tileQ, tile_k: tileK }, kernels),
    ),
  ];
}

/**
 * The pipeline as most code computes it: the kernels of `staged` over one strip of all rows, with whole maps in memory and nothing
 * skipped.
 */
export function unfusedStagedPlan(pipeline: Pipeline, request: PlanRequest): Fitted<Plan> {
  const parts = new StagedParts(pipeline, request, false);
  const whole = Number.MAX_SAFE_INTEGER;
  const strips = { ...STRIPS, stripRows: whole, stripBytes: whole, skipDead: false };
  const tile = { tileQ: 32, tileK: 32 };
  const { knobs, fitted } = parts.product({ productTileQ: 16, productWorkgroup: 64 }, [strips]);
  if (!fitted.fits) return fitted;
  const kernels = [...parts.maps(tile, [strips]), ...fitted.value].flat();
  return { fits: true, value: parts.plan(joined({ ...tile, ...knobs, strips }, kernels)) };
}

/** The knobs as a spec's `tune` block names them. */
function knobNames({ machine }: PlanRequest, knobs: StagedKnobs): Plan["knobs"] {
  return {
    ...machine.lowering,
    tile_q: knobs.tileQ,
    tile_k: knobs.tileK,
    product_tile_q: knobs.productTileQ,
    product_workgroup: knobs.productWorkgroup,
    strip_rows: knobs.strips.stripRows,
  };
}

/** A kernel with what is predicted of it. */
interface PredictedKernel {
  readonly kernel: StripKernel;
  readonly prediction: Prediction;
}

/** Kernels that make a plan together. */
interface StagedChoice {
  readonly knobs: StagedKnobs;
  readonly kernels: readonly PredictedKernel[];
  readonly prediction: Prediction;
}

function joined(knobs: StagedKnobs, kernels: readonly PredictedKernel[]): StagedChoice {
  return { knobs, kernels, prediction: addPredictions(kernels.map((each) => each.prediction)) };
}

/** Makes the parts of one request's staged plans, and plans of them. */
class StagedParts {
  private readonly request: PlanRequest;
  private readonly pipeline: Pipeline;
  private readonly graph: Graph;
  private readonly routes: readonly RoutedOp[];
  private readonly context: StagedContext;

  constructor(pipeline: Pipeline, request: PlanRequest, skipDead: boolean) {
    this.request = request;
    this.pipeline = pipeline;
    this.graph = graphOf(pipeline);
    this.routes = routeMaps(this.graph);
    this.context = { pipeline, machine: request.machine, skipDead };
  }

  /** The kernels up to the finished weights, over each kind of strips. */
  maps(tile: Tile, strips: readonly StripKnobs[]): readonly (readonly PredictedKernel[])[] {
    const kernels = mapKernels(this.context, this.routes, tile);
    return strips.map((each) => kernels.map((kernel) => this.predict(kernel, each)));
  }

  /** The product with V over each kind of strips, or the limit that it breaks. */
  product(
    knobs: ProductKnobs,
    strips: readonly StripKnobs[],
  ): {
    readonly knobs: ProductKnobs;
    readonly fitted: Fitted<readonly (readonly PredictedKernel[])[]>;
  } {
    const weights = this.routes.at(-1)?.from ?? "";
    const product = productKernel(this.context, this.graph.product, knobs, weights);
    if (!product.fits) return { knobs, fitted: product };
    return {
      knobs,
      fitted: { fits: true, value: strips.map((each) => [this.predict(product.value, each)]) },
    };
  }

  private predict(kernel: StripKernel, strips: StripKnobs): PredictedKernel {
    return { kernel, prediction: predictMap(this.pipeline, this.request, kernel, strips) };
  }

  plan({ knobs, kernels, prediction }: StagedChoice): Plan {
    const { pipeline, request } = this;
    const { strips } = knobs;
    const { reach } = this.graph;
    const maps = [...new Set(this.routes.map(({ to }) => to))];
    const body = kernels.map((kernel) => kernelStep(kernel, request));
    return definePlan(pipeline, request, {
      schedule: "staged",
      knobs: knobNames(request, knobs),
      definitions: stripDefinitions(pipeline, strips, reach),
      workspace: maps.map((name) => ({
        name,
        bytes: ["mul", strips.entryBytes, "batch_step", pipeline.heads, "map_head_stride"],
      })),
      kernels: kernels.map(({ kernel }) => kernelPlan(request.machine, pipeline, kernel)),
      steps: stripSteps(pipeline, reach, strips.skipDead, body),
      cost: prediction.cost,
    });
  }
}

/** The dispatch of a kernel over a strip; its work is measured on the nominal shape, an entry. */
function kernelStep({ kernel, prediction }: PredictedKernel, { shape }: PlanRequest): Step {
  const { program, halo } = kernel;
  const entries = Math.max(1, shape.B * shape.Lq * shape.Lk);
  const perEntry = Math.max(1, Math.ceil((2 * prediction.cost.multiplyAdds) / entries));
  return {
    kind: "dispatch",
    kernel: kernel.name,
    grid: kernel.grid,
    launch: rowsLaunch(program.kind, program.kind === "product" ? "row" : rowBegin(halo), rowEnd(halo)),
    multiplyAdds: ["mul", "batches", perEntry, ["sub", "key_end", "key_begin"], "strip"],
  };
}

/** An operation with the buffers of the maps that it reads and writes; the dot reads none, and the product writes none. */
interface RoutedOp {
  readonly op: Op;
  readonly from: string;
  readonly to: string;
}

/** Gives the maps between operations their buffers, where each operation is a kernel of its own. */
function routeMaps({ ops }: Graph): readonly RoutedOp[] {
  let map = 0;
  const uses = ops.map((op) => {
    const reads = map;
    if (op.kind === "conv" || op.kind === "mix") map += 1;
    return { op, reads, writes: map };
  });
  const slots = mapSlots(uses.map(({ reads, writes }) => ({ reads: [reads], writes })));
  const slot = (number: number): string => slots.get(number) ?? "";
  return uses.map(({ op, reads, writes }) => ({ op, from: slot(reads), to: slot(writes) }));
}

/** The kernels up to the finished weights. */
function mapKernels(
  context: StagedContext,
  routes: readonly RoutedOp[],
  { tileQ, tileK }: Tile,
): readonly StripKernel[] {
  const tile = { tileQ, tileK };
  const kernels: StripKernel[] = [];
  for (const { op, ...route } of routes) {
    if (op.kind === "dot") kernels.push(scoresKernel(context, op, tile, route));
    else if (op.kind === "conv") kernels.push(convKernel(context, op, tile, route));
    else if (op.kind === "mix") kernels.push(mixKernel(context, op, route));
    else if (op.kind === "normalize") kernels.push(normalizeKernel(context, op, route.to));
  }
  return kernels;
}
