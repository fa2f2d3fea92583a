import type { AttentionInputs, Float64Tensor, Pipeline } from "../contract/index.ts";
import { INPUT_CODES, MtacError } from "../contract/index.ts";
import { biasPart, type Call, type Entry, entryOf, prepareCall } from "./call.ts";
import {
  emptyResult,
  Maps,
  type ReferenceOptions,
  type ReferenceResult,
  runEntry,
  storeRows,
  type Tape,
  type Trace,
  zeros,
} from "./forward.ts";
import { biasAdjoint, normaliseAdjoint } from "./normalise.ts";
import { scoresAdjoint, weightedValuesAdjoint } from "./product.ts";
import { mapStageAdjoint, outputStageAdjoint, type ParameterGradients } from "./stages.ts";
import { mapSize } from "./visibility.ts";

/** What a run of the reference with gradients reports. */
export interface GradientOptions extends ReferenceOptions {
  /** Sees the gradient of each map under the map's name, from the last map to `scores`. */
  readonly gradientTrace?: Trace;
}

/** The forward results, and the gradients of Σ o·dO. */
export interface ReferenceGradients extends ReferenceResult {
  /** [B, H, Lq, D] */
  readonly dQ: Float64Tensor;
  /** [B, H, R, D]; null where the call has no history. */
  readonly dQHistory: Float64Tensor | null;
  /** [B, Hkv, Lk, D] */
  readonly dK: Float64Tensor;
  /** [B, Hkv, Lk, Dv] */
  readonly dV: Float64Tensor;
  /** In the shape of the bias: an axis of one element sums up; null where the mask has none. */
  readonly dBias: Float64Tensor | null;
  /** By name, each in its parameter's shape. */
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
}

/**
 * Forward results and the gradients of Σ o·dO, in float64. dO [B, H, Lq, Dv]. Masked entries pass nothing.
 * @throws MtacError MTA601 … MTA613 when inputs, parameters or dO do not fit the pipeline.
 */
export function referenceGradients(
  pipeline: Pipeline,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
  dO: Float64Tensor,
  options: GradientOptions = {},
): ReferenceGradients {
  const call = prepareCall(pipeline, parameters, inputs);
  const { B, Lq } = call;
  const result = emptyResult(pipeline, B, Lq);
  checkOutputGradient(result.o, dO);
  const sums = {
    dQ: zeros(inputs.q.shape),
    dQHistory: inputs.qHistory === undefined ? null : zeros(inputs.qHistory.shape),
    dK: zeros(inputs.k.shape),
    dV: zeros(inputs.v.shape),
    dBias: inputs.bias === undefined ? null : zeros(inputs.bias.shape),
    parameters: new Map(pipeline.parameters.map(({ name, shape }) => [name, zeros(shape)])),
  };
  const parameterSums = new Map([...sums.parameters].map(([name, tensor]) => [name, tensor.data]));
  for (let batch = 0; batch < B; batch += 1) {
    const tape = runEntry(entryOf(call, batch), { ...options, keep: true });
    storeRows(tape, result);
    const size = tape.o.length;
    const own = {
      dK: entryPart(sums.dK, batch),
      dV: entryPart(sums.dV, batch),
      dBias: sums.dBias === null ? null : biasPart(sums.dBias, batch),
      parameters: parameterSums,
    };
    const dEntry = dO.data.subarray(batch * size, (batch + 1) * size);
    const dQ = entryGradients(tape, dEntry, own, options.gradientTrace);
    splitRows(call, batch, dQ, sums.dQ, sums.dQHistory);
  }
  return { ...result, ...sums };
}

function checkOutputGradient(o: Float64Tensor, dO: Float64Tensor): void {
  if (dO.shape.length === o.shape.length && dO.shape.every((size, axis) => size === o.shape[axis])) return;
  throw new MtacError(
    INPUT_CODES.inputShape,
    "input",
    `the input d_o has shape [${dO.shape.join(", ")}]; expected [B, H, Lq, Dv] = [${o.shape.join(", ")}]`,
    { remedy: "give d_o the shape of the output o" },
  );
}

function entryPart(tensor: Float64Tensor, batch: number): Float64Array {
  const size = tensor.data.length / (tensor.shape[0] ?? 1);
  return tensor.data.subarray(batch * size, (batch + 1) * size);
}

/** The pipeline backwards for one batch entry: adds to the sums, returns the gradient of all rows, history first. */
function entryGradients(
  tape: Tape,
  dO: Float64Array,
  sums: {
    readonly dK: Float64Array;
    readonly dV: Float64Array;
    readonly dBias: Entry["bias"];
    readonly parameters: ParameterGradients;
  },
  trace: Trace | undefined,
): Float64Array {
  const { entry } = tape;
  const { call, sight, batch } = entry;
  const { pipeline, R, Lq, Lk } = call;
  let dOut = dO;
  for (const [stage, input] of backwards(pipeline.output, tape.output)) {
    dOut = outputStageAdjoint(call, stage, input, dOut, sums.parameters);
  }
  const maps = new Maps(mapSize(sight), trace !== undefined);
  const names = mapNames(pipeline);
  const next = (write: (into: Float64Array) => void): Float64Array => {
    const data = maps.next(write);
    trace?.(names.pop() ?? "", batch, { shape: [pipeline.heads, R + Lq, Lk], data }, sight);
    return data;
  };
  let dMap = next((into) => weightedValuesAdjoint(entry, tape.final, dOut, into, sums.dV));
  for (const [stage, input] of backwards(pipeline.weights, tape.weights)) {
    const dTarget = dMap;
    dMap = next((into) => mapStageAdjoint(entry, stage, input, dTarget, into, sums.parameters));
  }
  const dWeights = dMap;
  dMap = next((into) => normaliseAdjoint(entry, tape.normalised, dWeights, into));
  if (sums.dBias !== null) biasAdjoint(entry, dMap, sums.dBias);
  for (const [stage, input] of backwards(pipeline.scores, tape.scores)) {
    const dTarget = dMap;
    dMap = next((into) => mapStageAdjoint(entry, stage, input, dTarget, into, sums.parameters));
  }
  const dQ = new Float64Array(entry.q.length);
  scoresAdjoint(entry, dMap, dQ, sums.dK);
  return dQ;
}

/** Maps by the names that a trace has for them, the first one first. */
function mapNames({ scores, normalize, weights }: Pipeline): string[] {
  const names = (stages: readonly { readonly name: string }[]): string[] => stages.map(({ name }) => name);
  return ["scores", ...names(scores), normalize, ...names(weights)];
}

/** Stages with the inputs that the tape kept for them, last stage first. */
function* backwards<Stage>(
  stages: readonly Stage[],
  inputs: readonly Float64Array[],
): Generator<readonly [Stage, Float64Array]> {
  for (let index = stages.length - 1; index >= 0; index -= 1) {
    const stage = stages[index];
    const input = inputs[index];
    if (stage !== undefined && input !== undefined) yield [stage, input];
  }
}

function splitRows(
  call: Call,
  batch: number,
  rows: Float64Array,
  dQ: Float64Tensor,
  dHistory: Float64Tensor | null,
): void {
  const { R, Lq, pipeline } = call;
  const { heads, headDim } = pipeline;
  for (let head = 0; head < heads; head += 1) {
    const start = head * (R + Lq) * headDim;
    const split = start + R * headDim;
    dHistory?.data.set(rows.subarray(start, split), (batch * heads + head) * R * headDim);
    dQ.data.set(rows.subarray(split, split + Lq * headDim), (batch * heads + head) * Lq * headDim);
  }
}
