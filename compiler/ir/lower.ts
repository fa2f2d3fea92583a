import type {
  ConvStage,
  GateStage,
  Initializer,
  LinearStage,
  MixStage,
  NormStage,
  OutputStage,
  Parameter,
  Pipeline,
  ScoreStage,
  SourceLine,
  WeightStage,
} from "../../runtime/contract/index.ts";
import type { Attention, CheckedStage, Span, StageOf } from "../language/attention.ts";

type Section = "scores" | "weights" | "output";

/** What lowering knows of the attention around a stage, and where it puts the parameters that it meets. */
interface Context {
  readonly attention: Attention;
  readonly file: string;
  readonly parameters: Parameter[];
}

/**
 * Resolves a checked attention into the pipeline that planner, reference and launchers share: parameters get their
 * names, shapes and initialisers (`language.md`, "Parameters"), convolutions their origins (`semantics.md`, step 2).
 */
export function lower(attention: Attention, file: string): Pipeline {
  const context: Context = { attention, file, parameters: [] };
  const scores = lowerSection("scores", attention.scores, (stage, name) => lowerScore(stage, name, context));
  const weights = lowerSection("weights", attention.weights, (stage, name) =>
    lowerWeight(stage, name, context),
  );
  const output = lowerSection("output", attention.output, (stage, name) => lowerOutput(stage, name, context));
  return {
    name: attention.name,
    heads: attention.heads,
    kvHeads: attention.kvHeads,
    headDim: attention.headDim,
    valueDim: attention.valueDim,
    scale: attention.scale,
    storage: attention.dtype,
    mask: attention.mask,
    normalize: attention.normalize,
    scores,
    weights,
    output,
    parameters: context.parameters,
    source: sourceLine(attention.span, file),
  };
}

/** Names every stage of a section: its label, else its kind, from the second of one kind on with its number. */
function lowerSection<From extends CheckedStage, To>(
  section: Section,
  stages: readonly From[],
  lowerStage: (stage: From, name: string) => To,
): To[] {
  const seen = new Map<string, number>();
  return stages.map((stage) => {
    const count = (seen.get(stage.kind) ?? 0) + 1;
    seen.set(stage.kind, count);
    const label = "label" in stage ? stage.label : null;
    return lowerStage(stage, `${section}.${label ?? (count === 1 ? stage.kind : `${stage.kind}_${count}`)}`);
  });
}

function lowerScore(stage: Attention["scores"][number], name: string, context: Context): ScoreStage {
  switch (stage.kind) {
    case "conv":
    case "mix":
      return lowerLinear(stage, name, context);
    default: {
      const { span, ...pointwise } = stage;
      return { ...pointwise, name, source: sourceLine(span, context.file) };
    }
  }
}

function lowerWeight(
  stage: StageOf<"conv" | "mix" | "dropout">,
  name: string,
  context: Context,
): WeightStage {
  if (stage.kind !== "dropout") return lowerLinear(stage, name, context);
  return { kind: "dropout", name, rate: stage.rate, source: sourceLine(stage.span, context.file) };
}

function lowerLinear(stage: StageOf<"conv" | "mix">, name: string, context: Context): LinearStage {
  return stage.kind === "conv" ? lowerConv(stage, name, context) : lowerMix(stage, name, context);
}

function lowerOutput(stage: StageOf<"norm" | "gate">, name: string, context: Context): OutputStage {
  switch (stage.kind) {
    case "norm":
      return lowerNorm(stage, name, context);
    case "gate":
      return lowerGate(stage, name, context);
  }
}

function lowerConv(stage: StageOf<"conv">, name: string, context: Context): ConvStage {
  const kernels = stage.shared ? stage.across : context.attention.heads;
  return {
    kind: "conv",
    name,
    kernel: { query: stage.query, key: stage.key },
    origin: { query: queryOrigin(stage), key: keyOrigin(stage) },
    dilation: { query: stage.dilation.query, key: stage.dilation.key },
    across: stage.across,
    shared: stage.shared,
    weight: declare(context, `${name}.weight`, [kernels, stage.across, stage.query, stage.key], stage.init),
    bias: stage.bias ? declare(context, `${name}.bias`, [kernels], { kind: "zeros" }) : null,
    source: sourceLine(stage.span, context.file),
  };
}

/** `past`: the kernel's last row meets the current query. */
function queryOrigin(stage: StageOf<"conv">): number {
  switch (stage.padQuery) {
    case "past":
      return stage.query - 1;
    case "both":
      return (stage.query - 1) / 2;
  }
}

function keyOrigin(stage: StageOf<"conv">): number {
  switch (stage.padKey) {
    case "left":
      return stage.key - 1;
    case "both":
      return (stage.key - 1) / 2;
    case "right":
      return 0;
  }
}

function lowerMix(stage: StageOf<"mix">, name: string, context: Context): MixStage {
  const { group } = stage;
  return {
    kind: "mix",
    name,
    group,
    weight: declare(context, `${name}.weight`, [context.attention.heads / group, group, group], stage.init),
    source: sourceLine(stage.span, context.file),
  };
}

function lowerNorm(stage: StageOf<"norm">, name: string, context: Context): NormStage {
  return {
    kind: "norm",
    name,
    eps: stage.eps,
    depthScale: stage.depthScale,
    weight: declare(context, `${name}.weight`, [context.attention.valueDim], { kind: "ones" }),
    source: sourceLine(stage.span, context.file),
  };
}

function lowerGate(stage: StageOf<"gate">, name: string, context: Context): GateStage {
  const { valueDim } = context.attention;
  const gates = stage.mode === "scalar" ? 1 : valueDim;
  return {
    kind: "gate",
    name,
    mode: stage.mode,
    weight: declare(context, `${name}.weight`, [gates, valueDim], { kind: "zeros" }),
    bias: declare(context, `${name}.bias`, [gates], { kind: "zeros" }),
    source: sourceLine(stage.span, context.file),
  };
}

function declare(context: Context, name: string, shape: readonly number[], init: Initializer): string {
  context.parameters.push({ name, shape, init });
  return name;
}

function sourceLine(span: Span, file: string): SourceLine {
  return { file, line: span.line, column: span.column };
}
