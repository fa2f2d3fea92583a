import { hasMask, type Pipeline } from "../../../runtime/contract/index.ts";
import { type ChainRole, chainStages } from "../chain.ts";

/** Registers of addresses, positions and loop variables. */
const BASE = 40;
/** What visibility takes beside positions: the bias's addresses, documents. */
const BIAS = 28;
const DOCUMENTS = 12;
/** A 4x4 block of scores, the rows that it is made of, and their addresses. */
const DOT = 64;
/** A 4x4 block, a kernel row's weights and a window of a row of scores. */
const CONV = 56;

/**
 * Registers of a thread of a fused kernel, about.
 *
 * @param outputs 4x4 blocks of results that live over all steps
 * @param scores scores of a step that one lane holds in the softmax
 */
export function fusedRegisters(pipeline: Pipeline, role: ChainRole, outputs: number, scores: number): number {
  const phases = [DOT, scores + 8, outputs > 0 ? 40 : 0];
  for (const stage of chainStages(pipeline, role)) {
    if (stage.kind === "conv") phases.push(CONV);
    // With a bias, whose loads the compiler gathers, as many words again.
    if (stage.kind === "mix") phases.push((hasMask(pipeline, "bias") ? 8 : 4) * stage.group + 12);
  }
  const mask = (hasMask(pipeline, "bias") ? BIAS : 0) + (hasMask(pipeline, "documents") ? DOCUMENTS : 0);
  return BASE + mask + 16 * outputs + Math.max(...phases);
}

/** Registers of a kernel over maps that makes 4x4 blocks, and of the softmax of rows. */
export const BLOCK_REGISTERS = 96;
export const NORMALIZE_REGISTERS = 56;

/** Of a mix of which an invocation accumulates so many heads. */
export function mixRegisters(outputs: number): number {
  return BASE + 4 * outputs + 8;
}

/** Of the product with V of which an invocation keeps so many 4x4 blocks of results. */
export function productRegisters(outputs: number): number {
  return BASE + 16 * outputs + 48;
}
