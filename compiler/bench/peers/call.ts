import {
  type AttentionInputs,
  type Float64Tensor,
  hasMask,
  type Pipeline,
  roundInputs,
} from "../../../runtime/contract/index.ts";
import { type Call, type Entry, entryOf, joinedRows, prepareCall } from "../../../runtime/reference/call.ts";
import type { PeerRequest } from "./peer.ts";

export type ElementType = "float32" | "int32";

/** A tensor as peers take it: row-major, little-endian. */
export interface PeerTensor {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: Float32Array | Int32Array;
}

export function f32Tensor(name: string, dims: readonly number[], values: ArrayLike<number>): PeerTensor {
  return { name, type: "float32", dims, data: Float32Array.from(values) };
}

/** A call with everything that plain implementations compute once, outside of what is timed. */
export interface PreparedCall
  extends Pick<Call, "pipeline" | "parameters" | "B" | "Lq" | "Lk" | "R" | "depthFactor"> {
  /** [B, H, R + Lq, D]: history and new rows as one. */
  readonly q: PeerTensor;
  /** [B, Hkv, Lk, D] */
  readonly k: PeerTensor;
  /** [B, Hkv, Lk, Dv] */
  readonly v: PeerTensor;
  /** What rows see; null where every row sees every key. */
  readonly masks: Masks | null;
}

/** vis(i, j) in the forms that plain implementations use, each [B or 1, H or 1, R + Lq, Lk]. */
export interface Masks {
  /** 1 where visible, 0 where not: a factor of maps. */
  readonly visible: PeerTensor;
  /** The bias, 0 without one, where visible, `HIDDEN` where not: added to logits. */
  readonly logits: PeerTensor;
  /** Whether there is a row that sees no key. */
  readonly emptyRows: boolean;
}

/** Low enough that its exponential is 0 beside any logit's, high enough to stay finite when one is added or subtracted. */
const HIDDEN = -1e38;

export function outputShapeOf({ B, Lq, pipeline }: PreparedCall): readonly number[] {
  return [B, pipeline.heads, Lq, pipeline.valueDim];
}

/**
 * Rounds the inputs to the spec's storage type, and sees which keys each row sees.
 * @throws MtacError MTA601 … MTA613 when inputs or parameters do not fit the pipeline.
 */
export function preparePeerCall(request: PeerRequest): PreparedCall {
  const { pipeline, shape, inputs, parameters, layer } = request;
  const stored = roundInputs(inputs, pipeline.storage);
  const call = prepareCall(pipeline, parameters, layer === undefined ? stored : { ...stored, layer });
  const { B, Lq, Lk, R, depthFactor } = call;
  const given = [shape.B, shape.Lq, shape.Lk, shape.R];
  if (String(given) !== String([B, Lq, Lk, R]))
    throw new RangeError(`the inputs are of the shape B, Lq, Lk, R = ${[B, Lq, Lk, R]}, not ${given}`);
  const { heads, headDim } = pipeline;
  const entries = Array.from({ length: sightsOf(pipeline, inputs, B) }, (_, batch) => entryOf(call, batch));
  const q = new Float32Array(B * heads * (R + Lq) * headDim);
  for (let batch = 0; batch < B; batch += 1) {
    const rows = joinedRows(call, batch);
    q.set(rows, batch * rows.length);
  }
  return {
    pipeline,
    parameters,
    B,
    Lq,
    Lk,
    R,
    depthFactor,
    q: { name: "q", type: "float32", dims: [B, heads, R + Lq, headDim], data: q },
    k: f32Tensor("k", stored.k.shape, stored.k.data),
    v: f32Tensor("v", stored.v.shape, stored.v.data),
    masks: masksOf(entries),
  };
}

/** How many batch entries differ in what they see: all of them, or one stands for all. */
function sightsOf(pipeline: Pipeline, inputs: AttentionInputs<Float64Tensor>, B: number): number {
  const ownBias = hasMask(pipeline, "bias") && inputs.bias?.shape[0] !== 1;
  const differing = [inputs.positions, inputs.lengths, inputs.documents].some((each) => each !== undefined);
  return ownBias || differing ? B : 1;
}

function masksOf(entries: readonly Entry[]): Masks | null {
  const [first] = entries;
  if (first === undefined) return null;
  const seesAll = ({ sight, bias }: Entry): boolean => bias === null && sight.bits.every((bit) => bit === 1);
  if (entries.every(seesAll)) return null;
  const { heads, rows, keys, headStride } = first.sight;
  const dims = [entries.length, headStride === 0 ? 1 : heads, rows, keys];
  const size = first.sight.bits.length;
  const visible = new Float32Array(entries.length * size);
  const logits = new Float32Array(entries.length * size);
  entries.forEach(({ sight, bias }, batch) => {
    sight.bits.forEach((bit, at) => {
      // Where heads share their bits, they share their bias: its head stride is 0 too.
      const added = bias === null ? 0 : (bias.data[bias.start + at] ?? 0);
      visible[batch * size + at] = bit;
      logits[batch * size + at] = bit === 1 ? added : HIDDEN;
    });
  });
  return {
    visible: { name: "visible", type: "float32", dims, data: visible },
    logits: { name: "logit_mask", type: "float32", dims, data: logits },
    emptyRows: entries.some(({ sight }) => sight.begin.some((begin, row) => begin >= (sight.end[row] ?? 0))),
  };
}
