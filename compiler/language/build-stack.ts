import type { CstNode, IToken } from "chevrotain";
import type { Span } from "./attention.ts";
import { type BuildContext, didYouMean, readName, reportUnclosed } from "./build-context.ts";
import { buildValue } from "./build-expression.ts";
import { childNode, childNodes, childToken, childTokens, nodeSpan, tokensOf } from "./cst.ts";
import { tokenSpan } from "./span.ts";
import {
  type Expression,
  type Invalid,
  invalid,
  type LayerSet,
  type Name,
  type StackItem,
  type StackNode,
  type TuneItem,
  type TuneNode,
} from "./tree.ts";
import { STACK_CLAUSES, TUNE_CLAUSES, wordList } from "./words.ts";

const NOWHERE: Span = { start: 0, end: 0, line: 1, column: 1 };

export function buildStack(cst: CstNode, next: IToken | null, context: BuildContext): StackNode {
  const span = nodeSpan(cst) ?? NOWHERE;
  const head = headSpan(cst, "word_stack", span);
  const name = readName(childNode(cst, "declaredName"), head, "the stack", "stack my_model { … }", context);
  const what = name.kind === "name" ? `stack \`${name.text}\`` : "this stack";
  checkBraces(cst, head, what, next, context);
  const items: StackItem[] = [];
  let stray = false;
  let damaged = false;
  for (const item of childNodes(cst, "stackItem")) {
    const layers = childNode(item, "layerCount");
    const use = childNode(item, "use");
    if (layers !== null) items.push(buildLayerCount(layers, context));
    else if (use !== null) items.push(buildUse(use, context));
    else {
      damaged = true;
      if (!stray) reportStray(item, "stack", STACK_CLAUSES, context);
    }
    // One message for a run of stray tokens.
    stray = layers === null && use === null;
  }
  return { kind: "stack", name, items, damaged: context.braceTrouble || damaged, span };
}

function headSpan(cst: CstNode, token: string, fallback: Span): Span {
  const head = childToken(cst, token);
  return head === null ? fallback : tokenSpan(head);
}

function checkBraces(
  cst: CstNode,
  head: Span,
  what: string,
  next: IToken | null,
  context: BuildContext,
): void {
  const open = childToken(cst, "LBrace");
  if (open === null) {
    context.braceTrouble = true;
    context.reporter.report("MTA117", head, `${what} lacks its braces`, { expected: "`{` after the name" });
  } else if (childToken(cst, "RBrace") === null) reportUnclosed(open, what, next, context);
}

function reportMissing(place: Span, message: string, example: string, context: BuildContext): Invalid {
  const fix = { message: `write, for example, \`${example}\`` };
  context.reporter.report("MTA112", place, message, { fix });
  return invalid(place);
}

function buildLayerCount(cst: CstNode, context: BuildContext): StackItem {
  const span = nodeSpan(cst) ?? NOWHERE;
  const value = childNode(cst, "value");
  const count =
    value === null
      ? reportMissing(span, "`layers` lacks its value", "layers 24", context)
      : buildValue(value, context, span);
  return { kind: "layers", value: count, span };
}

function buildUse(cst: CstNode, context: BuildContext): StackItem {
  const span = nodeSpan(cst) ?? NOWHERE;
  const head = headSpan(cst, "word_use", span);
  const name = readName(childNode(cst, "declaredName"), head, "`use`", "use my_attention otherwise", context);
  return { kind: "use", attention: name, layers: buildLayers(cst, span, context), span };
}

function buildLayers(
  cst: CstNode,
  span: Span,
  context: BuildContext,
): Extract<StackItem, { kind: "use" }>["layers"] {
  if (childToken(cst, "word_otherwise") !== null) return "otherwise";
  const list = childNode(cst, "layerList");
  if (list !== null) {
    const trailing = trailingComma(list, "layerSet", "a layer number", context);
    const sets = childNodes(list, "layerSet").map((set) => buildLayerSet(set, span, context));
    return trailing ?? sets;
  }
  const at = childToken(cst, "word_at");
  const message = at === null ? "`use` lacks the layers" : "`at` lacks its layers";
  return reportMissing(at === null ? span : tokenSpan(at), message, "use my_attention at 0, 4..8", context);
}

/** Every comma of a list needs something after it. */
function trailingComma(list: CstNode, item: string, expected: string, context: BuildContext): Invalid | null {
  const commas = childTokens(list, "Comma");
  const items = childNodes(list, item);
  if (items.length > commas.length) return null;
  // The one that lacks its item is followed by another comma or by the end.
  const bare = commas.find((comma, index) => {
    const next = commas[index + 1]?.startOffset ?? Number.POSITIVE_INFINITY;
    return !items.some((node) => isBetween(nodeSpan(node)?.start ?? 0, comma.startOffset, next));
  });
  if (bare === undefined) return null;
  const place = tokenSpan(bare);
  context.reporter.report("MTA112", place, "nothing follows this `,`", { expected });
  return invalid(place);
}

function isBetween(value: number, low: number, high: number): boolean {
  return value > low && value < high;
}

function buildLayerSet(cst: CstNode, fallback: Span, context: BuildContext): LayerSet {
  const span = nodeSpan(cst) ?? fallback;
  const steps = childNode(cst, "layerSteps");
  if (steps !== null) return buildSteps(steps, span, context);
  const range = childNode(cst, "layerRange");
  const [first, second] = range === null ? [] : childNodes(range, "value");
  const from = first === undefined ? invalid(span) : buildValue(first, context, span);
  const dots = range === null ? null : childToken(range, "DotDot");
  if (dots === null) return { kind: "layer", layer: from, span };
  const to =
    second === undefined
      ? reportMissing(span, "the range lacks its end", "4..8", context)
      : buildValue(second, context, span);
  return { kind: "range", from, to, span };
}

function buildSteps(cst: CstNode, span: Span, context: BuildContext): LayerSet {
  const values = childNodes(cst, "value");
  const [first, second] = values;
  if (first === undefined || second === undefined || childToken(cst, "word_from") === null) {
    const missing = reportMissing(span, "the steps are incomplete", "every 4 from 2", context);
    return { kind: "steps", every: missing, from: missing, span };
  }
  return {
    kind: "steps",
    every: buildValue(first, context, span),
    from: buildValue(second, context, span),
    span,
  };
}

export function buildTune(cst: CstNode, next: IToken | null, context: BuildContext): TuneNode {
  const span = nodeSpan(cst) ?? NOWHERE;
  const head = headSpan(cst, "word_tune", span);
  const attention = readName(
    childNode(cst, "declaredName"),
    head,
    "`tune`",
    "tune my_attention { … }",
    context,
  );
  checkBraces(cst, head, "`tune`", next, context);
  const items: TuneItem[] = [];
  let stray = false;
  for (const item of childNodes(cst, "tuneItem")) {
    const clause = childNode(item, "tuneClause");
    if (clause !== null) items.push(buildTuneClause(clause, context));
    else if (!stray) reportStray(item, "tune", TUNE_CLAUSES, context);
    // One message for a run of stray tokens.
    stray = clause === null;
  }
  return { kind: "tune", attention, items, span };
}

function buildTuneClause(cst: CstNode, context: BuildContext): TuneItem {
  const span = nodeSpan(cst) ?? NOWHERE;
  const list = childNode(cst, "valueList");
  const knob = childToken(cst, "Identifier");
  if (childToken(cst, "word_sweep") !== null) {
    const name: Name | Invalid = knob === null ? missingKnob(span, context) : nameFrom(knob);
    const values =
      name.kind === "invalid" && list === null ? [] : readValues(list, span, "sweep tile_q 16, 32", context);
    return { kind: "sweep", knob: name, values, span };
  }
  const kind = childToken(cst, "word_lengths") === null ? "batch" : "lengths";
  return {
    kind,
    values: readValues(list, span, kind === "batch" ? "batch 1, 8" : "lengths 1024, 4096", context),
    span,
  };
}

function nameFrom(token: IToken): Name {
  return { kind: "name", text: token.image, span: tokenSpan(token) };
}

function missingKnob(place: Span, context: BuildContext): Invalid {
  context.reporter.report("MTA116", place, "`sweep` lacks the knob's name", {
    expected: "as in `sweep tile_q 16, 32`",
  });
  return invalid(place);
}

function readValues(list: CstNode | null, place: Span, example: string, context: BuildContext): Expression[] {
  if (list === null) return [reportMissing(place, "the values are missing", example, context)];
  const values = childNodes(list, "value").map((value) => buildValue(value, context, place));
  const trailing = trailingComma(list, "value", "another value", context);
  return trailing === null ? values : [...values, trailing];
}

function reportStray(item: CstNode, block: string, clauses: readonly string[], context: BuildContext): void {
  const token = tokensOf(item)[0];
  if (token === undefined) return;
  const span = tokenSpan(token);
  if (token.tokenType.name === "Identifier") {
    context.reporter.report("MTA113", span, `unknown word \`${token.image}\` in a ${block}`, {
      expected: wordList(clauses),
      ...didYouMean(token.image, span, clauses),
    });
    return;
  }
  const fix =
    token.tokenType.name === "Numeral"
      ? { fix: { message: "the values of a list are separated by commas" } }
      : {};
  context.reporter.report("MTA110", span, `unexpected \`${token.image}\` in a ${block}`, {
    expected: wordList(clauses),
    ...fix,
  });
}
