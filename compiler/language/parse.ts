import type { IToken } from "chevrotain";
import { buildTree } from "./build-tree.ts";
import { type Diagnostic, Reporter } from "./diagnostics.ts";
import { reportPython } from "./foreign.ts";
import { type LexedSource, lex } from "./lex.ts";
import { SpecParser } from "./parser.ts";
import { tokenSpan } from "./span.ts";
import { reportSyntaxError } from "./syntax-errors.ts";
import type { SpecTree } from "./tree.ts";

export interface ParsedSource {
  readonly tree: SpecTree;
  readonly lexed: LexedSource;
  readonly diagnostics: readonly Diagnostic[];
}

/** Deeper nesting than any spec needs; it keeps the recursive parts from running out of stack. */
const MAX_NESTING = 64;

let parser: SpecParser | null = null;

/** Reads a source text into a tree. The tree is complete as far as it could be read, whatever the diagnostics say. */
export function parse(source: string, file: string): ParsedSource {
  const reporter = new Reporter(file);
  const lexed = lex(source, reporter);
  // What its words lack as those of a spec does not matter then.
  const foreign = new Reporter(file);
  if (reportPython(source, lexed.tokens, foreign))
    return { tree: { file, declarations: [] }, lexed, diagnostics: foreign.diagnostics };
  const deep = findDeepNesting(lexed.tokens);
  if (deep !== null) {
    reporter.report("MTA119", tokenSpan(deep), "this is nested too deeply", {
      expected: `at most ${MAX_NESTING} parentheses, braces or signs within one another`,
    });
    return { tree: { file, declarations: [] }, lexed, diagnostics: reporter.diagnostics };
  }
  parser ??= new SpecParser({ validate: false });
  parser.input = lexed.tokens;
  const cst = parser.file();
  for (const fault of parser.errors) reportSyntaxError(fault, lexed.tokens, reporter);
  const tree = buildTree(cst, lexed, reporter);
  return { tree, lexed, diagnostics: reporter.diagnostics };
}

function findDeepNesting(tokens: readonly IToken[]): IToken | null {
  let depth = 0;
  let signs = 0;
  for (const token of tokens) {
    const name = token.tokenType.name;
    signs = name === "Minus" ? signs + 1 : 0;
    if (name === "LParen" || name === "LBrace") depth += 1;
    else if (name === "RParen" || name === "RBrace") depth = Math.max(0, depth - 1);
    // A declaration begins afresh: an unclosed brace before it must not add up.
    else if (name === "word_attention" || name === "word_stack" || name === "word_tune") depth = 0;
    if (depth > MAX_NESTING || signs > MAX_NESTING) return token;
  }
  return null;
}
