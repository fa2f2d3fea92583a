import { describe, expect, test } from "vitest";
import { type Float64Tensor, roundTo } from "../../runtime/contract/index.ts";
import { referenceGradients } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { drawGradient, FLOOR, named, problem } from "../support/gradients.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { gradientsOn } from "../support/train.ts";
import { emulatedDevice, findNvcc, machineFor, trainingDevice } from "./harness.ts";

const available = (await findNvcc()) !== null;

const SQUARE = { B: 1, Lq: 70, Lk: 70, R: 0 } as const;

/** What gradients in these types may be off. */
const BOUNDS: Readonly<Record<string, number>> = { f16: 5e-3, bf16: 2e-2 };

interface Hard {
  readonly what: string;
  readonly spec: string;
  readonly shape?: { readonly B: number; readonly Lq: number; readonly Lk: number; readonly R: number };
  /** What all scores have in common. */
  readonly offset?: number;
  /** By what a parameter and the queries are larger than drawn. */
  readonly larger?: { readonly parameter: string; readonly factor: number; readonly queries: number };
  /** Every other head's output has no gradient, and those of the rest are a million times smaller than drawn. */
  readonly silent?: boolean;
}

const HARD: readonly Hard[] = [
  ...["f16", "bf16"].map((dtype) => ({
    what: `${dtype}: scores that have 250 in common are mixed`,
    spec: `dtype ${dtype} heads 4 kv_heads 2 head_dim 16 mask causal scores { mix 4 }`,
    offset: 250,
  })),
  ...[20, 250].map((offset) => ({
    what: `f16: scores that have ${offset} in common are convolved`,
    spec: "dtype f16 heads 2 head_dim 16 mask causal scores { conv 6x11 }",
    offset,
  })),
  {
    what: "bf16: scores that have 250 in common are convolved",
    spec: "dtype bf16 heads 4 kv_heads 2 head_dim 16 mask causal scores { conv 3x5 }",
    offset: 250,
  },
  {
    what: "small scores under a large kernel",
    spec: "dtype f16 heads 2 head_dim 16 mask causal scores { conv 3x5 }",
    larger: { parameter: "scores.conv.weight", factor: 100, queries: 0.3 },
  },
  {
    what: "a mix that is beyond f16",
    spec: "dtype bf16 heads 4 head_dim 16 mask causal scores { mix 4 softcap 30 mix 4 }",
    larger: { parameter: "scores.mix.weight", factor: 3e4, queries: 1 },
  },
  {
    what: "bf16: small gradients beside heads without any are mixed",
    spec: "dtype bf16 heads 4 head_dim 16 mask causal scores { conv 2x3 mix 2 }",
    silent: true,
  },
  {
    what: "f16: small gradients beside heads without any share keys",
    spec: "dtype f16 heads 4 kv_heads 2 head_dim 16 mask causal",
    silent: true,
  },
  {
    what: "sparsemax, whose support jumps",
    spec: "dtype f16 heads 4 head_dim 16 mask causal normalize sparsemax scores { conv 3x5 }",
  },
  {
    what: "fewer heads than a fragment, a bias for each",
    spec: "dtype f16 heads 8 head_dim 64 value_dim 8 mask bias weights { mix 8 }",
    shape: { B: 3, Lq: 1, Lk: 65, R: 0 },
  },
  {
    what: "groups of three heads, after a stage that writes no more than it has to",
    spec: "dtype bf16 heads 6 kv_heads 1 head_dim 16 value_dim 64 mask none scores { relu mix 3 } weights { mix 3 }",
    shape: { B: 3, Lq: 1, Lk: 130, R: 9 },
  },
];

function scaled(tensor: Float64Tensor, factor: number): Float64Tensor {
  return { ...tensor, data: tensor.data.map((value) => value * factor) };
}

/** The first channel of each row is the same number. */
function withConstant(tensor: Float64Tensor, value: number): Float64Tensor {
  const channels = tensor.shape[3] ?? 1;
  return { ...tensor, data: tensor.data.map((each, at) => (at % channels === 0 ? value : each)) };
}

describe.skipIf(!available)("gradients on tensor cores stay as exact as their storage", async () => {
  if (!available) return;
  const device = await emulatedDevice();

  test.each(HARD)("$what", async ({ spec, shape = SQUARE, offset, larger, silent }) => {
    const pipeline = pipelineOf(`attention a { ${spec} }`, "a");
    const { storage, scale } = pipeline;
    const drawn = drawInputs(pipeline, shape, false, 1);
    const rounded = (tensor: Float64Tensor): Float64Tensor => ({
      ...tensor,
      data: roundTo(storage, tensor.data),
    });
    const common = Math.sqrt((offset ?? 0) / scale);
    const given = (tensor: Float64Tensor, factor: number): Float64Tensor =>
      rounded(offset === undefined ? scaled(tensor, factor) : withConstant(tensor, common));
    // One of each head: heads that do not exist have none.
    const biases = [1, pipeline.heads, shape.Lq, shape.Lk] as const;
    const bias = { shape: biases, data: new Float64Array(biases.reduce((all, size) => all * size, 1)) };
    const inputs = {
      ...drawn,
      ...(drawn.bias === undefined ? {} : { bias }),
      q: given(drawn.q, larger?.queries ?? 1),
      k: given(drawn.k, 1),
      v: rounded(drawn.v),
    };
    const parameters = new Map(
      [...drawParameters(pipeline, 2)].map(([name, tensor]) => [
        name,
        name === larger?.parameter ? rounded({ ...scaled(tensor, larger.factor) }) : tensor,
      ]),
    );
    const dO = drawGradient(pipeline, inputs, 3, silent === true ? 1e-6 : 1);
    const headSize = shape.Lq * pipeline.valueDim;
    if (silent === true)
      dO.data.forEach((_, at) => {
        if (Math.floor(at / headSize) % 2 === 1) dO.data[at] = 0;
      });
    const trial = { pipeline, inputs, parameters, dO };
    const expected = named(referenceGradients(pipeline, parameters, inputs, trial.dO));
    const found = await gradientsOn(trainingDevice(device), machineFor("sm_80"), trial, 64, "tensor");
    expect(problem(found, expected, { bound: BOUNDS[storage] ?? 0, floor: FLOOR.vectors })).toBeNull();
  });
});
