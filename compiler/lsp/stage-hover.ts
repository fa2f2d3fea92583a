import {
  type OutputStage,
  type Pipeline,
  type ScoreStage,
  spellPointwise,
  type WeightStage,
} from "../../runtime/contract/index.ts";
import { floorMultiplyAdds, resolve, visiblePairs } from "../ir/index.ts";
import type { Attention, CheckedStage } from "../language/attention.ts";
import type { SectionNode, StageNode } from "../language/tree.ts";
import { describeStage } from "../report/describe.ts";
import { formatCount, plural } from "../report/units.ts";
import { code, tableOfParameters } from "./attention-hover.ts";
import { NOMINAL } from "./predictions.ts";

/**
 * What one stage does, with every default filled in, its parameters' shapes and its share of the work, as Markdown; null
 * where the checks left it out.
 */
export function describeStageOf(attention: Attention, section: SectionNode, node: StageNode): string | null {
  const index = section.stages.indexOf(node);
  const checked = attention[section.section][index];
  const pipeline = resolve(attention, "");
  const stage = pipeline[section.section][index];
  // Of two sections of one name the first counts.
  if (checked === undefined || stage === undefined || checked.span !== node.span) return null;
  const parameters = pipeline.parameters.filter(({ name }) => name.startsWith(`${stage.name}.`));
  return [
    code(writtenOut(checked)),
    `\`${stage.name}\`: ${describeStage(stage)}`,
    tableOfParameters(parameters),
    describeWork(stage, pipeline),
  ].join("\n\n");
}

/** The stage as a spec would say it with nothing left to defaults. */
function writtenOut(stage: CheckedStage): string {
  switch (stage.kind) {
    case "conv": {
      const { query, key, padKey, padQuery, across, dilation } = stage;
      return [
        `conv ${query}x${key} pad_key ${padKey} pad_query ${padQuery}`,
        `across ${across} dilation ${dilation.query}x${dilation.key}`,
        ...(stage.bias ? ["bias"] : []),
        ...(stage.shared ? ["shared"] : []),
        initialized(stage.init),
      ].join(" ");
    }
    case "mix":
      return `mix ${stage.group} ${initialized(stage.init)}`;
    case "dropout":
      return `dropout ${stage.rate}`;
    case "norm":
      return `norm eps ${stage.eps}${stage.depthScale ? " depth_scale" : ""}`;
    case "gate":
      return `gate ${stage.mode}`;
    default: {
      const { span: _span, ...pointwise } = stage;
      return spellPointwise(pointwise);
    }
  }
}

function initialized(init: { readonly kind: string; readonly std?: number }): string {
  return `init ${init.kind}${init.std === undefined ? "" : ` ${init.std}`}`;
}

/** Multiply-adds for each entry of the map; for a stage on the output, for each of its numbers. */
function multiplyAddsOf(stage: ScoreStage | WeightStage | OutputStage, { valueDim }: Pipeline): number {
  switch (stage.kind) {
    case "conv":
      return stage.kernel.query * stage.kernel.key * stage.across;
    case "mix":
      return stage.group;
    case "norm":
      return 2;
    case "gate":
      return stage.mode === "scalar" ? 2 : valueDim + 1;
    default:
      return 0;
  }
}

function describeWork(stage: ScoreStage | WeightStage | OutputStage, pipeline: Pipeline): string {
  const each = multiplyAddsOf(stage, pipeline);
  const { Lq, B } = NOMINAL;
  const onOutput = stage.kind === "norm" || stage.kind === "gate";
  const entries = onOutput ? B * pipeline.heads * Lq * pipeline.valueDim : visiblePairs(pipeline, NOMINAL);
  const where = `for each ${onOutput ? "number of o" : "visible entry of the map"}`;
  if (each === 0)
    return `No multiply-adds: one ${stage.kind} ${where}, ${formatCount(entries)} at length ${Lq}.`;
  const total = `${formatCount(each * entries)} at length ${Lq}, batch ${B}`;
  if (onOutput) return `${plural(each, "multiply-add")} ${where}: ${total}.`;
  const share = (100 * each * entries) / floorMultiplyAdds(pipeline, NOMINAL);
  return `${plural(each, "multiply-add")} ${where}: ${total}, ${Number(share.toPrecision(2))} % of the attention's work.`;
}
