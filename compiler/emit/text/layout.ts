import type { StageLines } from "../../../runtime/contract/index.ts";
import { indentLines } from "./indent.ts";
import type { Line } from "./line.ts";
import { type Declaration, once } from "./module.ts";

/** A file of kernels: its text, and which lines are a stage's. */
export interface Emitted {
  readonly text: string;
  readonly stages: readonly StageLines[];
}

/** A module's lines: indentation follows brackets, one blank line stands between declarations, none between values of one kind. */
export function layOut(declarations: readonly Declaration[]): Emitted {
  let text = "";
  let height = 0;
  let family: string | null = null;
  const stages: [first: number, last: number, source: number][] = [];
  let stage: (typeof stages)[number] | undefined;
  for (const { content } of declarations) {
    const part = laidOut(content);
    const apart = height > 0 && (part.family === null || part.family !== family);
    const from = height + (apart ? 2 : 1);
    part.lines.forEach((line, index) => {
      // Blank lines are nobody's.
      if (line.text === "") return;
      if (line.source === null) stage = undefined;
      else if (stage?.[2] === line.source) stage[1] = from + index;
      else {
        stage = [from + index, from + index, line.source];
        stages.push(stage);
      }
    });
    text += apart ? `\n${part.text}` : part.text;
    family = part.family;
    height = from - 1 + part.lines.length;
  }
  return { text, stages };
}

const laidOut = once(({ name, lines }) => {
  const indented = indentLines(withoutBlanks(lines));
  return {
    family: familyOf(lines, name),
    lines: indented,
    text: indented.map(({ text }) => `${text}\n`).join(""),
  };
});

/** Constants, bindings, directives: declarations of one family stand together. */
function familyOf(lines: readonly Line[], name: string | null): string | null {
  const code = lines.find(({ text }) => text !== "" && !text.startsWith("//"));
  const [first, second] = code?.tokens ?? [];
  if (first === "#") return name === null ? "#" : null;
  if (first === "@") return second === "group" ? "@group" : null;
  return first === "const" || first === "constexpr" ? first : null;
}

/** No blank line after an opening brace or another blank line, and none before a closing brace. */
function withoutBlanks(lines: readonly Line[]): readonly Line[] {
  return lines.filter(({ text }, index) => {
    if (text !== "") return true;
    const before = lines[index - 1]?.text ?? "";
    const after = lines.slice(index + 1).find((line) => line.text !== "")?.text ?? "}";
    return before !== "" && !before.endsWith("{") && !after.startsWith("}");
  });
}
