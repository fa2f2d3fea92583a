import { breakLine, WIDTH, wrapComment } from "./break-line.ts";
import type { EmittedLine } from "./layout.ts";
import type { Line } from "./line.ts";
import { closes, isComment, opens } from "./tokens.ts";

const STEP = 2;

/** A bracket that is open: the indentation of lines inside, and of a line that begins with its end. */
interface Bracket {
  readonly brace: boolean;
  readonly inside: number;
  readonly outside: number;
  /** The indentation of the line that the argument which is open begins; null where it begins within a line. */
  argument: number | null;
}

interface Indented extends EmittedLine {
  readonly indent: number;
  /** Goes on with what the line before began, inside no brace of its own. */
  readonly continues: boolean;
}

/**
 * The lines of one declaration with their indentation, which follows from brackets alone: templates and partials need not care. A
 * statement goes on at two more columns, the head of a block at four, so that it does not look like its body.
 */
export function indentLines(lines: readonly Line[]): readonly EmittedLine[] {
  let current = lines;
  for (;;) {
    const indented = new Indenter().run(current);
    const broken = breakLines(current, indented);
    if (broken === current)
      return indented.map(({ text, source, indent }) => ({ text: " ".repeat(indent) + text, source }));
    current = broken;
  }
}

/** Lines in which those that are too long are broken; the same lines where none can be. */
function breakLines(lines: readonly Line[], indented: readonly Indented[]): readonly Line[] {
  const broken: Line[] = [];
  let changed = false;
  for (let index = 0; index < lines.length; index++) {
    const { indent = 0, continues = false } = indented[index] ?? {};
    const [line] = lines.slice(index, index + 1);
    if (line === undefined) continue;
    if (indent + line.text.length <= WIDTH || line.tokens[0] === "#") {
      broken.push(line);
    } else if (line.text.startsWith("//")) {
      const comment = wrapComment(lines, index, indent);
      broken.push(...comment.lines);
      changed ||= comment.lines.length > comment.taken || comment.taken > 1;
      index += comment.taken - 1;
    } else {
      const pieces = breakLine(line, indent, continues);
      broken.push(...pieces);
      changed ||= pieces.length > 1;
    }
  }
  return changed ? broken : lines;
}

class Indenter {
  readonly #done: Indented[] = [];
  readonly #brackets: Bracket[] = [];
  /** Lines of the statement that is open. */
  #statement: Indented[] = [];
  /** Whether it has code yet. */
  #begun = false;
  #base = 0;
  /** The last token of code. */
  #last: string | undefined;

  run(lines: readonly Line[]): readonly Indented[] {
    for (const line of lines) this.#add(line);
    this.#end(false);
    return this.#done;
  }

  #add({ text, tokens, source, last }: Line): void {
    const [first = ""] = tokens;
    const top = this.#brackets.at(-1);
    const begun = this.#begun;
    const indent = text === "" || first === "#" ? 0 : this.#indentOf(first, begun, top);
    this.#statement.push({ text, source, indent, continues: begun && !closes(first) && first !== "#" });
    if (first === "" || first === "#" || isComment(first)) return;
    if (!begun) this.#base = indent;
    this.#begun = true;
    for (const token of tokens) {
      if (opens(token)) {
        const brace = token === "{";
        const outside = brace ? this.#base : indent;
        this.#brackets.push({ brace, inside: outside + STEP, outside, argument: null });
      } else if (closes(token)) this.#brackets.pop();
    }
    const within = this.#brackets.at(-1);
    this.#last = last;
    // Attributes and the parameters of templates stand over what they belong to.
    const prefix = (first === "@" && last === ")") || (first === "template" && last === ">");
    const ends = prefix || last === ";" || last === "{" || last === "}" || last === ",";
    if (ends && (within === undefined || within.brace)) this.#end(last === "{");
  }

  #indentOf(first: string, begun: boolean, top: Bracket | undefined): number {
    if (closes(first)) return top?.outside ?? 0;
    if (top === undefined || top.brace) return begun ? this.#base + STEP : (top?.inside ?? 0);
    // An argument of its own, or the rest of one.
    if (this.#last === "," || (this.#last !== undefined && opens(this.#last))) {
      top.argument = top.inside;
      return top.inside;
    }
    return top.argument === null ? top.inside : top.argument + STEP;
  }

  /** @param head Whether the statement is the head of a block. */
  #end(head: boolean): void {
    for (const line of this.#statement)
      this.#done.push(
        head && line.continues && line.text !== "" ? { ...line, indent: line.indent + STEP } : line,
      );
    this.#statement = [];
    this.#begun = false;
  }
}
