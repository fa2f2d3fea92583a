import {
  type AttentionInputs,
  type CallShape,
  elementCount,
  type Float64Tensor,
  hasDropout,
  hasMask,
  type Parameter,
  type Pipeline,
  roundTo,
  type StorageType,
} from "../../runtime/contract/index.ts";
import { Random } from "./random.ts";

/** Spread of q·k·scale: most logits lie within 1 to 5 of 0. */
const LOGIT_STD = 1.5;

/** Random parameters by name, in f32 values; never the identity, whatever `init` says. */
export function drawParameters(pipeline: Pipeline, seed: number): Map<string, Float64Tensor> {
  const random = new Random(seed ^ 0x5eed);
  return new Map(pipeline.parameters.map((parameter) => [parameter.name, drawParameter(parameter, random)]));
}

function drawParameter({ name, shape }: Parameter, random: Random): Float64Tensor {
  const count = elementCount(shape);
  const taps = elementCount(shape.slice(1));
  const normals = (): Float64Array => {
    if (name.endsWith(".bias")) return random.normals(count, 0.3);
    // One axis: a norm's weight, around 1. Else a kernel that keeps the spread of what it sums.
    return shape.length === 1 ? random.normals(count, 0.5, 1) : random.normals(count, 1.2 / Math.sqrt(taps));
  };
  return { shape, data: roundTo("f32", normals()) };
}

/** dO [B, H, Lq, Dv] */
export function drawOutputGradient(pipeline: Pipeline, { B, Lq }: CallShape, seed: number): Float64Tensor {
  return drawTensor([B, pipeline.heads, Lq, pipeline.valueDim], 1, pipeline.storage, new Random(seed ^ 0xd0));
}

function drawTensor(
  shape: readonly number[],
  std: number,
  storage: StorageType,
  random: Random,
): Float64Tensor {
  return { shape, data: roundTo(storage, random.normals(elementCount(shape), std)) };
}

/** Random inputs of a call, those that the mask asks for included. `positions` makes the rows of the batch ragged. */
export function drawInputs(
  pipeline: Pipeline,
  shape: CallShape,
  positions: boolean,
  seed: number,
): AttentionInputs<Float64Tensor> {
  const random = new Random(seed);
  const { B, Lq, Lk, R } = shape;
  const { heads, kvHeads, headDim, valueDim, storage } = pipeline;
  const std = Math.sqrt(LOGIT_STD / (Math.abs(pipeline.scale || 1) * Math.sqrt(headDim)));
  const tensor = (sizes: readonly number[], spread: number): Float64Tensor =>
    drawTensor(sizes, spread, storage, random);
  return {
    q: tensor([B, heads, Lq, headDim], std),
    k: tensor([B, kvHeads, Lk, headDim], std),
    v: tensor([B, kvHeads, Lk, valueDim], 1),
    ...(R > 0 || random.chance(0.1) ? { qHistory: tensor([B, heads, R, headDim], std) } : {}),
    ...(hasMask(pipeline, "documents") ? { documents: drawDocuments(shape, random) } : {}),
    ...(hasMask(pipeline, "lengths") ? { lengths: drawLengths(shape, random) } : {}),
    ...(positions ? { positions: drawPositions(shape, random) } : {}),
    ...(hasMask(pipeline, "bias") ? { bias: drawBias(pipeline, shape, random) } : {}),
    ...(hasDropout(pipeline)
      ? { dropoutSeed: { shape: [2], data: Float64Array.of(seed | 0, (seed ^ 0x5bd1e995) | 0) } }
      : {}),
  };
}

/** Documents one after the other, or interleaved; some keys (id −1) belong to none. */
function drawDocuments({ B, Lk }: CallShape, random: Random): Float64Tensor {
  const data = new Float64Array(B * Lk);
  for (let batch = 0; batch < B; batch += 1) {
    const interleaved = random.chance(0.3);
    let document = random.integer(0, 2);
    for (let key = 0; key < Lk; key += 1) {
      if (interleaved) document = random.integer(0, 2);
      else if (random.chance(0.12)) document += 1;
      data[batch * Lk + key] = random.chance(0.06) ? -random.integer(1, 2) : document;
    }
  }
  return { shape: [B, Lk], data };
}

/** From nothing filled (all rows empty) to all of it. */
function drawLengths({ B, Lk }: CallShape, random: Random): Float64Tensor {
  const draw = (): number => (random.chance(0.1) ? 0 : random.integer(Math.ceil(Lk / 2), Lk));
  return { shape: [B], data: Float64Array.from({ length: B }, draw) };
}

/** Row 0 anywhere after its history; now and then with rows that stand beyond the last key. */
function drawPositions({ B, Lq, Lk, R }: CallShape, random: Random): Float64Tensor {
  // Sometimes rows stand beyond the keys, and beyond what their windows reach.
  const beyond = random.chance(0.2) ? random.integer(1, Lk + 40) : 0;
  const last = Math.max(R, Lk - Lq) + beyond;
  return { shape: [B], data: Float64Array.from({ length: B }, () => random.integer(R, last)) };
}

/** Finite values with −∞ among them, sometimes a whole row of it; one for all batch entries or heads, or one each. */
function drawBias(pipeline: Pipeline, { B, Lq, Lk, R }: CallShape, random: Random): Float64Tensor {
  const shape = [random.chance(0.5) ? B : 1, random.chance(0.5) ? pipeline.heads : 1, R + Lq, Lk];
  const data = random.normals(elementCount(shape));
  const hidden = random.chance(0.3) ? 0.7 : 0.15;
  for (let start = 0; start < data.length; start += Lk) {
    const whole = random.chance(0.05);
    for (let key = start; key < start + Lk; key += 1) {
      if (whole || random.chance(hidden)) data[key] = Number.NEGATIVE_INFINITY;
    }
  }
  return { shape, data: roundTo("f32", data) };
}

/** Sinks every eighth or so of a bias's rows to −1e30, where it does not hide: all its logits become the same. */
export function sinkRows<T extends AttentionInputs<Float64Tensor>>(inputs: T, seed: number): T {
  if (inputs.bias === undefined) return inputs;
  const random = new Random(seed ^ 0x51a4);
  const { shape, data } = inputs.bias;
  const keys = shape[3] ?? 1;
  const sunk = Float64Array.from(data);
  for (let start = 0; start < sunk.length; start += keys) {
    if (random.chance(0.12))
      sunk.subarray(start, start + keys).forEach((value, key, row) => {
        if (Number.isFinite(value)) row[key] = -1e30;
      });
  }
  return { ...inputs, bias: { shape, data: sunk } };
}
