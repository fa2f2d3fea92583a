import type { Attention, CheckedStage } from "../../compiler/language/attention.ts";
import { type MaskTerm, spellPointwise } from "../../runtime/contract/index.ts";

/** An attention as a spec: what a failing property prints, ready to be compiled. */
export function describeAttention(attention: Attention): string {
  const section = (name: string, stages: readonly CheckedStage[]): string =>
    `  ${name} { ${stages.map(describeStage).join("; ")} }\n`;
  return [
    `attention ${attention.name} {\n`,
    `  heads ${attention.heads}; kv_heads ${attention.kvHeads}\n`,
    `  head_dim ${attention.headDim}; value_dim ${attention.valueDim}; scale ${describeNumber(attention.scale)}\n`,
    `  dtype ${attention.dtype}; normalize ${attention.normalize}\n`,
    `  mask ${attention.mask.length === 0 ? "none" : attention.mask.map(describeTerm).join(" ")}\n`,
    section("scores", attention.scores),
    section("weights", attention.weights),
    section("output", attention.output),
    "}\n",
  ].join("");
}

/** The language has no signed numbers: a negative one is an expression, in parentheses. */
function describeNumber(value: number): string {
  return value < 0 ? `(${value})` : `${value}`;
}

function describeTerm(term: MaskTerm): string {
  return term.kind === "window" ? `window ${term.size}` : term.kind;
}

function describeStage(stage: CheckedStage): string {
  const words = stageWords(stage);
  if ("label" in stage && stage.label !== null) words.push(`as ${stage.label}`);
  return words.join(" ");
}

function stageWords(stage: CheckedStage): string[] {
  switch (stage.kind) {
    case "conv":
      return [
        `conv ${stage.query}x${stage.key}`,
        `pad_key ${stage.padKey}`,
        `pad_query ${stage.padQuery}`,
        `across ${stage.across}`,
        `dilation ${stage.dilation.query}x${stage.dilation.key}`,
        ...(stage.bias ? ["bias"] : []),
        ...(stage.shared ? ["shared"] : []),
      ];
    case "mix":
      return [`mix ${stage.group}`];
    case "dropout":
      return [`dropout ${stage.rate}`];
    case "norm":
      return [`norm eps ${stage.eps}`, ...(stage.depthScale ? ["depth_scale"] : [])];
    case "gate":
      return [`gate ${stage.mode}`];
    default: {
      const { span: _span, ...pointwise } = stage;
      return [spellPointwise(pointwise)];
    }
  }
}
