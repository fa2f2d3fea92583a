import {
  convReach,
  elementCount,
  type Initializer,
  type MaskTerm,
  type OutputStage,
  type Parameter,
  type Pipeline,
  type ScoreStage,
} from "../../../runtime/contract/index.ts";
import { formatBytes, plural } from "../../units.ts";
import type { Style } from "./style.ts";
import { table } from "./style.ts";

/** The pipeline from q and k down to o, one line a stage. */
export function drawPipeline(pipeline: Pipeline, style: Style): string {
  const rail = style.dim("│");
  const lines: string[] = [];
  const node = (label: string, remark: string): void => {
    lines.push(`  ${style.dim("○")} ${style.bold(label)}${remark === "" ? "" : `  ${style.dim(remark)}`}`);
  };
  const stages = (list: readonly (ScoreStage | OutputStage)[]): void => {
    if (list.length === 0) return;
    const rows = list.map((stage) => [stage.name, describeStage(stage)]);
    for (const row of table(rows).split("\n")) lines.push(`  ${style.dim("├─")} ${colourName(row, style)}`);
  };
  node("S = scale · q·kᵀ", `scale ${Number(pipeline.scale.toPrecision(6))}`);
  stages(pipeline.scores);
  lines.push(`  ${rail}`);
  node(`A = ${pipeline.normalize} of each row`, `over its visible keys: ${describeMask(pipeline.mask)}`);
  stages(pipeline.weights);
  lines.push(`  ${rail}`);
  node("o = A·v", "");
  stages(pipeline.output);
  return lines.join("\n");
}

export function describeMask(mask: readonly MaskTerm[]): string {
  if (mask.length === 0) return "all";
  return mask.map((term) => (term.kind === "window" ? `window ${term.size}` : term.kind)).join(" and ");
}

export function describeStage(stage: ScoreStage | OutputStage): string {
  switch (stage.kind) {
    case "conv": {
      const { past, future, left, right } = convReach(stage);
      const parts = [
        `${stage.kernel.query}x${stage.kernel.key}`,
        `reads ${plural(past, "row")} back${future > 0 ? ` and ${future} ahead` : ""}, ${plural(left, "key")} left, ${right} right`,
      ];
      if (stage.across > 1) parts.push(`${stage.across} heads jointly`);
      if (stage.dilation.query > 1 || stage.dilation.key > 1)
        parts.push(`dilation ${stage.dilation.query}x${stage.dilation.key}`);
      if (stage.shared) parts.push("one kernel for all groups");
      if (stage.bias !== null) parts.push("bias");
      return parts.join(", ");
    }
    case "mix":
      return `mixes groups of ${plural(stage.group, "head")}`;
    case "softcap":
      return `${stage.limit} · tanh(s / ${stage.limit})`;
    case "norm":
      return `RMS over each head's values, eps ${stage.eps}${stage.depthScale ? ", times 1 − λ(layer)" : ""}`;
    case "gate":
      return stage.mode === "scalar" ? "one sigmoid gate a head and row" : "one sigmoid gate a channel";
  }
}

/** Parameters with shapes, sizes and initial values. */
export function listParameters(parameters: readonly Parameter[], style: Style): string {
  if (parameters.length === 0) return "  none";
  const rows = parameters.map(({ name, shape, init }) => [
    name,
    `[${shape.join(", ")}]`,
    formatBytes(4 * elementCount(shape)),
    style.dim(`init ${describeInitializer(init)}`),
  ]);
  return table(rows, ["left", "left", "right", "left"], "  ");
}

function describeInitializer(init: Initializer): string {
  return init.kind === "normal" ? `normal ${init.std}` : init.kind;
}

function colourName(row: string, style: Style): string {
  const end = row.indexOf("  ");
  return end < 0 ? style.cyan(row) : style.cyan(row.slice(0, end)) + row.slice(end);
}
