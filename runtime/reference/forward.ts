import { type AttentionInputs, elementCount, type Float64Tensor, type Pipeline } from "../contract/index.ts";
import { type Entry, entryOf, prepareCall } from "./call.ts";
import { normalise } from "./normalise.ts";
import { scoresOf, weightedValues } from "./product.ts";
import { applyMapStage, applyOutputStage } from "./stages.ts";
import { allFinite } from "./vector.ts";
import { mapSize, type Sight } from "./visibility.ts";

/**
 * Sees each map [H, R + Lq, Lk] of a batch entry right after it is made: `scores`, each stage by its name (`scores.conv`,
 * …), `softmax` or `sparsemax`; then `product` and the output stages, [H, Lq, Dv]. Invisible entries are 0; the sight says
 * which they are.
 */
export type Trace = (name: string, batch: number, values: Float64Tensor, sight: Sight) => void;

/** What a run of the reference reports. */
export interface ReferenceOptions {
  readonly trace?: Trace;
}

/** What a run of the reference gives. */
export interface ReferenceResult {
  /** [B, H, Lq, Dv] */
  readonly o: Float64Tensor;
  /** [B, H, Lq], −∞ for a row that sees no key; null for sparsemax. */
  readonly lse: Float64Tensor | null;
}

/** What one batch entry's forward pass leaves for its adjoint. The lists hold the input of each stage. */
export interface Tape {
  readonly entry: Entry;
  readonly scores: readonly Float64Array[];
  /** A right after the normaliser. */
  readonly normalised: Float64Array;
  readonly weights: readonly Float64Array[];
  /** A as it meets v. */
  readonly final: Float64Array;
  readonly output: readonly Float64Array[];
  /** [H, Lq, Dv] */
  readonly o: Float64Array;
  /** [H, R + Lq] */
  readonly lse: Float64Array;
}

/**
 * The attention of `semantics.md` in float64, plain loops, O(H·L²) memory for one batch entry at a time.
 * @throws MtacError MTA601 … MTA613 when inputs or parameters do not fit the pipeline.
 */
export function referenceForward(
  pipeline: Pipeline,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
  options: ReferenceOptions = {},
): ReferenceResult {
  const call = prepareCall(pipeline, parameters, inputs);
  const result = emptyResult(pipeline, call.B, call.Lq);
  for (let batch = 0; batch < call.B; batch += 1) {
    storeRows(runEntry(entryOf(call, batch), { ...options, keep: false }), result);
  }
  return result;
}

export function emptyResult(pipeline: Pipeline, B: number, Lq: number): ReferenceResult {
  const { heads, valueDim, normalize } = pipeline;
  return {
    o: zeros([B, heads, Lq, valueDim]),
    lse: normalize === "softmax" ? zeros([B, heads, Lq]) : null,
  };
}

export function zeros(shape: readonly number[]): Float64Tensor {
  return { shape, data: new Float64Array(elementCount(shape)) };
}

/** Copies a batch entry's new rows into the results. */
export function storeRows(tape: Tape, result: ReferenceResult): void {
  const { batch, call } = tape.entry;
  result.o.data.set(tape.o, batch * tape.o.length);
  if (result.lse === null) return;
  const { R, Lq, pipeline } = call;
  for (let head = 0; head < pipeline.heads; head += 1) {
    const end = (head + 1) * (R + Lq);
    result.lse.data.set(tape.lse.subarray(end - Lq, end), (batch * pipeline.heads + head) * Lq);
  }
}

/**
 * Makes the maps [H, R + Lq, Lk] of one batch entry, each from the last. Two that nobody keeps take turns: what is not
 * visible stays 0 in both.
 */
export class Maps {
  readonly #size: number;
  readonly #keep: boolean;
  #spare: Float64Array | null = null;
  #last: Float64Array | null = null;

  constructor(size: number, keep: boolean) {
    this.#size = size;
    this.#keep = keep;
  }

  next(write: (target: Float64Array) => void): Float64Array {
    const target = this.#spare ?? new Float64Array(this.#size);
    write(target);
    this.#spare = this.#keep ? null : this.#last;
    this.#last = target;
    return target;
  }
}

/** Steps 1 to 6 for one batch entry. Without `keep` no stage's input outlives it, and the lists stay empty. */
export function runEntry(entry: Entry, options: ReferenceOptions & { readonly keep: boolean }): Tape {
  const { call, sight, batch } = entry;
  const { pipeline, R, Lq, Lk } = call;
  const { heads, valueDim } = pipeline;
  const see = (name: string, data: Float64Array, shape: readonly number[]): Float64Array => {
    options.trace?.(name, batch, { shape, data }, sight);
    return data;
  };
  const maps = new Maps(mapSize(sight), options.keep || options.trace !== undefined);
  const seeMap = (name: string, write: (target: Float64Array) => void): Float64Array =>
    see(name, maps.next(write), [heads, R + Lq, Lk]);
  const outputShape = [heads, Lq, valueDim];
  const scores: Float64Array[] = [];
  const weights: Float64Array[] = [];
  const output: Float64Array[] = [];

  let map = seeMap("scores", (target) => scoresOf(entry, target));
  for (const stage of pipeline.scores) {
    const source = map;
    if (options.keep) scores.push(source);
    map = seeMap(stage.name, (target) => applyMapStage(entry, stage, source, target));
  }
  const lse = new Float64Array(heads * (R + Lq));
  const logits = map;
  const normalised = seeMap(pipeline.normalize, (target) => normalise(entry, logits, target, lse));
  map = normalised;
  for (const stage of pipeline.weights) {
    const source = map;
    if (options.keep) weights.push(source);
    map = seeMap(stage.name, (target) => applyMapStage(entry, stage, source, target));
  }
  let o = see("product", weightedValues(entry, map), outputShape);
  for (const stage of pipeline.output) {
    if (options.keep) output.push(o);
    o = see(stage.name, applyOutputStage(call, stage, o), outputShape);
  }
  return { entry, scores, normalised, weights, final: map, output, o: poisoned(o, valueDim), lse };
}

/** Makes rows that a NaN or ∞ has reached NaN as a whole, so that none looks half right (`semantics.md`, "Numbers"). */
function poisoned(o: Float64Array, width: number): Float64Array {
  const result = o.slice();
  for (let start = 0; start < o.length; start += width) {
    if (!allFinite(result, start, width)) result.fill(Number.NaN, start, start + width);
  }
  return result;
}
