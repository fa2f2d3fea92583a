const WIDTH = 110;

/** Breaks imports and signatures that are longer than a line, as a formatter would. ts-morph puts each on one line. */
export function breakLongLines(text: string): string {
  return text
    .split("\n")
    .map((line) => (line.length <= WIDTH ? line : breakLine(line)))
    .join("\n");
}

function breakLine(line: string): string {
  const imported = /^(import (?:type )?\{) (.*) (\} from .*)$/.exec(line);
  if (imported !== null) return breakList(imported, "");
  const signature =
    /^( *)((?:export )?(?:declare )?(?:async )?(?:function )?[A-Za-z_$][\w$]*(?:<[^(]*>)?\()(.*)(\): .*(?: \{|;))$/.exec(
      line,
    );
  if (signature === null) return line;
  const [, indent = "", open = "", list = "", close = ""] = signature;
  return breakList(["", `${indent}${open}`, list, `${indent}${close}`], indent);
}

function breakList([, open = "", list = "", close = ""]: readonly string[], indent: string): string {
  return `${open}\n${splitList(list)
    .map((item) => `${indent}  ${item},\n`)
    .join("")}${close}`;
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

/** Text of a TSDoc comment, its lines short enough. */
export function docText(text: string): string {
  // A comment on one line takes seven characters itself; one that is broken starts on a line of its own.
  if (!text.includes("\n") && text.length + 9 <= WIDTH) return text;
  const wrapped = text.split("\n").map((paragraph) => wrapParagraph(paragraph, WIDTH - 6));
  return `\n${wrapped.join("\n")}`;
}

function wrapParagraph(paragraph: string, width: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of paragraph.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join("\n");
}
