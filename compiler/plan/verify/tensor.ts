import {
  type ConvStage,
  convReach,
  type KernelPlan,
  type Plan,
  type TensorFoldProgram,
  type TensorProductProgram,
  type TensorProgram,
  type TensorTileProgram,
} from "../../../runtime/contract/index.ts";
import { checkApart, type Span } from "./arena.ts";
import { type Demand, demandIn } from "./rules.ts";
import { checkFinish, linearAt } from "./stages.ts";

/** Bytes that a row of 16-bit elements takes: an odd number of 16-byte units. */
export function rowBytes(elements: number): number {
  return Math.ceil(elements / 16) * 32 + 16;
}

/** Bytes of a fragment of taps: sixteen by eight 16-bit elements. */
const TAP_BYTES = 256;

/** Fragments of a convolution's taps: pairs of kernel rows by distances. */
function fragmentsOf({ conv }: TensorTileProgram, stage: ConvStage | null): number {
  if (conv === null || stage === null) return 0;
  return Math.ceil(stage.kernel.query / 2) * (conv.granulesLeft + conv.granulesRight + 1);
}

/** A tile kernel's stage on the scores, where it has one. */
function stageOf(demand: Demand, plan: Plan, { conv, folded }: TensorTileProgram): ConvStage | null {
  const index = conv?.stage ?? folded;
  return index === null || index === undefined ? null : linearAt(demand, plan.pipeline, index, "conv");
}

function checkFragments(demand: Demand, program: TensorTileProgram, stage: ConvStage | null): void {
  const { rowBlocks, tileK, columns, conv, haloPast, haloFuture, sink, blocksPerSm } = program;
  const reach = stage === null ? null : convReach(stage);
  demand(
    "granules",
    rowBlocks >= 1 && tileK >= 16 && tileK % 16 === 0,
    () => `${rowBlocks} blocks by ${tileK} keys`,
  );
  demand("granules", columns % 8 === 0 && tileK % columns === 0, () => `${columns} columns of ${tileK}`);
  demand("workgroup", blocksPerSm >= 1, () => `${blocksPerSm} blocks`);
  demand(
    "halo",
    haloPast >= (reach?.past ?? 0) && haloFuture >= (reach?.future ?? 0),
    () => `rows ${haloPast} + ${haloFuture}`,
  );
  const chunk = program.map?.chunk ?? 0;
  if (sink === "map") demand("granules", chunk > 0 && chunk % tileK === 0, () => `a chunk of ${chunk} keys`);
  if (conv === null || reach === null) return;
  demand(
    "granules",
    haloPast % 8 === 0 && haloFuture % 8 === 0,
    () => `rows ${haloPast} + ${haloFuture} around a tile`,
  );
  demand(
    "carry",
    conv.granulesLeft * 8 >= reach.left && conv.granulesRight * 8 >= reach.right,
    () => `${conv.granulesLeft} + ${conv.granulesRight} blocks of keys`,
  );
  // What trails the last step is one tile at most.
  if (sink === "attention" || sink === "product")
    demand("lag", conv.granulesRight * 8 <= tileK, () => `${conv.granulesRight} blocks in steps of ${tileK}`);
}

/** References of all rows, the tile's constants, sums of taps or their fragments twice, means of keys. */
function referenceBytes(plan: Plan, program: TensorTileProgram, stage: ConvStage | null): number {
  const { references, warps, rowBlocks, haloPast, haloFuture } = program;
  if (references === null) return 0;
  const tileQ = warps * 16 * rowBlocks;
  const means = (references.keyMeans * rowBytes(plan.pipeline.headDim)) / 4;
  const own = tileQ + haloPast + haloFuture + means;
  if (stage === null) return own * 4;
  const { past, future, left, right } = convReach(stage);
  const sums = Math.ceil((stage.kernel.query * (left + right + past + future + 16)) / 4) * 16;
  const taps = references.marked ? fragmentsOf(program, stage) * 2 * TAP_BYTES : sums;
  return (own + tileQ * (references.raised ? 2 : 1)) * 4 + taps;
}

/** What a tile kernel keeps in shared memory. */
function tileSpans(plan: Plan, program: TensorTileProgram, stage: ConvStage | null): Span[] {
  const { source, sink, warps, rowBlocks, tileK, haloPast, haloFuture, places, conv, folded } = program;
  const keyRow = rowBytes(plan.pipeline.headDim);
  const dot = source === "dot";
  const values = sink === "attention" || sink === "product";
  const tileQ = warps * 16 * rowBlocks;
  const halo = haloPast + haloFuture;
  const around = folded === null ? 0 : halo;
  const query = stage?.kernel.query ?? 1;
  return [
    { name: "k", at: places.k, length: dot ? (folded === null ? 1 : query) * tileK * keyRow : 0 },
    { name: "v", at: places.v, length: dot && values ? 2 * tileK * rowBytes(plan.pipeline.valueDim) : 0 },
    {
      name: "q",
      at: places.q - (folded === null ? 0 : haloPast * keyRow),
      length: dot ? (tileQ + around) * keyRow : 0,
    },
    { name: "halo", at: places.halo, length: dot ? (halo - around) * keyRow : 0 },
    {
      name: "scores",
      at: places.scores,
      length: conv === null ? 0 : (tileQ + halo) * (tileK * 2 + 16) * (conv.precision === "exact" ? 2 : 1),
    },
    { name: "references", at: places.references, length: referenceBytes(plan, program, stage) },
    {
      name: "taps",
      at: places.taps,
      length: conv?.taps === "shared" ? fragmentsOf(program, stage) * TAP_BYTES : 0,
    },
  ];
}

function checkTile(plan: Plan, program: TensorTileProgram, demand: Demand): void {
  const { conv, folded, places, sharedBytes, queriesInRegisters, source, sink } = program;
  const stage = stageOf(demand, plan, program);
  demand("stages", conv === null || folded === null, () => "it convolves folded keys again");
  checkFragments(demand, program, stage);
  // Scores that a tile makes itself leave through their own stages before they are convolved; maps have left them.
  if (conv !== null && source === "dot") checkFinish(demand, plan.pipeline, null, program.before.pointwise);
  else demand("finish", program.before.pointwise.length === 0, () => "pointwise stages before nothing");
  checkFinish(demand, plan.pipeline, conv?.stage ?? folded, program.finish.pointwise);
  const spans = tileSpans(plan, program, stage);
  for (const { name, at, length } of spans)
    if (name !== "q" || !queriesInRegisters)
      demand(
        "places",
        length === 0 ? places[name as keyof typeof places] === -1 : at >= 0 && at % 16 === 0,
        () => `${name} takes ${length} bytes at ${at}`,
      );
  // Queries that move to registers pass through the keys' place first.
  const apart = queriesInRegisters ? spans.filter(({ name }) => name !== "q") : spans;
  checkApart(demand, "places", apart, sharedBytes);
  for (const span of spans) checkApart(demand, "places", [span], sharedBytes);
  demand("places", source === "dot" || !queriesInRegisters, () => "there are no queries to keep");
  demand(
    "finish",
    (sink === "attention" || sink === "statistics") === (program.finish.mask === "hide") || sink === "map",
    () => `${program.finish.mask} for ${sink}`,
  );
}

function checkFold(plan: Plan, program: TensorFoldProgram, demand: Demand): void {
  const stage = linearAt(demand, plan.pipeline, program.stage, "conv");
  const { left, right } = convReach(stage);
  const { granulesLeft, sourceSteps, warps, sharedBytes } = program;
  demand("carry", granulesLeft * 8 >= left, () => `${granulesLeft} blocks of keys to the left`);
  demand("carry", sourceSteps * 16 >= 16 + granulesLeft * 8 + right, () => `${sourceSteps} steps of keys`);
  // And what they have in common.
  const rows = (warps - 1) * 16 + 16 * sourceSteps + 1;
  const bytes = rows * rowBytes(plan.pipeline.headDim);
  demand("places", bytes <= sharedBytes, () => `${bytes} bytes of keys in ${sharedBytes}`);
}

function checkProduct(plan: Plan, program: TensorProductProgram, demand: Demand): void {
  const { rowBlocks, tileK, sharedBytes } = program;
  demand(
    "granules",
    rowBlocks >= 1 && tileK % 32 === 0 && tileK > 0,
    () => `${rowBlocks} blocks by ${tileK} keys`,
  );
  const bytes = 2 * tileK * rowBytes(plan.pipeline.valueDim);
  demand("places", bytes <= sharedBytes, () => `${bytes} bytes of tiles in ${sharedBytes}`);
}

/** A kernel on tensor cores. */
export function verifyTensorKernel(plan: Plan, kernel: KernelPlan, program: TensorProgram): void {
  const demand = demandIn(plan, kernel.name);
  demand("workgroup", kernel.workgroupSize === program.warps * 32, () => `${program.warps} warps`);
  const bytes = "sharedBytes" in program ? program.sharedBytes : 0;
  demand("arena", bytes <= kernel.workgroupBytes, () => `${bytes} bytes of ${kernel.workgroupBytes}`);
  switch (program.kind) {
    case "tensor_tile":
      checkTile(plan, program, demand);
      break;
    case "tensor_fold":
      checkFold(plan, program, demand);
      break;
    case "tensor_mix":
      linearAt(demand, plan.pipeline, program.stage, "mix");
      checkFinish(demand, plan.pipeline, program.stage, program.finish.pointwise);
      break;
    case "tensor_product":
      checkProduct(plan, program, demand);
      break;
    case "tensor_statistics":
      demand("granules", 32 % program.lanes === 0, () => `${program.lanes} lanes a row`);
      break;
    case "tensor_combine":
      break;
  }
}
