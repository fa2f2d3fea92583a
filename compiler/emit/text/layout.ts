import type { StageLines } from "../../../runtime/contract/index.ts";
import { indentLines } from "./indent.ts";
import type { EmittedLine, Line } from "./line.ts";
import { type Declaration, once } from "./module.ts";

/** A file of kernels: its text, and which lines are a stage's. */
export interface Emitted {
  readonly text: string;
  readonly stages: readonly StageLines[];
}

/** A module's lines: indentation follows brackets, one blank line stands between declarations, none between values of one kind. */
export function layOut(declarations: readonly Declaration[]): Emitted {
  const texts: string[] = [];
  const stages: StageLines[] = [];
  let family: string | null = null;
  // The last line so far.
  let end = 0;
  for (const { content } of declarations) {
    const part = laidOut(content);
    const close = end === 0 || (part.family !== null && part.family === family);
    const from = close ? end : end + 1;
    for (const [first, last, source] of part.stages) {
      const before = stages.at(-1);
      if (first === 1 && before?.[1] === end && before[2] === source)
        stages[stages.length - 1] = [before[0], from + last, source];
      else stages.push([from + first, from + last, source]);
    }
    texts.push(close ? part.text : `\n${part.text}`);
    family = part.family;
    end = from + part.height;
  }
  return { text: texts.join(""), stages };
}

const laidOut = once(({ name, lines }) => {
  const indented = indentLines(withoutBlanks(lines));
  return {
    family: familyOf(lines, name),
    text: indented.map(({ text }) => `${text}\n`).join(""),
    height: indented.length,
    stages: stagesOf(indented),
  };
});

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
