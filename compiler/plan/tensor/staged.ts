import {
  type Cost,
  type Expression,
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
import { type LinearStage, linearStages, NO_REACH } from "./support.ts";
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
  const kernels = stagedTensorKernels(pipeline, architecture, knobs);
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

function stagedTensorKernels(
  pipeline: Pipeline,
  architecture: CudaArchitecture,
  knobs: StagedTensorKnobs,
): Fitted<readonly StagedKernelParts[]> {
  const scores = linearStages(pipeline.scores, "scores");
  const weights = linearStages(pipeline.weights, "weights");
  const all = [...scores.linear, ...weights.linear];
  const wide = all.find(({ stage }) => stage.kind === "conv" && stage.across > 1);
  if (wide !== undefined && wide.stage.kind === "conv")
    return doesNotFit(`${wide.stage.name} reads ${wide.stage.across} heads, and a block holds one`);
  const haloAfter = (count: number): Reach => totalReach(all.slice(count).map(({ stage }) => stage));

  const kernels: StagedKernelParts[] = [];
  let map: "map_0" | "map_1" = "map_0";
  const tile = (
    name: string,
    tileRequest: TileRequest,
    halo: Reach,
    maps: { readonly read: readonly (string | BoundResource)[]; readonly written: string },
  ): string | null => {
    const fitted = fitTile(pipeline, architecture, tileRequest, {
      ...knobs.tile,
      queriesInRegisters: knobs.tile.queriesInRegisters && tileRequest.source === "dot",
    });
    if (!fitted.fits) return `${name}: ${fitted.reason}`;
    const program = fitted.value;
    const source = tileRequest.conv?.stage.source ?? pipeline.source;
    const kernel = tensorKernel(
      pipeline,
      name,
      program,
      { read: [...maps.read, "parameters", "integers", "bias"], written: [resultMap(maps.written)] },
      source,
    );
    const tileQ = program.warps * 16 * program.rowBlocks;
    const rows: Expression = ["sub", rowEnd(halo), rowBegin(halo)];
    const keys: Expression = ["sub", mapEnd(), "key_begin"];
    kernels.push({
      kernel,
      program,
      halo,
      grid: [["mul", ["ceilDiv", rows, tileQ], ["ceilDiv", keys, CHUNK]], pipeline.heads, "batches"],
    });
    return null;
  };

  // The scores, with the first convolution on top where it comes first.
  const [first] = scores.linear;
  const fused = first !== undefined && first.stage.kind === "conv" ? first : null;
  const made = fused === null ? 0 : 1;
  const isLastScore = (count: number): boolean => count === scores.linear.length;
  const failed = tile(
    fused === null ? "scores" : `scores_${kernelName(fused).replace(/^scores_/, "")}`,
    {
      source: "dot",
      sink: "map",
      conv: fused,
      folded: null,
      keys: "all",
      before: { pointwise: fused === null ? [] : scores.first, mask: "zero" },
      finish: {
        pointwise: fused === null ? scores.first : fused.pointwise,
        mask: isLastScore(made) ? "hide" : "zero",
      },
      chunk: CHUNK,
    },
    haloAfter(made),
    { read: ["q", "q_history", "k"], written: map },
  );
  if (failed !== null) return doesNotFit(failed);

  // Whether the map holds weights: else final scores, which their first reader normalises with the rows' statistics.
  let normalized = false;
  const addStatistics = (count: number): void => {
    if (normalized) return;
    const halo = haloAfter(count);
    const program: TensorProgram = { kind: "tensor_statistics", warps: STATISTICS_WARPS };
    kernels.push({
      kernel: tensorKernel(pipeline, "statistics", program, {
        read: [sourceMap(map), "parameters", "integers", "bias"],
        written: ["statistics", "lse"],
      }),
      program,
      halo,
      grid: [["ceilDiv", ["sub", rowEnd(halo), rowBegin(halo)], STATISTICS_WARPS], pipeline.heads, "batches"],
    });
  };

  for (const [position, linear] of all.entries()) {
    if (position < made) continue;
    const inWeights = position >= scores.linear.length;
    const firstWeight = position === scores.linear.length;
    if (firstWeight) addStatistics(position);
    const normalizes = firstWeight && !normalized;
    const next: "map_0" | "map_1" = map === "map_0" ? "map_1" : "map_0";
    const halo = haloAfter(position + 1);
    const finalScores = !inWeights && isLastScore(position + 1);
    const finish = { pointwise: linear.pointwise, mask: finalScores ? ("hide" as const) : ("zero" as const) };
    const source = normalizes ? "weights" : "map";
    const read = [sourceMap(map), ...(normalizes ? ["statistics"] : [])];
    if (linear.stage.kind === "conv") {
      const reason = tile(
        kernelName(linear),
        {
          source,
          sink: "map",
          conv: linear,
          folded: null,
          keys: "all",
          before: { pointwise: [], mask: "zero" },
          finish,
          chunk: CHUNK,
        },
        halo,
        { read, written: next },
      );
      if (reason !== null) return doesNotFit(reason);
    } else {
      const fitted = fitMix(pipeline, linear, { source, finish, normalizes: finalScores });
      if (!fitted.fits) return fitted;
      const { program, rowsPerBlock, headBlocks } = fitted.value;
      kernels.push({
        kernel: tensorKernel(
          pipeline,
          kernelName(linear),
          program,
          {
            read: [...read, "parameters", "integers", "bias"],
            written: [resultMap(next), ...(finalScores ? ["lse"] : [])],
          },
          linear.stage.source,
        ),
        program,
        halo,
        grid: [["ceilDiv", ["sub", rowEnd(halo), rowBegin(halo)], rowsPerBlock], headBlocks, "batches"],
      });
      if (finalScores) normalized = true;
    }
    map = next;
  }
  if (weights.linear.length === 0) addStatistics(all.length);
  const product = fitProduct(pipeline, architecture, {
    source: weights.linear.length === 0 && !normalized ? "weights" : "map",
    rowBlocks: knobs.productRowBlocks,
  });
  if (!product.fits) return product;
  const tileQ = product.value.warps * 16 * product.value.rowBlocks;
  kernels.push({
    kernel: tensorKernel(
      pipeline,
      "product",
      product.value,
      {
        read: [
          sourceMap(map),
          "v",
          ...(product.value.source === "weights" ? ["statistics"] : []),
          "parameters",
          "integers",
          "bias",
        ],
        written: ["o"],
      },
      pipeline.output[0]?.source ?? pipeline.source,
    ),
    program: product.value,
    halo: NO_REACH,
    grid: [["ceilDiv", ["sub", rowEnd(NO_REACH), "row"], tileQ], pipeline.heads, "batches"],
  });
  return { fits: true, value: kernels };
}

/** The end of the map's columns that a strip writes: whole steps of every kernel. */
function mapEnd(): Expression {
  return ["mul", 64, ["ceilDiv", "key_end", 64]];
}

function kernelName({ stage }: LinearStage): string {
  return stage.name.replaceAll(".", "_");
}
