import { wrapAt } from "../text/break-line.ts";

const WIDTH = 110;

/** Breaks comments, imports, exports and signatures that are longer than a line, as a formatter would. */
export function fitLines(text: string): string {
  return text
    .split("\n")
    .flatMap((line) => (line.length <= WIDTH ? [line] : fitLine(line)))
    .join("\n");
}

function fitLine(line: string): readonly string[] {
  const comment = /^( *)(\/\*\*| \*) (.*?)( \*\/)?$/.exec(line);
  if (comment !== null) {
    const [, indent = "", open = "", words = "", close] = comment;
    const lines = wrapAt(words.split(" "), WIDTH - indent.length - 3).map((each) => `${indent} * ${each}`);
    return close === undefined ? lines : [indent + open, ...lines, indent + close];
  }
  const list =
    /^((?:import|export) (?:type )?\{) (.*) (\}(?: from .*|;))$/.exec(line) ??
    /^( *(?:export )?(?:declare )?(?:async )?(?:function )?[A-Za-z_$][\w$]*(?:<[^(]*>)?\()(.*)(\): .*(?: \{|;))$/.exec(
      line,
    );
  if (list === null) return [line];
  const [, open = "", items = "", close = ""] = list;
  const indent = /^ */.exec(line)?.[0] ?? "";
  return [open, ...splitList(items).map((item) => `${indent}  ${item},`), indent + close];
}

/** Splits at commas that stand inside no brackets. The `>` of an arrow closes nothing. */
function splitList(list: string): readonly string[] {
  const items: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < list.length; index++) {
    const character = list.charAt(index);
    if ("([{<".includes(character)) depth++;
    else if (")]}".includes(character) || (character === ">" && list.charAt(index - 1) !== "=")) depth--;
    else if (character === "," && depth === 0) {
      items.push(list.slice(start, index).trim());
      start = index + 1;
    }
  }
  return [...items, list.slice(start).trim()];
}
