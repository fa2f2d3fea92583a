import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { AttentionInputs, CallShape, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { Random } from "../support/random.ts";
import { callShapeOf, roundInputs } from "../support/rounded.ts";
import { callOf, caseNames, loadCase, OWN_VECTORS } from "../support/vectors.ts";

/** A call, what it gives, and what ONNX peers say where they cannot make it. */
export interface PeerCase {
  readonly name: string;
  readonly pipeline: Pipeline;
  readonly shape: CallShape;
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  /** o [B, H, Lq, Dv] in float64. */
  readonly expected: Float64Array;
  readonly bound: number;
  readonly onnxDeclines: RegExp | null;
}

const F32_BOUND = 1e-5;

/** Cases whose logits reach ±300: ten times the bound (`semantics.md`, "Numbers"). */
const LARGE_LOGITS = /logits300/;

interface Drawn {
  readonly name: string;
  /** The body of an attention. */
  readonly body: string;
  readonly shape: CallShape;
  readonly positions?: boolean;
  readonly layer?: number;
  readonly onnxDeclines?: RegExp;
  /** Decides whether a bias has one head or all. */
  readonly seed?: number;
  /** Inputs that the storage type cannot hold: the peer has to round them. */
  readonly unrounded?: boolean;
}

const SEED = 7;

const CROSSES = /must not read the rows of another document/;
const SPARSEMAX = /ONNX has no sparsemax/;

const DRAWN: readonly Drawn[] = [
  {
    name: "grouped-query attention",
    body: "heads 8 kv_heads 2 head_dim 16 value_dim 24 scores { conv 3x5 mix 4 }",
    shape: { B: 2, Lq: 19, Lk: 23, R: 0 },
  },
  {
    name: "window, pad_key left",
    body: "heads 2 head_dim 8 mask causal window 7 scores { conv 2x4 pad_key left } weights { conv 2x3 }",
    shape: { B: 1, Lq: 30, Lk: 30, R: 0 },
  },
  {
    name: "no mask at all",
    body: "heads 4 head_dim 8 mask none scores { conv 3x3 pad_query both } weights { mix 2 }",
    shape: { B: 1, Lq: 21, Lk: 17, R: 0 },
  },
  {
    name: "lengths, rows without a key",
    body: "heads 2 head_dim 8 mask causal lengths scores { mix 2 } weights { conv 3x3 bias } output { norm }",
    shape: { B: 3, Lq: 20, Lk: 20, R: 0 },
  },
  {
    name: "decode with q_history",
    body: "heads 4 head_dim 16 scores { conv 4x5 } weights { conv 3x3 mix 4 }",
    shape: { B: 2, Lq: 1, Lk: 29, R: 5 },
  },
  {
    name: "ragged positions and lengths",
    body: "heads 2 head_dim 8 mask causal lengths scores { conv 3x3 }",
    shape: { B: 3, Lq: 4, Lk: 26, R: 2 },
    positions: true,
  },
  {
    name: "conv before and after: across, dilation, bias, pad_query both",
    body: `heads 4 head_dim 8
      scores  { conv 3x5 across 2 dilation 2x3 bias pad_query both   conv 2x2 pad_key right }
      weights { conv 3x3 across 4 shared bias pad_query both }`,
    shape: { B: 2, Lq: 24, Lk: 24, R: 0 },
  },
  {
    name: "softcap, norm depth_scale, channel gate",
    body: "heads 2 head_dim 16 scores { softcap 3 conv 2x3 softcap 2 } output { norm depth_scale gate channel }",
    shape: { B: 2, Lq: 18, Lk: 18, R: 0 },
    layer: 3,
  },
  {
    name: "a bias of its own for each head and batch entry, infinite ones among them",
    body: "heads 4 head_dim 8 mask causal bias scores { conv 2x3 mix 2 } weights { mix 4 }",
    shape: { B: 2, Lq: 14, Lk: 20, R: 3 },
    seed: 1,
  },
  {
    name: "f16 storage",
    body: "heads 2 head_dim 16 dtype f16 scores { conv 2x3 } output { gate }",
    shape: { B: 1, Lq: 33, Lk: 33, R: 0 },
    unrounded: true,
  },
  {
    name: "documents, a convolution along the keys",
    body: "heads 2 head_dim 8 mask causal documents scores { conv 1x5 } weights { mix 2 }",
    shape: { B: 2, Lq: 25, Lk: 25, R: 0 },
  },
  {
    name: "documents, a convolution across rows",
    body: "heads 4 head_dim 8 mask documents scores { conv 3x5 across 2 bias pad_query both dilation 2x1 }",
    shape: { B: 2, Lq: 25, Lk: 25, R: 0 },
    onnxDeclines: CROSSES,
  },
  {
    name: "sparsemax",
    body: "heads 2 head_dim 8 mask causal lengths normalize sparsemax scores { conv 2x3 } weights { conv 2x3 }",
    shape: { B: 2, Lq: 25, Lk: 25, R: 0 },
    onnxDeclines: SPARSEMAX,
  },
  {
    name: "dropout, which drops nothing here",
    body: "heads 2 head_dim 8 mask causal scores { conv 2x3 } weights { dropout 0.25 mix 2 }",
    shape: { B: 2, Lq: 25, Lk: 25, R: 0 },
  },
];

function drawnCase({ name, body, shape, ...options }: Drawn): PeerCase {
  return callCase(name, pipelineOf(`attention drawn { ${body} }`, "drawn"), shape, options);
}

function callCase(
  name: string,
  pipeline: Pipeline,
  shape: CallShape,
  options: Omit<Drawn, "name" | "body" | "shape">,
): PeerCase {
  const { positions = false, layer, onnxDeclines = null, unrounded = false, seed = SEED } = options;
  // Benchmarks time calls that drop nothing.
  const { dropoutSeed: _, ...drawn } = drawInputs(pipeline, shape, positions, seed);
  const inputs = { ...(unrounded ? disturbed(drawn) : drawn), ...(layer === undefined ? {} : { layer }) };
  const parameters = drawParameters(pipeline, seed);
  return {
    name,
    pipeline,
    shape,
    inputs,
    parameters,
    expected: referenceForward(pipeline, parameters, roundInputs(inputs, pipeline.storage)).o.data,
    bound: F32_BOUND,
    onnxDeclines,
  };
}

/** q, k and v with digits that f16 loses. */
function disturbed(inputs: AttentionInputs<Float64Tensor>): AttentionInputs<Float64Tensor> {
  const random = new Random(SEED);
  const disturb = ({ shape, data }: Float64Tensor): Float64Tensor => ({
    shape,
    data: data.map((value) => value * (1 + 2e-3 * random.uniform())),
  });
  return { ...inputs, q: disturb(inputs.q), k: disturb(inputs.k), v: disturb(inputs.v) };
}

function exampleCase(file: string, attention: string, shape: CallShape): PeerCase {
  const path = fileURLToPath(new URL(`../../examples/${file}`, import.meta.url));
  const pipeline: Pipeline = { ...pipelineOf(readFileSync(path, "utf8"), attention, file), storage: "f32" };
  return callCase(attention, pipeline, shape, {});
}

function vectorCase(name: string): PeerCase {
  const vector = loadCase(OWN_VECTORS, name);
  const pipeline = pipelineOf(vector.spec, vector.attention);
  const { inputs, parameters } = callOf(pipeline, vector);
  return {
    name: `official vector ${name}`,
    pipeline,
    shape: callShapeOf(inputs),
    inputs,
    parameters,
    expected: vector.expected.get("o")?.data ?? new Float64Array(),
    bound: LARGE_LOGITS.test(name) ? 10 * F32_BOUND : F32_BOUND,
    onnxDeclines:
      pipeline.normalize === "sparsemax" ? SPARSEMAX : name.includes("documents") ? CROSSES : null,
  };
}

export const CASES: readonly PeerCase[] = [
  exampleCase("mta_830m.mta", "mta_830m", { B: 1, Lq: 40, Lk: 40, R: 0 }),
  exampleCase("mta_toy.mta", "mta_toy", { B: 2, Lq: 45, Lk: 45, R: 0 }),
  ...DRAWN.map(drawnCase),
  ...caseNames(OWN_VECTORS).map(vectorCase),
];
