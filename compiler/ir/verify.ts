import {
  type ConvStage,
  type GateStage,
  type Initializer,
  type MaskTerm,
  type MixStage,
  type NormStage,
  type OutputStage,
  type Parameter,
  type Pipeline,
  type PointwiseStage,
  pointwiseOf,
  pointwiseOperands,
  type ScoreStage,
  type WeightStage,
} from "../../runtime/contract/index.ts";
import { POINTWISE_KINDS } from "../language/pointwise.ts";
import { IrError } from "./error.ts";

/** Every rule that a pipeline obeys; `verifyPipeline` throws an `IrError` that names the first one broken. */
export const IR_RULES = {
  "attention-name": "the attention has a name",
  sizes: "heads, dimensions, groups, kernels, dilations and windows are positive integers",
  "kv-heads-divide": "kvHeads divides heads",
  "scale-finite": "the scale is a finite number",
  storage: "the storage type is f32, f16 or bf16",
  normalizer: "the normaliser is softmax or sparsemax",
  "mask-once": "every mask term stands at most once",
  "mask-order": "mask terms stand in canonical order",
  "section-kinds": "a section holds only the kinds of stages that it allows",
  "output-once": "norm and gate stand at most once each",
  "stage-names": "stage names are unique and begin with their section",
  "group-divides": "mix groups and across divide heads",
  "origin-inside": "a convolution's origin lies on a tap of its kernel",
  "pointwise-operands": "numbers of pointwise stages are finite and above 0",
  "dropout-rate": "a dropout's rate is from 0 to below 1",
  "eps-nonnegative": "a norm's eps is finite and not negative",
  "parameter-names": "a stage's parameters are called after the stage",
  "parameter-order": "the pipeline lists exactly the parameters of its stages, in their order, each once",
  "parameter-shape": "a parameter has the shape that its stage gives it",
  "parameter-init": "a parameter starts in a way that its stage knows",
} as const;

export type IrRule = keyof typeof IR_RULES;

export const MASK_ORDER: readonly MaskTerm["kind"][] = ["causal", "window", "documents", "lengths", "bias"];

/** A parameter as a stage demands it. */
interface Demand {
  readonly name: string;
  readonly shape: readonly number[];
  readonly inits: readonly Initializer["kind"][];
}

export interface VerifyOptions {
  /** The pass that made the pipeline, for the message. */
  readonly pass?: string;
  /** Also demands what only the last pass establishes (the mask's order). Default true. */
  readonly canonical?: boolean;
}

/**
 * The grammar of the IR, executable: run after every pass.
 * @throws IrError naming the rule that the pipeline breaks.
 */
export function verifyPipeline(pipeline: Pipeline, options: VerifyOptions = {}): void {
  new Verifier(options).pipeline(pipeline, options.canonical ?? true);
}

class Verifier {
  readonly #options: VerifyOptions;

  constructor(options: VerifyOptions) {
    this.#options = options;
  }

  #require(condition: boolean, rule: IrRule, detail: string): void {
    if (condition) return;
    const pass = this.#options.pass;
    throw new IrError(rule, `${detail} (${IR_RULES[rule]})`, pass === undefined ? {} : { pass });
  }

  #size(value: number, what: string): void {
    this.#require(Number.isSafeInteger(value) && value >= 1, "sizes", `${what} is ${value}`);
  }

  pipeline(pipeline: Pipeline, canonical: boolean): void {
    this.#require(pipeline.name !== "", "attention-name", "the name is empty");
    for (const key of ["heads", "kvHeads", "headDim", "valueDim"] as const) this.#size(pipeline[key], key);
    const { heads, kvHeads } = pipeline;
    this.#require(heads % kvHeads === 0, "kv-heads-divide", `${kvHeads} of ${heads}`);
    this.#require(Number.isFinite(pipeline.scale), "scale-finite", `scale is ${pipeline.scale}`);
    this.#require(["f32", "f16", "bf16"].includes(pipeline.storage), "storage", pipeline.storage);
    this.#require(["softmax", "sparsemax"].includes(pipeline.normalize), "normalizer", pipeline.normalize);
    this.#mask(pipeline.mask, canonical);
    this.#names(pipeline);
    this.#sections(pipeline);
    const demands = [
      ...pipeline.scores.map((stage) => this.#mapStage(stage, pipeline)),
      ...pipeline.weights.map((stage) => this.#mapStage(stage, pipeline)),
      ...pipeline.output.map((stage) => this.#outputStage(stage, pipeline)),
    ].flat();
    this.#parameters(demands, pipeline.parameters);
  }

  #mask(mask: readonly MaskTerm[], canonical: boolean): void {
    const kinds = mask.map((term) => term.kind);
    this.#require(new Set(kinds).size === kinds.length, "mask-once", kinds.join(" "));
    for (const term of mask) if (term.kind === "window") this.#size(term.size, "window");
    const ranks = kinds.map((kind) => MASK_ORDER.indexOf(kind));
    this.#require(!ranks.includes(-1), "mask-order", `an unknown term in "${kinds.join(" ")}"`);
    if (!canonical) return;
    this.#require(
      ranks.every((rank, index) => index === 0 || rank > (ranks[index - 1] ?? -1)),
      "mask-order",
      kinds.join(" "),
    );
  }

  #names(pipeline: Pipeline): void {
    const names = new Set<string>();
    for (const section of ["scores", "weights", "output"] as const) {
      for (const { name } of pipeline[section]) {
        this.#require(new RegExp(`^${section}\\.[a-z_][a-z0-9_]*$`).test(name), "stage-names", name);
        this.#require(!names.has(name), "stage-names", `${name} stands twice`);
        names.add(name);
      }
    }
  }

  #sections(pipeline: Pipeline): void {
    const allowed = {
      scores: ["conv", "mix", ...POINTWISE_KINDS],
      weights: ["conv", "mix", "dropout"],
      output: ["norm", "gate"],
    };
    for (const section of ["scores", "weights", "output"] as const) {
      for (const { kind } of pipeline[section]) {
        this.#require(allowed[section].includes(kind), "section-kinds", `${kind} in ${section}`);
      }
    }
    const kinds = pipeline.output.map((stage) => stage.kind);
    this.#require(new Set(kinds).size === kinds.length, "output-once", kinds.join(" "));
  }

  #mapStage(stage: ScoreStage | WeightStage, pipeline: Pipeline): readonly Demand[] {
    switch (stage.kind) {
      case "conv":
        return this.#conv(stage, pipeline.heads);
      case "mix":
        return this.#mix(stage, pipeline.heads);
      case "dropout":
        this.#require(stage.rate >= 0 && stage.rate < 1, "dropout-rate", `${stage.name}: ${stage.rate}`);
        return [];
      default:
        return this.#pointwise(stage);
    }
  }

  #outputStage(stage: OutputStage, pipeline: Pipeline): readonly Demand[] {
    switch (stage.kind) {
      case "norm":
        return this.#norm(stage, pipeline.valueDim);
      case "gate":
        return this.#gate(stage, pipeline.valueDim);
    }
  }

  #conv(stage: ConvStage, heads: number): readonly Demand[] {
    for (const axis of ["query", "key"] as const) {
      this.#size(stage.kernel[axis], `${stage.name}: the kernel's ${axis} size`);
      this.#size(stage.dilation[axis], `${stage.name}: the dilation along ${axis}`);
      const origin = stage.origin[axis];
      const inside = Number.isSafeInteger(origin) && origin >= 0 && origin < stage.kernel[axis];
      this.#require(
        inside,
        "origin-inside",
        `${stage.name}: ${origin} of ${stage.kernel[axis]} along ${axis}`,
      );
    }
    this.#size(stage.across, `${stage.name}: across`);
    this.#require(
      heads % stage.across === 0,
      "group-divides",
      `${stage.name}: across ${stage.across} of ${heads} heads`,
    );
    const kernels = stage.shared ? stage.across : heads;
    const weight: Demand = {
      name: this.#called(stage.weight, `${stage.name}.weight`),
      shape: [kernels, stage.across, stage.kernel.query, stage.kernel.key],
      inits: ["identity", "zeros", "normal"],
    };
    if (stage.bias === null) return [weight];
    return [
      weight,
      { name: this.#called(stage.bias, `${stage.name}.bias`), shape: [kernels], inits: ["zeros"] },
    ];
  }

  #mix(stage: MixStage, heads: number): readonly Demand[] {
    const { group } = stage;
    this.#size(group, `${stage.name}: group`);
    this.#require(heads % group === 0, "group-divides", `${stage.name}: mix ${group} of ${heads} heads`);
    const name = this.#called(stage.weight, `${stage.name}.weight`);
    return [{ name, shape: [heads / group, group, group], inits: ["identity", "zeros", "normal"] }];
  }

  #pointwise(stage: PointwiseStage): readonly Demand[] {
    for (const operand of pointwiseOperands(pointwiseOf(stage)))
      this.#require(
        Number.isFinite(operand) && operand > 0,
        "pointwise-operands",
        `${stage.name}: ${operand}`,
      );
    return [];
  }

  #norm(stage: NormStage, valueDim: number): readonly Demand[] {
    this.#require(
      Number.isFinite(stage.eps) && stage.eps >= 0,
      "eps-nonnegative",
      `${stage.name}: ${stage.eps}`,
    );
    return [{ name: this.#called(stage.weight, `${stage.name}.weight`), shape: [valueDim], inits: ["ones"] }];
  }

  #gate(stage: GateStage, valueDim: number): readonly Demand[] {
    const gates = stage.mode === "scalar" ? 1 : valueDim;
    return [
      {
        name: this.#called(stage.weight, `${stage.name}.weight`),
        shape: [gates, valueDim],
        inits: ["zeros"],
      },
      { name: this.#called(stage.bias, `${stage.name}.bias`), shape: [gates], inits: ["zeros"] },
    ];
  }

  #called(name: string, expected: string): string {
    this.#require(name === expected, "parameter-names", `${name} instead of ${expected}`);
    return name;
  }

  #parameters(demands: readonly Demand[], parameters: readonly Parameter[]): void {
    const wanted = demands.map((demand) => demand.name).join(", ");
    const listed = parameters.map((parameter) => parameter.name).join(", ");
    this.#require(
      wanted === listed,
      "parameter-order",
      `stages name [${wanted}], the pipeline lists [${listed}]`,
    );
    demands.forEach(({ name, shape, inits }, index) => {
      const parameter = parameters[index];
      if (parameter === undefined) return;
      const given = parameter.shape.join("x");
      this.#require(
        given === shape.join("x"),
        "parameter-shape",
        `${name}: ${given} instead of ${shape.join("x")}`,
      );
      const { init } = parameter;
      this.#require(inits.includes(init.kind), "parameter-init", `${name}: ${init.kind}`);
      if (init.kind !== "normal") return;
      this.#require(Number.isFinite(init.std) && init.std >= 0, "parameter-init", `${name}: std ${init.std}`);
    });
  }
}
