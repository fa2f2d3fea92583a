import { indentLines } from "./indent.ts";
import type { Declaration, EmittedLine, Line, Node } from "./tree.ts";

const BLANK: EmittedLine = { text: "", source: null };

/** A module's lines: indentation follows brackets, one blank line stands between declarations, none between values of one kind. */
export function layOut(nodes: readonly Node[]): readonly EmittedLine[] {
  const lines: EmittedLine[] = [];
  let before: string | null = null;
  for (const node of nodes) {
    const family = node.kind === "scope" ? null : familyOf(node);
    if (lines.length > 0 && (family === null || family !== before)) lines.push(BLANK);
    before = family;
    if (node.kind === "declaration") lines.push(...indented(node));
    else lines.push(plain(node.open), BLANK, ...layOut(node.children), BLANK, plain(node.close));
  }
  return lines;
}

/** Declarations as they were laid out before: most stand in several kernels. */
const known = new WeakMap<object, readonly EmittedLine[]>();

function indented(declaration: Declaration): readonly EmittedLine[] {
  let lines = known.get(declaration.content);
  if (lines === undefined) {
    lines = indentLines(dropBlanks(declaration.lines));
    known.set(declaration.content, lines);
  }
  return lines;
}

function plain({ text, source }: Line): EmittedLine {
  return { text, source };
}

/** Constants, bindings, directives: declarations of one family stand together. */
function familyOf({ lines, name }: Declaration): string | null {
  const code = lines.find(({ text }) => text !== "" && !text.startsWith("//"));
  const [first, second] = code?.tokens ?? [];
  if (first === "#") return name === null ? "#" : null;
  if (first === "@") return second === "group" ? "@group" : null;
  return first === "const" || first === "constexpr" ? first : null;
}

/** No blank line after an opening brace or another blank line, and none before a closing brace. */
function dropBlanks(lines: readonly Line[]): readonly Line[] {
  return lines.filter(({ text }, index) => {
    if (text !== "") return true;
    const before = lines[index - 1]?.text ?? "";
    const after = lines.slice(index + 1).find((line) => line.text !== "")?.text ?? "}";
    return before !== "" && !before.endsWith("{") && !after.startsWith("}");
  });
}
