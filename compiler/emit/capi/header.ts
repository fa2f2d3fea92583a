import {
  type Artifact,
  type AxisName,
  elementCount,
  hasDropout,
  hasMask,
  type Pipeline,
  type Plan,
  STRIDED_TENSORS,
  type TensorResource,
  usesLayer,
} from "../../../runtime/contract/index.ts";
import type { Api } from "./api.ts";
import { errorModel, MOST_THREADS } from "./errors.ts";

const CUDA_ELEMENTS = { f32: "f32", f16: "f16 (__half)", bf16: "bf16 (__nv_bfloat16)" } as const;
/** C11 has no types for two of them: what counts is the bits. */
const CPU_ELEMENTS = {
  f32: "f32",
  f16: "f16 (bits of IEEE 754's binary16)",
  bf16: "bf16 (the upper half of a float's bits)",
} as const;

/** Fields of a call that count along an axis, and macros of the header for the others. */
const SIZES: Readonly<Partial<Record<AxisName, string>>> = {
  Lq: "query_rows",
  Lk: "key_rows",
  R: "history_rows",
  H: "HEADS",
  Hkv: "KV_HEADS",
  D: "HEAD_DIM",
  Dv: "VALUE_DIM",
};

/** What the header and the functions behind it both name. */
export function sharedModel(pipeline: Pipeline, artifact: Artifact, { name, cuda }: Api) {
  // CUDA's C API has none.
  const gradients = !cuda && backwardPlan(artifact) !== null;
  return {
    name,
    upper: name.toUpperCase(),
    cuda,
    softmax: pipeline.normalize === "softmax",
    masked: pipeline.mask.length > 0,
    documents: hasMask(pipeline, "documents"),
    lengths: hasMask(pipeline, "lengths"),
    bias: hasMask(pipeline, "bias"),
    dropout: hasDropout(pipeline),
    depthScale: usesLayer(pipeline),
    gradients,
    // Only a backward pass asks what the stages of the output were given.
    keepsValues: gradients && pipeline.output.length > 0,
  };
}

/** The plan for gradients; null where an attention was compiled without. */
export function backwardPlan({ backward = [], dropout }: Artifact): Plan | null {
  return dropout?.backward[0] ?? backward[0] ?? null;
}

export function headerModel(pipeline: Pipeline, artifact: Artifact, api: Api) {
  const shared = sharedModel(pipeline, artifact, api);
  const { heads, kvHeads, headDim, valueDim, storage } = pipeline;
  const [plan] = artifact.plans;
  const shapes = new Map(pipeline.parameters.map(({ name, shape }) => [name, shape]));
  return {
    ...shared,
    ...errorModel(pipeline, alignmentOf(artifact), api, shared.gradients),
    mostThreads: MOST_THREADS,
    sizes: [
      { name: "HEADS", value: heads },
      { name: "KV_HEADS", value: kvHeads },
      { name: "HEAD_DIM", value: headDim },
      { name: "VALUE_DIM", value: valueDim },
    ],
    heads,
    kvHeads,
    headDim,
    valueDim,
    type: storage === "f32" ? "float" : "void",
    element: (api.cuda ? CUDA_ELEMENTS : CPU_ELEMENTS)[storage],
    alignment: alignmentOf(artifact),
    outputStages: [...new Set(pipeline.output.map(({ kind }) => kind))].join(" and "),
    parameterCount: pipeline.parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    parameters: (plan?.parameters ?? []).map(({ name, offset }) => ({
      name,
      offset,
      constant: parameterMacro(name),
      shape: (shapes.get(name) ?? []).join(", "),
    })),
  };
}

/** How macros of the header name a parameter. */
export function parameterMacro(parameter: string): string {
  return parameter.replaceAll(".", "_").toUpperCase();
}

/** What the sources of a direction say of calls: their checks, and the strides of contiguous tensors. */
export function callModel(pipeline: Pipeline, artifact: Artifact, api: Api, direction?: Plan["direction"]) {
  const shared = sharedModel(pipeline, artifact, api);
  return {
    ...shared,
    ...errorModel(pipeline, alignmentOf(artifact), api, shared.gradients, direction),
    nothing: api.nothing,
    strided: STRIDED_TENSORS.filter(({ name }) => name !== "bias").map(stridedModel),
    largestDim: Math.max(pipeline.headDim, pipeline.valueDim),
  };
}

/** A tensor with strides: what a contiguous one has. */
function stridedModel({ name, axes }: TensorResource) {
  const sizes = axes.map((axis) => SIZES[axis] ?? "");
  const [, heads = "", rows = "", size = ""] = sizes;
  return { name, heads, rows, size };
}

/** The plans of calls, those that drop weights among them. */
export function plansOfCalls({ plans, dropout }: Pick<Artifact, "plans" | "dropout">): readonly Plan[] {
  return [...plans, ...(dropout?.plans ?? [])];
}

/** The alignment that suits every plan. */
function alignmentOf(artifact: Artifact): Plan["alignment"] {
  const plans = plansOfCalls(artifact);
  const most = (tensor: "q" | "k" | "v" | "o"): number =>
    Math.max(...plans.map(({ alignment }) => alignment[tensor]));
  return { q: most("q"), k: most("k"), v: most("v"), o: most("o") };
}
