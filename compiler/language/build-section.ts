import type { CstNode, IToken } from "chevrotain";
import type { Span } from "./attention.ts";
import { type BuildContext, didYouMean, readName, reportUnclosed } from "./build-context.ts";
import { childNode, childNodes, childToken, nodeSpan, tokensOf } from "./cst.ts";
import { STAGE_ALIASES } from "./foreign.ts";
import { type Operands, readOperands, reportChoice, takeChoice, takeNumber, takePair } from "./operands.ts";
import { POINTWISE, POINTWISE_KINDS, type PointwiseKind } from "./pointwise.ts";
import { joinSpans, tokenSpan } from "./span.ts";
import { suggest } from "./suggest.ts";
import { Pair } from "./tokens.ts";
import { type InitNode, invalid, type ModifierNode, type SectionNode, type StageNode } from "./tree.ts";
import {
  INITIALIZERS,
  isOneOf,
  MODIFIER_WORDS,
  type ModifierWord,
  PAD_KEYS,
  PAD_QUERIES,
  SECTIONS,
  STAGES,
  type StageKind,
  wordList,
} from "./words.ts";

/** Null for a section without braces: nobody can say what belongs to it. */
export function buildSection(cst: CstNode, next: IToken | null, context: BuildContext): SectionNode | null {
  const head = childToken(cst, "SectionWord");
  if (head === null || !isOneOf(head.image, SECTIONS)) return null;
  const section = head.image;
  const nameSpan = tokenSpan(head);
  const open = childToken(cst, "LBrace");
  if (open === null) {
    context.braceTrouble = true;
    context.reporter.report("MTA117", nameSpan, `the section \`${section}\` lacks its braces`, {
      expected: `\`{\` and \`}\` around its stages, as in \`${section} { … }\``,
    });
    return null;
  }
  const operands = readOperands(head, childNodes(cst, "bodyOperand"), context);
  operands.finish();
  if (childToken(cst, "RBrace") === null) reportUnclosed(open, `\`${section}\``, next, context);
  const stages = buildStages(childNodes(cst, "sectionItem"), context);
  return { section, stages, nameSpan, span: nodeSpan(cst) ?? nameSpan };
}

/** The stage that modifiers now belong to; "unknown" takes those of a stage that could not be read. */
type OpenStage = { readonly head: StageHead; readonly modifiers: ModifierNode[] } | "unknown" | null;

type StageHead =
  | Omit<Extract<StageNode, { stage: "conv" }>, "modifiers">
  | Omit<Extract<StageNode, { stage: "mix" }>, "modifiers">
  | Omit<Extract<StageNode, { stage: PointwiseKind }>, "modifiers">
  | Omit<Extract<StageNode, { stage: "dropout" }>, "modifiers">
  | { readonly stage: "norm" | "gate"; readonly span: Span };

function buildStages(items: readonly CstNode[], context: BuildContext): StageNode[] {
  const stages: StageNode[] = [];
  let open: OpenStage = null;
  const close = (): void => {
    if (open !== null && open !== "unknown") stages.push(finishStage(open.head, open.modifiers));
  };
  for (const item of items) {
    const clause = childNode(item, "sectionClause");
    const label = childNode(item, "label");
    const token = tokensOf(item)[0];
    if (token === undefined) continue;
    if (label !== null) attach(open, buildLabel(label, token, context), token, context);
    else if (clause === null) reportStray(token, context);
    else if (isOneOf(token.image, STAGES)) {
      close();
      open = { head: buildStageHead(token.image, token, clause, context), modifiers: [] };
    } else if (isOneOf(token.image, MODIFIER_WORDS)) {
      attach(open, buildModifier(token.image, token, clause, context), token, context);
    } else if (reportUnknown(token, clause, context) === "stage") {
      close();
      open = "unknown";
    }
  }
  close();
  return stages;
}

function attach(open: OpenStage, modifier: ModifierNode, token: IToken, context: BuildContext): void {
  if (open === "unknown") return;
  if (open !== null) open.modifiers.push(modifier);
  else {
    context.reporter.report("MTA118", tokenSpan(token), `\`${token.image}\` stands before any stage`, {
      expected: `a stage that it belongs to: ${wordList(STAGES)}`,
    });
  }
}

function finishStage(head: StageHead, modifiers: readonly ModifierNode[]): StageNode {
  const last = modifiers.at(-1);
  return { ...head, modifiers, span: last === undefined ? head.span : joinSpans(head.span, last.span) };
}

function buildStageHead(stage: StageKind, token: IToken, clause: CstNode, context: BuildContext): StageHead {
  const operands = readOperands(token, childNodes(clause, "sectionOperand"), context);
  const head = stageHead(stage, operands);
  finishClause(operands, takesNothing(stage));
  return { ...head, span: joinSpans(tokenSpan(token), operands.end) };
}

/** Whether no operand follows a stage's word. */
function takesNothing(stage: StageKind): boolean {
  if (isOneOf(stage, POINTWISE_KINDS)) return POINTWISE[stage].operand === null;
  return stage === "gate" || stage === "norm";
}

function stageHead(stage: StageKind, operands: Operands): StageHead {
  const { span } = operands.head;
  switch (stage) {
    case "conv":
      return { stage, size: takePair(operands, "6x11"), span };
    case "mix":
      return { stage, group: takeNumber(operands, "mix 16"), span };
    case "dropout":
      return { stage, rate: takeNumber(operands, "dropout 0.1"), span };
    case "norm":
    case "gate":
      return { stage, span };
    default: {
      const { operand } = POINTWISE[stage];
      const number = operand === null ? null : takeNumber(operands, `${stage} ${operand.example}`);
      return { stage, operand: number, span };
    }
  }
}

/** Reports what is left over; a bare value such as `left` most likely lacks its modifier. */
function finishClause(operands: Operands, takesNothing: boolean): void {
  const rest = operands.peek();
  if (rest?.kind === "word" && rest.reserved) {
    const owners = VALUE_OWNERS[rest.text];
    if (owners !== undefined) {
      operands.skipRest();
      operands.report("MTA118", rest.span, `\`${rest.text}\` stands alone`, {
        fix: { message: `write ${wordList(owners.map((owner) => `${owner} ${rest.text}`))}` },
      });
      return;
    }
  }
  if (rest !== undefined && rest.kind !== "operator" && takesNothing) {
    operands.skipRest();
    operands.report(
      "MTA110",
      rest.span,
      `\`${operands.head.text}\` takes no value, so \`${rest.text}\` is unexpected`,
    );
    return;
  }
  operands.finish();
}

const VALUE_OWNERS: Readonly<Record<string, readonly string[]>> = {
  left: ["pad_key"],
  right: ["pad_key"],
  both: ["pad_key", "pad_query"],
  past: ["pad_query"],
  identity: ["init"],
  zeros: ["init"],
  normal: ["init"],
};

function buildLabel(cst: CstNode, token: IToken, context: BuildContext): ModifierNode {
  const place = tokenSpan(token);
  const value = readName(childNode(cst, "declaredName"), place, "`as`", "as local", context);
  return { modifier: "as", value, span: nodeSpan(cst) ?? place };
}

function buildModifier(word: ModifierWord, token: IToken, clause: CstNode, context: BuildContext) {
  const operands = readOperands(token, childNodes(clause, "sectionOperand"), context);
  const node = modifierOf(word, operands);
  finishClause(operands, isFlag(word));
  return { ...node, span: joinSpans(tokenSpan(token), operands.end) };
}

function isFlag(word: ModifierWord): boolean {
  return isOneOf(word, ["bias", "shared", "depth_scale", "scalar", "channel"]);
}

function modifierOf(word: ModifierWord, operands: Operands): ModifierNode {
  const { span } = operands.head;
  switch (word) {
    case "pad_key":
      return { modifier: word, value: takeChoice(operands, PAD_KEYS), span };
    case "pad_query":
      return { modifier: word, value: takeChoice(operands, PAD_QUERIES), span };
    case "across":
      return { modifier: word, value: takeNumber(operands, "across 2"), span };
    case "dilation":
      return { modifier: word, value: takePair(operands, "2x2"), span };
    case "init":
      return { modifier: word, value: takeInit(operands), span };
    case "eps":
      return { modifier: word, value: takeNumber(operands, "eps 1e-6"), span };
    case "bias":
    case "shared":
    case "depth_scale":
      return { modifier: word, span };
    case "scalar":
    case "channel":
      return { modifier: "mode", value: word, span };
    case "as":
      return { modifier: word, value: invalid(span), span };
  }
}

function takeInit(operands: Operands): InitNode {
  operands.skipEquals();
  const operand = operands.peek();
  if (operand?.kind === "word" && operand.text === "normal") {
    operands.next();
    operands.head = operand;
    const std = takeNumber(operands, "init normal 0.02");
    return { kind: "normal", std, span: joinSpans(operand.span, std.span) };
  }
  if (operand !== undefined && (operand.kind !== "word" || !isOneOf(operand.text, INITIALIZERS))) {
    operands.skipRest();
    reportChoice(operands, operand, INITIALIZERS);
    return invalid(operand.span);
  }
  const choice = takeChoice(operands, INITIALIZERS);
  if (choice.kind === "invalid" || choice.value === "normal") return invalid(choice.span);
  return { kind: choice.value, span: choice.span };
}

function reportStray(token: IToken, context: BuildContext): void {
  if (token.image === ",") {
    context.reportComma(tokenSpan(token));
    return;
  }
  context.reporter.report("MTA110", tokenSpan(token), `unexpected \`${token.image}\` in a section`, {
    expected: `a stage: ${wordList(STAGES)}`,
  });
}

/** Says whether the unknown word seems to be meant as a stage or as a modifier. */
function reportUnknown(token: IToken, clause: CstNode, context: BuildContext): "stage" | "modifier" {
  const word = token.image;
  const span = tokenSpan(token);
  const hasSize = tokensOf(clause)[1]?.tokenType === Pair;
  const meant = STAGE_ALIASES[word] ?? suggest(word, [...STAGES, ...MODIFIER_WORDS]);
  const isStage = meant === null ? hasSize : isOneOf(meant, STAGES);
  if (childToken(clause, "Identifier") === null) {
    context.reporter.report("MTA110", span, `unexpected \`${word}\` in a section`, {
      expected: `a stage: ${wordList(STAGES)}`,
    });
    return "stage";
  }
  context.reporter.report("MTA113", span, `unknown stage or modifier \`${word}\``, {
    expected: isStage
      ? `a stage: ${wordList(STAGES)}`
      : `${wordList(STAGES)}, or a modifier: ${wordList(MODIFIER_WORDS)}`,
    ...didYouMean(word, span, [...STAGES, ...MODIFIER_WORDS], STAGE_ALIASES),
  });
  return isStage ? "stage" : "modifier";
}
