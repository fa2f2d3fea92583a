import {
  type AttentionInputs,
  checkInputs,
  checkParameters,
  depthScale,
  type Float64Tensor,
  hasMask,
  type Pipeline,
} from "../contract/index.ts";
import { type Sight, sightOf } from "./visibility.ts";

/** A checked call: the symbols of `semantics.md`. */
export interface Call {
  readonly pipeline: Pipeline;
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  readonly B: number;
  readonly Lq: number;
  readonly Lk: number;
  readonly R: number;
  /** 1 − λ(layer) for the norms that ask for it. */
  readonly depthFactor: number;
}

/** Part of a tensor as large as the bias. */
interface BiasPart {
  readonly data: Float64Array;
  readonly start: number;
  readonly headStride: number;
}

/** One batch entry of a call. No entry reads another one's data, so that a NaN cannot leave its own. */
export interface Entry {
  readonly call: Call;
  readonly batch: number;
  /** [H, R + Lq, D]: history and new rows as one. */
  readonly q: Float64Array;
  /** [Hkv, Lk, D] */
  readonly k: Float64Array;
  /** [Hkv, Lk, Dv] */
  readonly v: Float64Array;
  /** Added to the logits of row n of head h at start + h · headStride + n · Lk; null without mask `bias`. */
  readonly bias: BiasPart | null;
  readonly sight: Sight;
  /** Of row 0 of the map: the first of the history. */
  readonly firstPosition: number;
}

/** @throws MtacError MTA601 … MTA613 */
export function prepareCall(
  pipeline: Pipeline,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
): Call {
  const shape = checkInputs(pipeline, inputs);
  checkParameters(pipeline, new Map([...parameters].map(([name, tensor]) => [name, tensor.shape])));
  return { pipeline, inputs, parameters, ...shape, depthFactor: depthScale(inputs.layer ?? 0) };
}

export function entryOf(call: Call, batch: number): Entry {
  const { pipeline, inputs, R, Lq, Lk } = call;
  const { kvHeads, headDim, valueDim } = pipeline;
  const part = (tensor: Float64Tensor, size: number): Float64Array =>
    tensor.data.subarray(batch * size, (batch + 1) * size);
  const bias = hasMask(pipeline, "bias") && inputs.bias !== undefined ? biasPart(inputs.bias, batch) : null;
  const firstPosition = (inputs.positions?.data[batch] ?? Lk - Lq) - R;
  return {
    call,
    batch,
    firstPosition,
    q: joinedRows(call, batch),
    k: part(inputs.k, kvHeads * Lk * headDim),
    v: part(inputs.v, kvHeads * Lk * valueDim),
    bias,
    sight: sightOf({
      mask: pipeline.mask,
      heads: pipeline.heads,
      rows: R + Lq,
      keys: Lk,
      firstPosition,
      documents: inputs.documents === undefined ? null : part(inputs.documents, Lk),
      length: inputs.lengths?.data[batch] ?? Number.POSITIVE_INFINITY,
      bias,
    }),
  };
}

/** The value of a parameter; `checkParameters` has seen that it is there. */
export function parameterData(call: Call, name: string): Float64Array {
  return call.parameters.get(name)?.data ?? new Float64Array();
}

/** The query rows of one batch entry, [H, R + Lq, D]: history and new rows as one. */
export function joinedRows(call: Call, batch: number): Float64Array {
  const { inputs, R, Lq, pipeline } = call;
  const { heads, headDim } = pipeline;
  const rows = new Float64Array(heads * (R + Lq) * headDim);
  for (let head = 0; head < heads; head += 1) {
    const entry = batch * heads + head;
    const start = head * (R + Lq) * headDim;
    if (inputs.qHistory !== undefined) {
      rows.set(inputs.qHistory.data.subarray(entry * R * headDim, (entry + 1) * R * headDim), start);
    }
    rows.set(inputs.q.data.subarray(entry * Lq * headDim, (entry + 1) * Lq * headDim), start + R * headDim);
  }
  return rows;
}

/** What a batch entry has of the bias, or of its gradient: axes of one element are for all. */
export function biasPart({ shape, data }: Float64Tensor, batch: number): BiasPart {
  const [batches, heads = 1, rows = 0, keys = 0] = shape;
  const start = batches === 1 ? 0 : batch * heads * rows * keys;
  return { data, start, headStride: heads === 1 ? 0 : rows * keys };
}
