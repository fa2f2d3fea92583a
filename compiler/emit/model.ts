import {
  type BufferBinding,
  type ConvStage,
  convReach,
  type Finish,
  hasMask,
  isPointwise,
  type KernelPlan,
  launchFieldType,
  type MixStage,
  type Operand,
  type Pipeline,
  type Plan,
  type StageIndex,
} from "../../runtime/contract/index.ts";
import { type PointwiseModel, pointwiseComment, pointwiseModel } from "./pointwise.ts";
import { specPlace } from "./provenance.ts";
import { bufferType } from "./tensor-rows.ts";

/** WGSL literals: integers carry their type, floats always a point or exponent. */
export function u32(value: number): string {
  return `${value}u`;
}

export function f32(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

export interface NamedConstant {
  readonly name: string;
  readonly value: string;
  readonly comment?: string;
}

/** Collects a kernel's constants and gives back their names, for templates to print. */
export class ConstantTable {
  readonly list: NamedConstant[] = [];

  u32(name: string, value: number, comment?: string): string {
    return this.#add(name, u32(value), comment);
  }

  i32(name: string, value: number, comment?: string): string {
    return this.#add(name, String(value), comment);
  }

  #add(name: string, value: string, comment: string | undefined): string {
    const known = this.list.find((constant) => constant.name === name);
    if (known === undefined)
      this.list.push(comment === undefined ? { name, value } : { name, value, comment });
    else if (known.value !== value) throw new RangeError(`the constant ${name} has two values`);
    return name;
  }
}

/** What every kernel's template gets. */
export interface CommonModel {
  readonly title: string;
  readonly lines: readonly string[];
  readonly native: boolean;
  readonly packed: boolean;
  readonly packs: boolean;
  readonly bf16: boolean;
  readonly history: boolean;
  readonly skipDead: boolean;
  readonly launchFields: readonly { readonly name: string; readonly type: string }[];
  readonly bindings: readonly BindingModel[];
  readonly constants: readonly NamedConstant[];
  readonly mask: {
    readonly causal: boolean;
    readonly window: boolean;
    readonly documents: boolean;
    readonly lengths: boolean;
    readonly bias: boolean;
    /** Pairs may be hidden anywhere: no tile is free of tests. */
    readonly tested: boolean;
    /** Visibility differs from head to head. */
    readonly perHead: boolean;
  };
}

export interface BindingModel {
  readonly binding: number;
  readonly space: string;
  readonly variable: string;
  readonly type: string;
}

/** How a kernel's text declares a binding. */
export function operandOf({ resource, operand }: BufferBinding): Operand {
  if (operand === undefined)
    throw new RangeError(`the binding of "${resource}" has no operand: shipped artifacts leave it out`);
  return operand;
}

/** The kernel's bindings as WGSL declares them. */
export function bindingModels(plan: Plan, kernel: KernelPlan): BindingModel[] {
  return kernel.bindings.map((bound) => {
    const { binding, access } = bound;
    const { variable, element, width } = operandOf(bound);
    if (access === "uniform") return { binding, space: "uniform", variable, type: "Launch" };
    const written = access === "read_write";
    const type = bufferType(element, width, plan.storage, written);
    return { binding, space: `storage, ${access}`, variable, type: `array<${type}>` };
  });
}

export function commonModel(
  plan: Plan,
  kernel: KernelPlan,
  options: {
    skipDead?: boolean;
    constants: readonly NamedConstant[];
    purpose: readonly string[];
  },
): CommonModel {
  const { pipeline } = plan;
  const window = pipeline.mask.find((term) => term.kind === "window");
  const source = kernel.source === null ? "" : ` (${specPlace(kernel.source.file, kernel.source.line)})`;
  return {
    title: `${pipeline.name}: ${kernel.name}${source}`,
    lines: header(plan, kernel, options.purpose),
    native: plan.storage === "f16-native",
    packed: plan.storage === "f16-packed" || plan.storage === "bf16-packed",
    packs: plan.storage === "f16-packed" || plan.storage === "bf16-packed",
    bf16: plan.storage === "bf16-packed",
    history: "HISTORY" in kernel.overrides,
    skipDead: options.skipDead ?? true,
    launchFields: kernel.launch.map((name) => ({ name, type: launchFieldType(name) })),
    bindings: bindingModels(plan, kernel),
    constants: [
      { name: "WORKGROUP", value: u32(kernel.workgroupSize), comment: "Invocations of a workgroup." },
      { name: "HEADS", value: u32(pipeline.heads) },
      {
        name: "HEADS_PER_KEY",
        value: u32(pipeline.heads / pipeline.kvHeads),
        comment: "Consecutive query heads that share a key/value head.",
      },
      { name: "SCALE", value: f32(pipeline.scale) },
      { name: "VALUE_DIM", value: u32(pipeline.valueDim) },
      ...(window === undefined ? [] : [{ name: "WINDOW", value: String(window.size) }]),
      {
        name: "HIDDEN",
        value: "-3.40282346e38",
        comment:
          "Score of a pair that is not visible: the lowest, since WGSL constants may not be infinite. No visible one has it.",
      },
      {
        name: "LARGEST",
        value: "3.40282326e38",
        comment: "Largest size of a score with a bias: it stays above HIDDEN, whatever the bias.",
      },
      {
        name: "EMPTY_BITS",
        value: "0xff800000u",
        comment: "Bits of -infinity: the log-sum-exp of an empty row.",
      },
      {
        name: "NOTHING_NEW",
        value: "2.0",
        comment: "Instead of a factor (at most 1): the row sees none of this step's keys.",
      },
      ...options.constants,
    ],
    mask: {
      causal: hasMask(pipeline, "causal"),
      window: window !== undefined,
      documents: hasMask(pipeline, "documents"),
      lengths: hasMask(pipeline, "lengths"),
      bias: hasMask(pipeline, "bias"),
      tested: hasMask(pipeline, "documents") || hasMask(pipeline, "bias"),
      perHead: hasMask(pipeline, "bias"),
    },
  };
}

function header(plan: Plan, kernel: KernelPlan, purpose: readonly string[]): string[] {
  const { pipeline } = plan;
  const knobs = Object.entries(plan.knobs).map(([name, value]) => `${name} ${value}`);
  const mask = pipeline.mask
    .map((term) => (term.kind === "window" ? `window ${term.size}` : term.kind))
    .join(" ");
  return [
    ...purpose,
    "",
    `spec: heads ${pipeline.heads}${pipeline.kvHeads === pipeline.heads ? "" : `, kv_heads ${pipeline.kvHeads}`}, head_dim ${pipeline.headDim}, value_dim ${pipeline.valueDim}, mask ${mask || "none"}, storage ${plan.storage}`,
    `plan: ${plan.schedule}, ${knobs.join(", ")}; this kernel: ${kernel.workgroupSize} invocations, ${kernel.workgroupBytes} bytes of workgroup memory`,
    "Made by mtac: change the spec and compile it again, not this file.",
  ];
}

/** Constants of a convolution's partials. */
export interface ConvModel {
  readonly spec: string;
  readonly function: string;
  readonly query: string;
  readonly key: string;
  readonly across: string;
  readonly joint: boolean;
  readonly shared: boolean;
  readonly taps: string;
  readonly weightAt: string;
  readonly bias: boolean;
  readonly biasAt: string;
  readonly dilationQuery: string;
  readonly dilationKey: string;
  readonly slides: boolean;
  readonly documents: boolean;
  readonly rowStride: string;
  readonly rowStep: string;
}

export function stageName(stage: ConvStage | MixStage): string {
  return stage.name.replaceAll(".", "_");
}

export function convModel(plan: Plan, stage: ConvStage, rowStride: string, table: ConstantTable): ConvModel {
  const name = stageName(stage).toUpperCase();
  return {
    spec: describe(stage),
    function: stageName(stage),
    query: u32(stage.kernel.query),
    key: u32(stage.kernel.key),
    across: u32(stage.across),
    joint: stage.across > 1,
    shared: stage.shared,
    taps: u32(stage.kernel.query * stage.kernel.key),
    weightAt: table.u32(
      `${name}_WEIGHT_AT`,
      parameterAt(plan, stage.weight),
      `${stage.weight} in parameters.`,
    ),
    bias: stage.bias !== null,
    biasAt: stage.bias === null ? "0u" : table.u32(`${name}_BIAS_AT`, parameterAt(plan, stage.bias)),
    dilationQuery: u32(stage.dilation.query),
    dilationKey: u32(stage.dilation.key),
    slides: stage.dilation.key === 1,
    documents: hasMask(plan.pipeline, "documents"),
    rowStride,
    rowStep: stage.dilation.query === 1 ? rowStride : `${u32(stage.dilation.query)} * ${rowStride}`,
  };
}

/** A stage's name and its line of the spec; `trace.ts` reads it back. */
export function stageLabel({ name, source }: Pick<ConvStage, "name" | "source">): string {
  return source === null ? name : `${name} (line ${source.line})`;
}

/** A stage in the words of the spec. */
export function describe(stage: ConvStage | MixStage): string {
  if (stage.kind === "mix") return `${stageLabel(stage)}, mix ${stage.group}`;
  const reach = convReach(stage);
  const dilation =
    stage.dilation.query === 1 && stage.dilation.key === 1
      ? ""
      : `, dilation ${stage.dilation.query}x${stage.dilation.key}`;
  const across = stage.across === 1 ? "" : `, across ${stage.across}`;
  return `${stageLabel(stage)}, conv ${stage.kernel.query}x${stage.kernel.key}${across}${dilation} (reads ${reach.past} rows before and ${reach.future} after, ${reach.left} keys left and ${reach.right} right)`;
}

export function parameterAt(plan: Plan, name: string): number {
  const placed = plan.parameters.find((parameter) => parameter.name === name);
  if (placed === undefined) throw new RangeError(`the plan has no parameter "${name}"`);
  return placed.offset;
}

export function stageOf(pipeline: Pipeline, index: StageIndex): ConvStage | MixStage {
  const stage = pipeline[index.section][index.index];
  if (stage === undefined || isPointwise(stage)) throw new RangeError("the plan names a stage that is none");
  return stage;
}

export interface FinishModel {
  readonly function: string;
  readonly comment: string;
  readonly pointwise: readonly PointwiseModel[];
  readonly plain: boolean;
  readonly addBias: boolean;
  /** Whether the value changes before it is masked. */
  readonly changes: boolean;
  readonly zero: boolean;
  readonly hide: boolean;
  readonly normalize: boolean;
}

export function finishModel(pipeline: Pipeline, name: string, finish: Finish): FinishModel {
  const addBias = finish.mask !== "zero" && hasMask(pipeline, "bias");
  const texts = {
    zero: "0 where not visible",
    hide: "HIDDEN where not visible, so that the softmax leaves it out",
    normalize: "the softmax's weight, exp(score - maximum of the row) / sum; 0 where not visible",
  };
  const caps = finish.pointwise.map(pointwiseComment).join("");
  return {
    function: name,
    comment: `Four entries of a row: ${caps}${addBias ? "plus the bias, " : ""}${texts[finish.mask]}.`,
    pointwise: finish.pointwise.map((each) => pointwiseModel(each, f32)),
    plain: finish.mask === "zero" && finish.pointwise.length === 0,
    addBias,
    changes: addBias || finish.pointwise.length > 0,
    zero: finish.mask === "zero",
    hide: finish.mask === "hide",
    normalize: finish.mask === "normalize",
  };
}

/** The factor before a stride that is taken `count` times: nothing for once. */
export function times(count: number): string {
  return count === 1 ? "" : `${u32(count)} * `;
}

export function mixOutputs(
  count: number,
  stride: number,
): { index: number; times: string; offset: string }[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    times: times(index),
    offset: index === 0 ? "" : ` + ${index * stride}u`,
  }));
}
