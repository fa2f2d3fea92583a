import {
  type Cost,
  type Expression,
  type Finish,
  type Pipeline,
  type Plan,
  type Reach,
  type Step,
  type TensorProgram,
  totalReach,
} from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import type { BoundResource } from "../bindings.ts";
import { doesNotFit, type Fitted } from "../fit.ts";
import {
  type ConvOp,
  type DotOp,
  graphOf,
  type LinearOp,
  type NormalizeOp,
  type ProductOp,
} from "../graph.ts";
import type { UnlaunchedKernel } from "../launch-fields.ts";
import { statisticsBuffer } from "../layout.ts";
import type { PlanRequest } from "../machine.ts";
import {
  forcedStrips,
  rowBegin,
  rowEnd,
  rowsLaunch,
  type StripKnobs,
  stripDefinitions,
  stripSteps,
} from "../schedule/strips.ts";
import { defineTensorPlan, resultMap, sourceMap, type TensorChoice, tensorKernel } from "./define.ts";
import { fitMix, fitProduct, STATISTICS_WARPS } from "./map-kernels.ts";
import { tileRows } from "./support.ts";
import { fitTile, type TileKnobs, type TileRequest } from "./tile.ts";

/** Knobs of the staged schedule on tensor cores. */
export interface StagedTensorKnobs {
  readonly tile: TileKnobs;
  readonly productRowBlocks: number;
}

/** Keys of a map that one block of a tile kernel writes: longer chunks recompute less, shorter ones fill the device. */
const CHUNK = 512;
const STRIPS: StripKnobs = {
  stripRows: 512,
  // They stay in the second-level cache of data-centre devices.
  stripBytes: 32 * 2 ** 20,
  entryBytes: 2,
  leastRows: 64,
  multiple: 64,
  skipDead: true,
};

interface StagedKernelParts {
  readonly kernel: UnlaunchedKernel;
  readonly program: TensorProgram;
  readonly grid: readonly [Expression, Expression, Expression];
  readonly halo: Reach;
}

/** Strips of query rows, one kernel a stage, f16 maps in two buffers that take turns. */
export function tensorStaged(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  knobs: StagedTensorKnobs,
): Fitted<TensorChoice> {
  const kernels = stagedTensorKernels({ pipeline, architecture, knobs });
  if (!kernels.fits) return kernels;
  const strips = forcedStrips(STRIPS, request.options);
  const work = kernels.value.map(({ kernel, program, halo }) => ({
    name: kernel.name,
    program,
    maps: { strips, halo },
  }));
  return {
    fits: true,
    value: {
      kernels: work,
      plan: (cost) => stagedPlan(pipeline, request, architecture, { ...knobs, strips }, kernels.value, cost),
    },
  };
}

function stagedPlan(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  knobs: StagedTensorKnobs & { readonly strips: StripKnobs },
  parts: readonly StagedKernelParts[],
  cost: Cost,
): Plan {
  const reach = totalReach([...pipeline.scores, ...pipeline.weights]);
  const weightHistory: Expression = "weight_history";
  const { strips } = knobs;
  // Statistics are kept where another kernel reads them.
  const keeps = parts.some(({ kernel }) => kernel.name === "statistics");
  const body: Step[] = parts.map(({ kernel, program, grid, halo }) => ({
    kind: "dispatch",
    kernel: kernel.name,
    grid,
    launch: {
      ...rowsLaunch(program.kind, rowBegin(halo), rowEnd(halo)),
      ...(keeps ? { statistics_history: weightHistory } : {}),
    },
    multiplyAdds: [
      "mul",
      "batches",
      pipeline.heads,
      "strip",
      ["sub", "key_end", "key_begin"],
      pipeline.headDim,
    ],
  }));
  return defineTensorPlan(pipeline, request, architecture, {
    schedule: "staged",
    knobs: stagedTensorKnobNames(pipeline, knobs),
    definitions: [
      ...stripDefinitions(pipeline, strips, reach),
      // Rows of history whose softmax the weights' convolutions read.
      { name: weightHistory, value: ["min", "R", totalReach(pipeline.weights).past] },
    ],
    workspace: [
      ...(["map_0", "map_1"] as const)
        .slice(
          0,
          parts.some(({ kernel }) => kernel.bindings.some(({ resource }) => resource === "map_1")) ? 2 : 1,
        )
        .map((name) => ({
          name,
          bytes: ["mul", 2, "batch_step", pipeline.heads, "map_head_stride"] as const,
        })),
      ...(keeps ? [statisticsBuffer(pipeline, weightHistory)] : []),
    ],
    kernels: parts.map(({ kernel }) => kernel),
    steps: stripSteps(pipeline, reach, true, body),
    cost,
  });
}

export function stagedTensorKnobNames(pipeline: Pipeline, knobs: StagedTensorKnobs): Plan["knobs"] {
  const conv = [...pipeline.scores, ...pipeline.weights].some((stage) => stage.kind === "conv");
  return {
    lowering: conv ? "toeplitz" : "tensor",
    tile_q: 64 * knobs.tile.rowBlocks,
    tile_k: knobs.tile.tileK,
    ...(conv ? { taps: knobs.tile.taps } : {}),
    product_tile_q: 64 * knobs.productRowBlocks,
  };
}

/** What the kernels of a strip are made for. */
interface Context {
  readonly pipeline: Pipeline;
  readonly architecture: CudaArchitecture;
  readonly knobs: StagedTensorKnobs;
}

type FittedKernel = Fitted<StagedKernelParts>;

/**
 * The kernels of one strip, in order. The first convolution goes along with the scores that it reads; a mix that ends the scores
 * writes their softmax. Else the map holds final scores, and whoever reads it normalises them with the rows' statistics.
 */
function stagedTensorKernels(context: Context): Fitted<readonly StagedKernelParts[]> {
  const { dot, scores, normalize, weights, product } = graphOf(context.pipeline);
  for (const op of [...scores, ...weights])
    if (op.kind === "conv" && op.stage.across > 1)
      return doesNotFit(`${op.stage.name} reads ${op.stage.across} heads, and a block holds one`);
  const [first] = scores;
  const fused = first?.kind === "conv" ? first : null;
  const rest = fused === null ? scores : scores.slice(1);
  const last = rest.at(-1);
  const normalized = last?.kind === "mix";
  let made = 0;
  const map = (): string => `map_${made % 2}`;
  const kernels: FittedKernel[] = [dotKernel(context, dot, fused, rest.length === 0 ? "hide" : "zero")];
  const add = (op: LinearOp, source: "map" | "weights"): void => {
    const from = map();
    made += 1;
    kernels.push(linearKernel(context, op, { source, from, to: map(), last: op === last }));
  };
  for (const op of rest) add(op, "map");
  if (!normalized) kernels.push(statisticsKernel(context, normalize, map()));
  for (const [index, op] of weights.entries()) add(op, index === 0 && !normalized ? "weights" : "map");
  kernels.push(productKernel(context, product, map(), weights.length === 0 && !normalized));
  const parts: StagedKernelParts[] = [];
  for (const kernel of kernels) {
    if (!kernel.fits) return kernel;
    parts.push(kernel.value);
  }
  return { fits: true, value: parts };
}

function rowsOf(halo: Reach): Expression {
  return ["sub", rowEnd(halo), rowBegin(halo)];
}

/** A kernel whose tiles lie on a map. */
function tileKernel(
  { pipeline, architecture, knobs }: Context,
  name: string,
  halo: Reach,
  request: Pick<TileRequest, "source" | "conv" | "before" | "finish">,
  maps: { readonly read: readonly (string | BoundResource)[]; readonly written: string },
): FittedKernel {
  const whole: TileRequest = { ...request, sink: "map", folded: null, keys: "all", chunk: CHUNK };
  const fitted = fitTile(pipeline, architecture, whole, {
    ...knobs.tile,
    queriesInRegisters: knobs.tile.queriesInRegisters && request.source === "dot",
  });
  if (!fitted.fits) return doesNotFit(`${name}: ${fitted.reason}`);
  const program = fitted.value;
  const bindings = {
    read: [...maps.read, "parameters", "integers", "bias"],
    written: [resultMap(maps.written)],
  };
  const source = request.conv === null ? pipeline.source : request.conv.source;
  const keys: Expression = ["sub", mapEnd(), "key_begin"];
  const tiles: Expression = ["ceilDiv", rowsOf(halo), tileRows(program)];
  return {
    fits: true,
    value: {
      kernel: tensorKernel(pipeline, name, program, bindings, source),
      program,
      halo,
      grid: [["mul", tiles, ["ceilDiv", keys, CHUNK]], pipeline.heads, "batches"],
    },
  };
}

/** The scores, with the first convolution on top where it comes first. */
function dotKernel(context: Context, dot: DotOp, conv: ConvOp | null, mask: Finish["mask"]): FittedKernel {
  const name = conv === null ? dot.name : `scores_${conv.name.replace(/^scores_/, "")}`;
  const request = {
    source: "dot",
    conv,
    before: { pointwise: conv === null ? [] : dot.pointwise, mask: "zero" },
    finish: { pointwise: conv === null ? dot.pointwise : conv.pointwise, mask },
  } as const;
  const maps = { read: ["q", "q_history", "k"], written: "map_0" };
  return tileKernel(context, name, (conv ?? dot).halo, request, maps);
}

/** A convolution or a mix of a map; `last` of the scores, or before others. */
function linearKernel(
  context: Context,
  op: LinearOp,
  {
    source,
    from,
    to,
    last,
  }: {
    readonly source: "map" | "weights";
    readonly from: string;
    readonly to: string;
    readonly last: boolean;
  },
): FittedKernel {
  const finish: Finish = { pointwise: op.pointwise, mask: last ? "hide" : "zero" };
  const read = [sourceMap(from), ...(source === "weights" ? ["statistics"] : [])];
  if (op.kind === "conv") {
    const request = { source, conv: op, before: { pointwise: [], mask: "zero" }, finish } as const;
    return tileKernel(context, op.name, op.halo, request, { read, written: to });
  }
  const { pipeline } = context;
  const fitted = fitMix(pipeline, op, { source, finish, normalizes: last });
  if (!fitted.fits) return fitted;
  const { program, rowsPerBlock, headBlocks } = fitted.value;
  const bindings = {
    read: [...read, "parameters", "integers", "bias"],
    written: [resultMap(to), ...(last ? ["lse"] : [])],
  };
  return {
    fits: true,
    value: {
      kernel: tensorKernel(pipeline, op.name, program, bindings, op.source),
      program,
      halo: op.halo,
      grid: [["ceilDiv", rowsOf(op.halo), rowsPerBlock], headBlocks, "batches"],
    },
  };
}

function statisticsKernel({ pipeline }: Context, { halo }: NormalizeOp, map: string): FittedKernel {
  const program: TensorProgram = { kind: "tensor_statistics", warps: STATISTICS_WARPS };
  const bindings = {
    read: [sourceMap(map), "parameters", "integers", "bias"],
    written: ["statistics", "lse"],
  };
  return {
    fits: true,
    value: {
      kernel: tensorKernel(pipeline, "statistics", program, bindings),
      program,
      halo,
      grid: [["ceilDiv", rowsOf(halo), STATISTICS_WARPS], pipeline.heads, "batches"],
    },
  };
}

function productKernel(
  { pipeline, architecture, knobs }: Context,
  op: ProductOp,
  map: string,
  normalizes: boolean,
): FittedKernel {
  const product = fitProduct(pipeline, architecture, {
    source: normalizes ? "weights" : "map",
    rowBlocks: knobs.productRowBlocks,
  });
  if (!product.fits) return product;
  const program = product.value;
  const statistics = normalizes ? ["statistics"] : [];
  const bindings = {
    read: [sourceMap(map), "v", ...statistics, "parameters", "integers", "bias"],
    written: ["o"],
  };
  return {
    fits: true,
    value: {
      kernel: tensorKernel(pipeline, op.name, program, bindings, op.source),
      program,
      halo: op.halo,
      grid: [["ceilDiv", ["sub", rowEnd(op.halo), "row"], tileRows(program)], pipeline.heads, "batches"],
    },
  };
}

/** The end of the map's columns that a strip writes: whole steps of every kernel. */
function mapEnd(): Expression {
  return ["mul", 64, ["ceilDiv", "key_end", 64]];
}
