import { indentLines } from "./indent.ts";
import type { EmittedLine, Line } from "./line.ts";
import { type Declaration, once } from "./module.ts";

/** A module's lines: indentation follows brackets, one blank line stands between declarations, none between values of one kind. */
export function layOut(declarations: readonly Declaration[]): readonly EmittedLine[] {
  const lines: EmittedLine[] = [];
  let before: string | null = null;
  for (const { content } of declarations) {
    const { family, indented } = laidOut(content);
    if (lines.length > 0 && (family === null || family !== before)) lines.push({ text: "", source: null });
    before = family;
    lines.push(...indented);
  }
  return lines;
}

const laidOut = once(({ name, lines }) => ({
  family: familyOf(lines, name),
  indented: indentLines(withoutBlanks(lines)),
}));

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
