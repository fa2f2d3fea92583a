import {
  type BindingElement,
  hasMask,
  type KernelPlan,
  launchFieldType,
  type Pipeline,
  type Plan,
} from "../../../runtime/contract/index.ts";
import { type NamedConstant, operandOf } from "../model.ts";
import { specPlace } from "../provenance.ts";

/** A constant of a CUDA kernel. */
export interface CudaConstant extends NamedConstant {
  readonly type: "int" | "unsigned" | "float" | "bool";
}

/** A C++ literal of type float. */
export function cudaFloat(value: number): string {
  const text = String(value);
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}

/** A parameter of a kernel's C++ signature. */
export interface KernelParameter {
  readonly type: string;
  readonly name: string;
}

/**
 * C++ parameters of a kernel, in the order of its bindings.
 * @param storage The type of the elements of tensors.
 */
export function cudaParameters(kernel: KernelPlan, storage: string): KernelParameter[] {
  return kernel.bindings.map((bound) => {
    const { access } = bound;
    const { variable, element, width } = operandOf(bound);
    if (access === "uniform") return { type: "const Launch", name: variable };
    const constant = access === "read_write" ? "" : "const ";
    return { type: `${constant}${cudaElement(element, width, storage)}* __restrict__`, name: variable };
  });
}

/** The C++ type of what lies behind a binding's pointer. */
export function cudaElement(element: BindingElement, width: number, storage: string): string {
  switch (element) {
    case "storage":
      return storage;
    case "f16":
      return "unsigned short";
    case "i32":
      return "int";
    case "f32":
      return width === 2 ? "float2" : "float";
    case "word":
      return "float";
    case "launch":
      return "Launch";
  }
}

/** What the mask asks of a kernel's text. */
export interface MaskModel {
  readonly causal: boolean;
  readonly window: boolean;
  readonly documents: boolean;
  readonly lengths: boolean;
  readonly bias: boolean;
  /** Pairs may be hidden anywhere: no tile is free of tests. */
  readonly tested: boolean;
  /** The range of visible keys depends on the row. */
  readonly ranged: boolean;
  /** Visibility depends on absolute positions. */
  readonly positioned: boolean;
  /** Arguments that `visible` takes beside launch and batch, before the head. */
  readonly arguments: string;
  /** The head as an argument of `visible`, where visibility depends on it. */
  readonly headArgument: string;
}

export function maskModel(pipeline: Pipeline): MaskModel {
  const has = (kind: Parameters<typeof hasMask>[1]): boolean => hasMask(pipeline, kind);
  const ranged = has("causal") || has("window") || has("lengths");
  return {
    causal: has("causal"),
    window: has("window"),
    documents: has("documents"),
    lengths: has("lengths"),
    bias: has("bias"),
    tested: has("documents") || has("bias"),
    ranged,
    positioned: ranged || has("documents"),
    arguments: `${has("documents") ? ", documents" : ""}${has("bias") ? ", bias" : ""}`,
    headArgument: has("bias") ? ", head" : "",
  };
}

const C_TYPES = { u32: "unsigned", i32: "int", f32: "float" } as const;

/** What the preamble of a plan's source needs: everything that its kernels share. */
export function preambleModel(plan: Plan) {
  const { pipeline } = plan;
  const window = pipeline.mask.find((term) => term.kind === "window");
  const source =
    pipeline.source === null ? "" : ` (${specPlace(pipeline.source.file, pipeline.source.line)})`;
  const knobs = Object.entries(plan.knobs).map(([name, value]) => `${name} ${value}`);
  const mask = pipeline.mask
    .map((term) => (term.kind === "window" ? `window ${term.size}` : term.kind))
    .join(" ");
  const constants: CudaConstant[] = [
    { type: "int", name: "HEADS", value: String(pipeline.heads) },
    {
      type: "int",
      name: "HEADS_PER_KEY",
      value: String(pipeline.heads / pipeline.kvHeads),
      comment: "Consecutive query heads that share a key/value head.",
    },
    { type: "int", name: "HEAD_DIM", value: String(pipeline.headDim) },
    { type: "int", name: "VALUE_DIM", value: String(pipeline.valueDim) },
    { type: "float", name: "SCALE", value: cudaFloat(pipeline.scale) },
    ...(window === undefined ? [] : [{ type: "int", name: "WINDOW", value: String(window.size) } as const]),
    {
      type: "float",
      name: "HIDDEN",
      value: "-3.40282346e38f",
      comment:
        "Score of a pair that is not visible: finite so that differences of two are 0. No visible one has it.",
    },
    {
      type: "float",
      name: "LARGEST",
      value: "3.40282326e38f",
      comment: "Largest size of a score with a bias: it stays above HIDDEN, whatever the bias.",
    },
    { type: "float", name: "INFINITE", value: "__builtin_huge_valf()" },
  ];
  return {
    title: `${pipeline.name}${source}: kernels of the schedule ${plan.schedule}.`,
    lines: [
      `spec: heads ${pipeline.heads}${pipeline.kvHeads === pipeline.heads ? "" : `, kv_heads ${pipeline.kvHeads}`}, head_dim ${pipeline.headDim}, value_dim ${pipeline.valueDim}, mask ${mask || "none"}, dtype ${pipeline.storage}`,
      `plan: ${plan.schedule}, ${knobs.join(", ")}`,
      "Made by mtac: change the spec and compile it again, not this file.",
    ],
    namespace: cudaNamespace(plan),
    launchFields: (plan.kernels[0]?.launch ?? []).map((name) => ({
      name,
      type: C_TYPES[launchFieldType(name)],
    })),
    constants,
    mask: maskModel(pipeline),
  };
}

/** The C++ namespace of a plan's kernels: several emitted files may be linked together. */
export function cudaNamespace({ pipeline, kernels }: Plan): string {
  // `<attention>.2.cu`: the file's number tells an attention's plans apart.
  const variant = /\.(\d+)\.cu$/.exec(kernels[0]?.file ?? "")?.[1];
  return `mtac_${pipeline.name}${variant === undefined ? "" : `_${variant}`}`;
}
