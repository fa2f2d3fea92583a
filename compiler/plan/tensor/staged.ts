import type {
  Expression,
  Finish,
  MapSource,
  TensorStatisticsProgram,
} from "../../../runtime/contract/index.ts";
import { affordable, type Candidate, type Choice, candidateOf, unexplored } from "../candidate.ts";
import { allFit, doesNotFit, type Fitted, fits, named, whereFits } from "../fit.ts";
import { type ConvOp, type DotOp, type Graph, graphOf, type Op } from "../graph.ts";
import type { GpuTask, Grid } from "../machine.ts";
import { predict } from "../predict.ts";
import { type RoutedOp, routeMaps, stagedChoice } from "../schedule/staged-plan.ts";
import { forcedStrips, rowEnd, rowsOf, type StripKernel } from "../schedule/strips.ts";
import { WARP } from "../work.ts";
import { tensorKernel } from "./kernel.ts";
import { fitMix, fitProduct } from "./map-kernels.ts";
import { findsHighestFirst } from "./references.ts";
import { NO_DROPOUT, oneHeadConv, tileRows } from "./support.ts";
import { fitTile } from "./tile.ts";
import {
  IN_REGISTERS,
  IN_SHARED_MEMORY,
  type TileKnobs,
  type TileRequest,
  tileKnobNames,
  tileMenu,
} from "./tile-request.ts";
import { type MapProgram, tensorMapWork } from "./work.ts";

/** Keys of a map that one block of a tile kernel writes: longer chunks recompute less, shorter ones fill the device. */
const CHUNK = 512;
/** These chunks: as far as a strip writes a map's columns, in whole steps of every kernel. */
const KEYS_END: Expression = ["mul", 64, ["ceilDiv", "key_end", 64]];
const KEY_CHUNKS: Expression = ["ceilDiv", ["sub", KEYS_END, "key_begin"], CHUNK];
/** Strips of f16 maps, in whole tiles. */
const STRIPS = { stripRows: 512, entryBytes: 2, leastRows: 64, multiple: 64, skipDead: true } as const;

const STATISTICS = {
  kind: "tensor_statistics",
  warps: 4,
  lanes: 4,
} as const satisfies TensorStatisticsProgram;
/** Rows that a block of that kernel takes. */
const STATISTICS_ROWS = STATISTICS.warps * (WARP / STATISTICS.lanes);

/** Knobs of the staged schedule on tensor cores. */
interface StagedTensorKnobs extends TileKnobs {
  readonly productRowBlocks: number;
}

/** What one kernel of a strip computes, whatever the knobs. */
interface StagedOp extends RoutedOp {
  /** The convolution that a tile kernel computes: of a map, or of the scores as they are made. */
  readonly conv: ConvOp | null;
  /** What the map that it reads holds. */
  readonly source: MapSource;
  /** That of the entries it writes: what ends the scores hides what is masked. */
  readonly mask: Finish["mask"];
  /** The operation whose scores the kernel of the softmax goes through where it comes before it; else null. */
  readonly ahead: DotOp | ConvOp | null;
}

/**
 * The kernels of one strip, in order. The first convolution goes along with the scores that it reads; a mix that ends the scores
 * writes exponentials. Else the map holds final scores, and a kernel finds out their rows' statistics; or it makes the scores before the one that
 * writes them, and that one writes exponentials, too.
 */
function stagedOps(
  { dot, scores, normalize, weights, product }: Graph,
  highestFirst: boolean,
): readonly StagedOp[] {
  const [first] = scores;
  const fused = first?.kind === "conv" ? first : null;
  const made = [...(fused === null ? scores : scores.slice(1))];
  const last = made.pop() ?? dot;
  const ahead = highestFirst && last.kind !== "mix" ? last : null;
  const exponentials = last.kind === "mix" || ahead !== null;
  const sourceAfter = (before: Op | undefined): MapSource => {
    if (before === normalize && ahead === null) return "scores";
    return exponentials && before === last ? "exponentials" : "map";
  };
  const ending = ahead === null ? [last, ...(exponentials ? [] : [normalize])] : [normalize, last];
  const routes = routeMaps([...(last === dot ? [] : [dot]), ...made, ...ending, ...weights, product]);
  return routes.map((route, index) => {
    const computed = route.op === normalize ? (ahead ?? normalize) : route.op;
    const own = computed.kind === "conv" ? computed : null;
    return {
      ...route,
      conv: computed === dot ? fused : own,
      source: sourceAfter(routes[index - 1]?.op),
      mask: computed === last ? "hide" : "zero",
      ahead: route.op === normalize || route.op === last ? ahead : null,
    };
  });
}

/** Candidates of strips of query rows, one kernel an operation, with f16 maps of a strip in buffers that take turns. */
export function stagedCandidates(task: GpuTask): readonly Candidate[] {
  const graph = graphOf(task.pipeline);
  const convs = [...graph.scores, ...graph.weights].filter((op) => op.kind === "conv");
  const convolved = convs.length > 0;
  const menu = tileMenu([false], convolved ? [IN_REGISTERS, IN_SHARED_MEMORY] : [IN_REGISTERS]).flatMap(
    (tile) => [1, 2].map((productRowBlocks) => ({ ...tile, productRowBlocks })),
  );
  const names = (knobs: StagedTensorKnobs): Candidate["knobs"] => ({
    ...tileKnobNames(knobs, convolved ? "toeplitz" : "tensor"),
    ...(convolved ? { taps: knobs.taps } : {}),
    product_tile_q: 64 * knobs.productRowBlocks,
  });
  const { taken, left } = affordable(menu, graph.ops.length);
  const heads = allFit(convs.map(oneHeadConv));
  const ops = stagedOps(graph, findsHighestFirst(task.pipeline));
  return [
    ...taken.map((knobs) => {
      const choice = heads.fits ? fitStaged(task, ops, knobs) : heads;
      return candidateOf(task, "staged", names(knobs), choice);
    }),
    ...left.map((knobs) => unexplored("staged", names(knobs), graph.ops.length)),
  ];
}

function fitStaged(task: GpuTask, ops: readonly StagedOp[], knobs: StagedTensorKnobs): Fitted<Choice> {
  const { stripBytes } = task.machine.staged;
  const strips = forcedStrips({ ...STRIPS, stripBytes }, task.options);
  return whereFits(allFit(ops.map((each) => fitKernel(task, each, knobs))), (kernels) => {
    const predicted = kernels.map((kernel) => predict(task, kernel, tensorMapWork(task, kernel, strips)));
    return stagedChoice(task, ops, strips, predicted);
  });
}

/** The kernel of an operation, or the limit that it breaks. */
function fitKernel(task: GpuTask, each: StagedOp, knobs: StagedTensorKnobs): Fitted<StripKernel<MapProgram>> {
  const { pipeline, machine } = task;
  const { tiles, rows } = machine.mapGrid;
  const { heads } = pipeline;
  const { op, source, mask } = each;
  const { halo, source: line } = each.conv ?? op;
  const height = rowsOf(halo);
  const kernel = (name: string, program: MapProgram, grid: Grid): StripKernel<MapProgram> => ({
    ...tensorKernel(name, program, line, each),
    halo,
    grid,
  });
  switch (op.kind) {
    case "dot":
    case "conv": {
      const name = tileName(each);
      return whereFits(named(name, fitMapTile(task, mapTile(each, op, "map"), knobs)), (program) =>
        kernel(name, program, tiles(["ceilDiv", height, tileRows(program)], KEY_CHUNKS, heads)),
      );
    }
    case "mix": {
      const finish = { pointwise: op.pointwise, mask };
      const fitted = fitMix(pipeline, op, { source, finish });
      return whereFits(fitted, (program) => {
        const blockRows = program.warps * program.rowsPerWarp;
        return kernel(op.name, program, rows(["ceilDiv", height, blockRows], Math.ceil(heads / 16)));
      });
    }
    case "normalize":
      if (each.ahead === null)
        return fits(kernel("statistics", STATISTICS, rows(["ceilDiv", height, STATISTICS_ROWS], heads)));
      return whereFits(
        named("statistics", fitTile(task, mapTile(each, each.ahead, "statistics"), knobs)),
        (program) => kernel("statistics", program, rows(["ceilDiv", height, tileRows(program)], heads)),
      );
    case "dropout":
      return doesNotFit(NO_DROPOUT);
    case "product":
      return whereFits(fitProduct(task, { source, rowBlocks: knobs.productRowBlocks }), (program) => {
        const strip: Expression = ["sub", rowEnd(halo), "row"];
        return kernel(op.name, program, rows(["ceilDiv", strip, tileRows(program)], heads));
      });
  }
}

/** A tile kernel that writes to a map: with its queries in registers where these hold them. */
function fitMapTile(task: GpuTask, request: TileRequest, knobs: TileKnobs): ReturnType<typeof fitTile> {
  const inRegisters =
    request.source === "dot" ? fitTile(task, request, { ...knobs, queriesInRegisters: true }) : null;
  return inRegisters?.fits ? inRegisters : fitTile(task, request, knobs);
}

/** Scores go by the name of the convolution, too, that goes along with them. */
function tileName({ op, conv }: StagedOp): string {
  return op.kind === "dot" && conv !== null ? `scores_${conv.name.replace(/^scores_/, "")}` : op.name;
}

/** What a tile kernel over maps, or of scores that go to one, has to do. */
function mapTile(
  { conv, source, mask, ahead }: StagedOp,
  op: DotOp | ConvOp,
  sink: "map" | "statistics",
): TileRequest {
  const dot = op.kind === "dot";
  return {
    source: dot ? "dot" : source,
    sink,
    conv,
    folded: null,
    keys: "all",
    // Scores are finished before the convolution that goes along with them.
    before: { pointwise: dot && conv !== null ? op.pointwise : [], mask: "zero" },
    finish: { pointwise: (conv ?? op).pointwise, mask },
    chunk: CHUNK,
    exponentials: sink === "map" && ahead !== null,
  };
}
