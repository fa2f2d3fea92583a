import type { StageLines } from "../../../runtime/contract/index.ts";
import { layOut } from "./layout.ts";
import type { EmittedLine } from "./line.ts";
import { parseText } from "./module.ts";
import { pruneParameters } from "./parameters.ts";
import { prune } from "./prune.ts";

export { markStage } from "./marks.ts";

/** A file of kernels: its text, and which lines are a stage's. */
export interface Emitted {
  readonly text: string;
  readonly stages: readonly StageLines[];
}

/** What templates yielded, as users get it: without what nothing uses, indented, in lines that fit. */
export function finishText(rendered: string): Emitted {
  const lines = layOut(prune(pruneParameters(parseText(rendered))));
  return { text: `${lines.map(({ text }) => text).join("\n")}\n`, stages: stagesOf(lines) };
}

/** The same for text that other files use: nothing is left out. */
export function layOutText(rendered: string): string {
  return `${layOut(parseText(rendered))
    .map(({ text }) => text)
    .join("\n")}\n`;
}

function stagesOf(lines: readonly EmittedLine[]): readonly StageLines[] {
  const stages: StageLines[] = [];
  let open = false;
  lines.forEach(({ text, source }, index) => {
    const before = stages.at(-1);
    // Blank lines are nobody's.
    if (text === "") return;
    if (open && before !== undefined && before[2] === source)
      stages[stages.length - 1] = [before[0], index + 1, source];
    else if (source !== null) stages.push([index + 1, index + 1, source]);
    open = source !== null;
  });
  return stages;
}
