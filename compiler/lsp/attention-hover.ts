import type { Parameter, Pipeline } from "../../runtime/contract/index.ts";
import { compulsoryBytes, floorMultiplyAdds, resolve } from "../ir/index.ts";
import type { SoundParts } from "../language/analyse.ts";
import type { Attention } from "../language/attention.ts";
import type { AttentionNode } from "../language/tree.ts";
import {
  describeInitializer,
  describeMask,
  describeSizes,
  describeStage,
  formatKnobs,
  formatLayers,
} from "../report/describe.ts";
import { formatBytes, formatCount, formatRatio, plural } from "../report/units.ts";
import { NOMINAL, type Prediction, type Predictions } from "./predictions.ts";

/**
 * What an attention computes, with its parameters' shapes and its cost, as Markdown.
 * @param node where it is declared
 */
export function describeAttention(
  node: AttentionNode,
  attention: Attention,
  sound: SoundParts,
  predictions: Predictions,
): string {
  const pipeline = resolve(attention, "");
  const base = node.base?.kind === "name" ? ` extends ${node.base.text}` : "";
  return [
    code(`attention ${attention.name}${base}`),
    describeSizes(pipeline).join(" · "),
    listPipeline(pipeline),
    tableOfParameters(pipeline.parameters),
    describeCost(pipeline, predictions.of(pipeline)),
    ...describeLayers(attention.name, sound),
  ].join("\n\n");
}

/** A block of the language, for editors to colour. */
export function code(text: string): string {
  return `\`\`\`mta\n${text}\n\`\`\``;
}

function listPipeline(pipeline: Pipeline): string {
  const scale = Number(pipeline.scale.toPrecision(6));
  const lines = [
    `S = scale · q·kᵀ, scale ${scale}`,
    ...pipeline.scores.map((stage) => `\`${stage.name}\`: ${describeStage(stage)}`),
    `A = ${pipeline.normalize} of each row over its visible keys: ${describeMask(pipeline.mask)}`,
    ...pipeline.weights.map((stage) => `\`${stage.name}\`: ${describeStage(stage)}`),
    "o = A·v",
    ...pipeline.output.map((stage) => `\`${stage.name}\`: ${describeStage(stage)}`),
  ];
  return lines.map((line, index) => `${index + 1}. ${line}`).join("\n");
}

/** Names, shapes and initial values, one row each. */
export function tableOfParameters(parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return "No parameters.";
  const rows = parameters.map(
    ({ name, shape, init }) => `| \`${name}\` | [${shape.join(", ")}] | ${describeInitializer(init)} |`,
  );
  return ["| parameter (f32) | shape | init |", "| --- | --- | --- |", ...rows].join("\n");
}

function describeCost(pipeline: Pipeline, predictions: readonly Prediction[]): string {
  const work = formatCount(floorMultiplyAdds(pipeline, NOMINAL));
  const bytes = formatBytes(compulsoryBytes(pipeline, NOMINAL));
  return [
    `At length ${NOMINAL.Lq}, batch ${NOMINAL.B}: at least ${work} multiply-adds forward, ${bytes} to move. The planner would take:`,
    "",
    "| target | schedule | work over the least | time over plain attention |",
    "| --- | --- | --- | --- |",
    ...predictions.map(predictionRow),
  ].join("\n");
}

function predictionRow({ device, best, reason, overPlain }: Prediction): string {
  if (best === null || best.cost === null) return `| ${device} | none: ${reason ?? "nothing fits"} | | |`;
  const work = formatRatio(best.cost.multiplyAdds / best.cost.floorMultiplyAdds);
  const time = overPlain === null ? "" : formatRatio(overPlain);
  return `| ${device} | ${best.schedule}: ${formatKnobs(best.knobs).replaceAll("  ", ", ")} | ${work} | ${time} |`;
}

function describeLayers(name: string, { stacks }: SoundParts): string[] {
  return stacks.flatMap(({ name: stack, layers, attentions }) => {
    const own = attentions.flatMap((each, layer) => (each === name ? [layer] : []));
    return own.length === 0
      ? []
      : [`${plural(own.length, "layer")} of the ${layers} in \`${stack}\`: ${formatLayers(own)}`];
  });
}
