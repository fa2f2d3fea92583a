import {
  hasMask,
  type Pipeline,
  type Pointwise,
  type TensorTileProgram,
} from "../../../runtime/contract/index.ts";
import { tileReferences } from "./references.ts";
import type { TileKnobs, TileRequest } from "./tile-request.ts";

/** Registers that the kernels need beside fragments: addresses, bounds, loop counters (from ptxas reports). */
const OTHER_REGISTERS = 44;
// Upper bounds from ptxas reports: a plan that spills is worse than a smaller tile.
/** Masks that read memory: document numbers or biases of some (row, key) pairs, beside half a tile's pairs that wait (`gathered`). */
const DOCUMENT_REGISTERS = 28;
const BIAS_REGISTERS = 32;
/** Documents where the scores of a whole step wait for them, beside results. */
const WHOLE_STEP = 64;
const WHOLE_STEP_DOCUMENT_REGISTERS = 24;
/** The window's edges, or the filled length, for a further block of rows. */
const BOUND_REGISTERS = 8;
/** The first pointwise stage of a kernel, and each further one, by what it computes. */
const POINTWISE_REGISTERS: Readonly<
  Record<Pointwise["kind"], { readonly first: number; readonly further: number }>
> = {
  softcap: { first: 48, further: 36 },
  relu: { first: 4, further: 2 },
};
/** A kernel that writes its scores to a map makes a whole step of them at a time (`columns` is `tileK`). */
const WIDE_COLUMNS_REGISTERS = 48;
const SOURCE_REGISTERS: Readonly<Record<TensorTileProgram["source"], number>> = {
  dot: 0,
  map: 20,
  scores: 62,
  exponentials: 40,
};
/**
 * Before the product with v, f32 weights are packed into f16 pairs. From 64 keys and two blocks of rows on (128 a thread) ptxas keeps
 * the packed ones beside the scores that they come from; of fewer the scores' registers are free again.
 */
const PACKED_PAIRS = 128;
const PACKED_REGISTERS = 32;
const PACKED_CONV_REGISTERS = 80;
/** A value_dim that is no multiple of 16: the last block of channels is half used. */
const HALF_BLOCK_REGISTERS = 32;
/** From so many registers of results on, queries in registers cost more than their own number (ptxas reports). */
const LARGE_RESULTS = 112;
const LARGE_RESULTS_REGISTERS = 32;
/** Pairs of kernel rows from which on each of them counts: its address, and the documents of its rows. */
const MANY_KERNEL_PAIRS = 9;
const KERNEL_PAIR_REGISTERS = 4;
const DOCUMENT_PAIR_REGISTERS = 8;
/**
 * What is added at borders for scores relative to references: addresses of them and of sums of taps; where there are several pairs of kernel
 * rows, for each block of keys that is carried; and the highest of a row.
 */
const REFERENCE_REGISTERS = 10;
const CARRIED_REFERENCE_REGISTERS = 6;
const RAISED_REGISTERS = 30;
/** Queries that fill so many registers, beside packed weights, cost more than their own number. */
const LARGE_QUERIES = 48;
const LARGE_QUERIES_REGISTERS = 32;
/** The gate of all channels comes when the steps are over; with two blocks of rows ptxas prepares it before them. */
const GATE_STEP_REGISTERS = 46;
/** Of 255: estimates are a few registers off. */
export const MOST_REGISTERS = 254;

/** Sizes of a tile kernel's fragments. */
export interface TileFragments {
  /** Keys whose scores are made at a time. */
  readonly columns: number;
  /** Blocks of eight keys that later steps finish. */
  readonly carried: number;
  /** Pairs of kernel rows by distances. */
  readonly taps: number;
}

/** Registers that a thread of a tile kernel needs at most, estimated from what it holds and from ptxas reports. */
export function tileRegisters(
  pipeline: Pipeline,
  request: TileRequest,
  { rowBlocks, tileK, queriesInRegisters, taps, precision }: TileKnobs,
  { columns, carried, taps: tapPairs }: TileFragments,
): number {
  const { source, sink, conv, before, finish } = request;
  const values = sink === "attention" || sink === "product";
  const results = values ? rowBlocks * Math.ceil(pipeline.valueDim / 16) * 8 : 0;
  const fragments = conv !== null && precision === "exact" ? 4 : 2;
  const queries = queriesInRegisters ? rowBlocks * Math.ceil(pipeline.headDim / 16) * 4 : 0;
  const held =
    results +
    (taps === "registers" ? tapPairs * fragments : 0) +
    queries +
    rowBlocks * (sink === "map" ? (request.exponentials ? 2 : 0) : 4);
  // Scores are made beside those that were carried over, then all of a step are finished.
  const made = source === "dot" && conv !== null ? rowBlocks * (columns / 8) * 4 + rowBlocks * 4 : 0;
  const scores = Math.max(rowBlocks * (tileK / 8 + carried) * 4 + 4, made + rowBlocks * carried * 4);
  const kernelPairs = conv === null ? 0 : tapPairs / (carried + 1);
  const many = kernelPairs >= MANY_KERNEL_PAIRS ? kernelPairs : 0;
  const tested = hasMask(pipeline, "documents") || hasMask(pipeline, "bias");
  const gathered = tested ? (rowBlocks * tileK) / 2 : 0;
  const bounds = (rowBlocks - 1) * BOUND_REGISTERS;
  const masks =
    gathered +
    (hasMask(pipeline, "documents") ? DOCUMENT_REGISTERS + many * DOCUMENT_PAIR_REGISTERS : 0) +
    (hasMask(pipeline, "documents") && values && conv === null && tileK >= WHOLE_STEP
      ? WHOLE_STEP_DOCUMENT_REGISTERS
      : 0) +
    (hasMask(pipeline, "window") ? bounds : 0) +
    (hasMask(pipeline, "lengths") ? bounds : 0) +
    (hasMask(pipeline, "bias") ? BIAS_REGISTERS + many * DOCUMENT_PAIR_REGISTERS : 0);
  const pointwise = pointwiseRegisters([...before.pointwise, ...finish.pointwise]);
  const wide = source === "dot" && sink === "map" ? WIDE_COLUMNS_REGISTERS : 0;
  const packed =
    sink === "attention" && rowBlocks * tileK >= PACKED_PAIRS
      ? (conv === null ? PACKED_REGISTERS : PACKED_CONV_REGISTERS) +
        (pipeline.valueDim % 16 === 0 ? 0 : HALF_BLOCK_REGISTERS)
      : 0;
  const large =
    (queriesInRegisters && results >= LARGE_RESULTS ? LARGE_RESULTS_REGISTERS : 0) +
    (conv === null && packed > 0 && queries >= LARGE_QUERIES ? LARGE_QUERIES_REGISTERS : 0);
  const references = conv === null ? null : tileReferences(pipeline, request, 0);
  const steps =
    OTHER_REGISTERS +
    SOURCE_REGISTERS[source] +
    held +
    scores +
    masks +
    pointwise +
    wide +
    packed +
    large +
    (references === null ? 0 : REFERENCE_REGISTERS + (references.raised ? RAISED_REGISTERS : 0)) +
    (references === null || kernelPairs < 2 ? 0 : carried * CARRIED_REFERENCE_REGISTERS) +
    (values && rowBlocks > 1 && gatesChannels(pipeline) ? GATE_STEP_REGISTERS : 0) +
    many * KERNEL_PAIR_REGISTERS;
  // The output's stages come when the steps are over.
  return Math.max(steps + (sink === "product" ? 4 : 0), values ? results + gateRegisters(pipeline) : 0);
}

function pointwiseRegisters(stages: readonly Pointwise[]): number {
  const costs = stages.map(({ kind }) => POINTWISE_REGISTERS[kind]);
  // Any of them may be the one that is not hidden behind another.
  const most = Math.max(0, ...costs.map(({ first, further }) => first - further));
  return costs.reduce((sum, { further }) => sum + further, most);
}

function gatesChannels({ output }: Pipeline): boolean {
  return output.some((stage) => stage.kind === "gate" && stage.mode === "channel");
}

/** Registers beside the results that the gate of all channels takes: packed results, logits, addresses. */
export function gateRegisters(pipeline: Pipeline): number {
  return gatesChannels(pipeline) ? Math.ceil(pipeline.valueDim / 16) * 4 + 66 : 0;
}
