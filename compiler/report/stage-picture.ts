import {
  elementCount,
  type OutputStage,
  type Parameter,
  type Pipeline,
  type ScoreStage,
  type WeightStage,
} from "../../runtime/contract/index.ts";
import type { Style } from "../terminal/style.ts";
import { table } from "../terminal/style.ts";
import { describeInitializer, describeMask, describeStage } from "./describe.ts";
import { formatBytes } from "./units.ts";

/** The pipeline from q and k down to o, one line a stage. */
export function drawPipeline(pipeline: Pipeline, style: Style): string {
  const rail = style.dim("│");
  const lines: string[] = [];
  const node = (label: string, remark: string): void => {
    const head = `${style.dim("○")} ${style.bold(label)}`;
    // A remark that does not fit goes on beside the rail.
    lines.push(...table([remark === "" ? [head] : [head, style.dim(remark)]], [], "  ").split("\n"));
  };
  const stages = (list: readonly (ScoreStage | WeightStage | OutputStage)[]): void => {
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

function colourName(row: string, style: Style): string {
  const end = row.indexOf("  ");
  return end < 0 ? style.cyan(row) : style.cyan(row.slice(0, end)) + row.slice(end);
}
