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
  const { staged } = request.machine;
  const parts = new StagedParts(pipeline, request, true);
  const kernels = graphOf(pipeline).ops.length;
  const { taken, left } = affordable(staged.tiles, kernels * staged.stripRows.length);
  const candidates: Candidate[] = [];
  for (const tile of taken)
    for (const productTileQ of staged.productTilesQ)
      for (const productWorkgroup of staged.productWorkgroups)
        for (const stripRows of staged.stripRows)
          candidates.push(
            stagedCandidate(parts, {
              ...tile,
              productTileQ,
              productWorkgroup,
              strips: { ...STRIPS, stripRows, stripBytes: staged.stripBytes, skipDead: true },
            }),
          );
  return [
    ...candidates,
    ...left.map(({ tileQ, tileK }) => {
      const knobs = { ...request.machine.lowering, tile_q: tileQ, tile_k: tileK };
      return unexplored("staged", knobs, kernels);
    }),
  ];
}

function stagedCandidate(parts: StagedParts, knobs: StagedKnobs): Candidate {
  const names = knobNames(parts.request, knobs);
  const fitted = parts.fit(knobs);
  if (!fitted.fits) return dropped("staged", names, fitted.reason);
  const { prediction, plan } = fitted.value;
  return legal("staged", names, prediction, plan);
}

/**
 * The pipeline as most code computes it: the kernels of `staged` over one strip of all rows, with whole maps in memory and nothing
 * skipped.
 */
export function unfusedStagedPlan(pipeline: Pipeline, request: PlanRequest): Fitted<Plan> {
  const fitted = new StagedParts(pipeline, request, false).fit({
    tileQ: 32,
    tileK: 32,
    productTileQ: 16,
    productWorkgroup: 64,
    strips: {
      ...STRIPS,
      stripRows: Number.MAX_SAFE_INTEGER,
      stripBytes: Number.MAX_SAFE_INTEGER,
      skipDead: false,
    },
  });
  return fitted.fits ? { fits: true, value: fitted.value.plan() } : fitted;
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

/** Makes staged plans of one request: what several of them share, kernels and predictions, is made once. */
class StagedParts {
  readonly request: PlanRequest;
  private readonly pipeline: Pipeline;
  private readonly graph: Graph;
  private readonly routes: readonly RoutedOp[];
  private readonly context: StagedContext;
  private readonly known = new Map<string, readonly PredictedKernel[]>();

  constructor(pipeline: Pipeline, request: PlanRequest, skipDead: boolean) {
    this.request = request;
    this.pipeline = pipeline;
    this.graph = graphOf(pipeline);
    this.routes = routeMaps(this.graph);
    this.context = { pipeline, machine: request.machine, skipDead };
  }

  /** The plan of some knobs, written when somebody asks for it, or the limit that it breaks. */
  fit(knobs: StagedKnobs): Fitted<{ readonly prediction: Prediction; plan(): Plan }> {
    const { tileQ, tileK, productTileQ, productWorkgroup } = knobs;
    const strips = forcedStrips(knobs.strips, this.request.options);
    const weights = this.routes.at(-1)?.from ?? "";
    const product = productKernel(this.context, this.graph.product, knobs, weights);
    if (!product.fits) return product;
    const kernels = [
      ...this.predict(["maps", tileQ, tileK], strips, () => mapKernels(this.context, this.routes, knobs)),
      ...this.predict(["product", productTileQ, productWorkgroup], strips, () => [product.value]),
    ];
    const prediction = addPredictions(kernels.map((each) => each.prediction));
    const plan = (): Plan => this.writePlan({ ...knobs, strips }, kernels, prediction);
    return { fits: true, value: { prediction, plan } };
  }

  private predict(
    part: readonly (string | number)[],
    strips: StripKnobs,
    make: () => readonly StripKernel[],
  ): readonly PredictedKernel[] {
    const key = [...part, strips.stripRows].join();
    let kernels = this.known.get(key);
    if (kernels === undefined) {
      kernels = make().map((kernel) => ({
        kernel,
        prediction: predictMap(this.pipeline, this.request, kernel, strips),
      }));
      this.known.set(key, kernels);
    }
    return kernels;
  }

  private writePlan(knobs: StagedKnobs, kernels: readonly PredictedKernel[], { cost }: Prediction): Plan {
    const { pipeline, request } = this;
    const { machine } = request;
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
      kernels: kernels.map(({ kernel }) => kernelPlan(machine, pipeline, kernel)),
      steps: stripSteps(pipeline, reach, strips.skipDead, body),
      cost,
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
