import type { CstNode, IToken } from "chevrotain";
import type { Span } from "./attention.ts";
import { type BuildContext, didYouMean, readName, reportUnclosed } from "./build-context.ts";
import { buildSection } from "./build-section.ts";
import { childNode, childNodes, childToken, childTokens, nodeSpan, onlyNode, tokensOf } from "./cst.ts";
import {
  type Operand,
  type Operands,
  readOperands,
  reportChoice,
  takeChoice,
  takeNumber,
} from "./operands.ts";
import { joinSpans, tokenSpan } from "./span.ts";
import { type AttentionNode, invalid, type MaskNode, type PropertyNode, type SectionNode } from "./tree.ts";
import {
  isOneOf,
  MASK_WORDS,
  NORMALIZERS,
  PROPERTIES,
  PROPERTY_ALIASES,
  type PropertyName,
  SECTIONS,
  STAGES,
  STORAGE_TYPES,
  sectionsOf,
  wordList,
} from "./words.ts";

const NOWHERE: Span = { start: 0, end: 0, line: 1, column: 1 };

/** `next` is the token after the attention: what stands where a missing brace is due. */
export function buildAttention(cst: CstNode, next: IToken | null, context: BuildContext): AttentionNode {
  const start = childToken(cst, "word_attention");
  const span = nodeSpan(cst) ?? NOWHERE;
  const head = start === null ? span : tokenSpan(start);
  const extendsToken = childToken(cst, "word_extends");
  const [first, second] = childNodes(cst, "declaredName");
  // Without a name of its own, the only name is the base's.
  const nameless =
    first !== undefined && second === undefined && extendsToken !== null && isAfter(first, extendsToken);
  const name = readName(
    nameless ? null : (first ?? null),
    head,
    "the attention",
    "attention my_attention { … }",
    context,
  );
  const base =
    extendsToken === null
      ? null
      : readName(
          (nameless ? first : second) ?? null,
          tokenSpan(extendsToken),
          "`extends`",
          "extends my_base",
          context,
        );
  const open = childToken(cst, "LBrace");
  const what = name.kind === "name" ? `attention \`${name.text}\`` : "this attention";
  if (open === null) {
    context.braceTrouble = true;
    const dash = firstToken(childNodes(cst, "bodyItem")[0])?.image === "-";
    context.reporter.report("MTA117", head, `${what} lacks its braces`, {
      expected: "`{` after the name",
      ...(dash ? { fix: { message: "a name has no `-`: write `_` instead" } } : {}),
    });
  } else if (childToken(cst, "RBrace") === null) reportUnclosed(open, what, next, context);
  const { items, damaged } = buildBody(cst, context);
  return { kind: "attention", name, base, items, damaged: damaged || context.braceTrouble, span };
}

function isAfter(node: CstNode, token: IToken): boolean {
  return (nodeSpan(node)?.start ?? 0) > token.startOffset;
}

function buildBody(cst: CstNode, context: BuildContext) {
  const items: (PropertyNode | SectionNode)[] = [];
  let damaged = false;
  let inBareSection = false;
  const nodes = childNodes(cst, "bodyItem");
  for (const [index, item] of nodes.entries()) {
    const property = childNode(item, "property");
    const section = childNode(item, "section");
    if (property !== null) {
      const built = buildProperty(property, context);
      if (built !== null) items.push(built);
      inBareSection = false;
    } else if (section !== null) {
      const built = buildSection(section, firstToken(nodes[index + 1]) ?? closing(cst), context);
      if (built !== null) items.push(built);
      inBareSection = built === null;
    } else if (!inBareSection) {
      const meant = reportStray(item, context);
      if (meant === null) damaged = true;
      else if (isOneOf(meant, PROPERTIES)) items.push(invalidProperty(meant, nodeSpan(item) ?? NOWHERE));
    }
  }
  return { items, damaged };
}

function firstToken(cst: CstNode | undefined): IToken | null {
  return cst === undefined ? null : (tokensOf(cst)[0] ?? null);
}

function closing(cst: CstNode): IToken | null {
  return childTokens(cst, "RBrace").at(-1) ?? null;
}

function buildProperty(cst: CstNode, context: BuildContext): PropertyNode | null {
  const head = childToken(cst, "PropertyWord");
  if (head === null || !isOneOf(head.image, PROPERTIES)) return null;
  const operands = readOperands(head, childNodes(cst, "bodyOperand"), context);
  const node = propertyOf(head.image, operands);
  operands.finish();
  return { ...node, span: joinSpans(tokenSpan(head), operands.end) };
}

function propertyOf(property: PropertyName, operands: Operands): PropertyNode {
  const { span } = operands.head;
  switch (property) {
    case "heads":
    case "kv_heads":
      return { property, value: takeNumber(operands, `${property} 16`), span };
    case "head_dim":
    case "value_dim":
      return { property, value: takeNumber(operands, `${property} 64`), span };
    case "scale":
      return { property, value: takeScale(operands), span };
    case "dtype":
      return { property, value: takeChoice(operands, STORAGE_TYPES), span };
    case "mask":
      return { property, terms: takeMask(operands), span };
    case "normalize":
      return { property, value: takeChoice(operands, NORMALIZERS), span };
  }
}

function takeScale(operands: Operands) {
  operands.skipEquals();
  const operand = operands.peek();
  if (operand?.kind !== "word" || operand.text !== "rsqrt")
    return takeNumber(operands, "scale rsqrt(head_dim)");
  operands.next();
  const argument = operands.peek();
  if (argument?.kind === "group" && argument.text === "(head_dim)") operands.next();
  else {
    operands.skipRest();
    operands.report("MTA114", argument?.span ?? operand.span, "`rsqrt` takes `head_dim` and nothing else", {
      expected: "`rsqrt(head_dim)`",
    });
  }
  return { kind: "rsqrt", span: joinSpans(operand.span, argument?.span ?? operand.span) } as const;
}

function takeMask(operands: Operands): MaskNode[] {
  operands.skipEquals();
  const { head } = operands;
  const terms: MaskNode[] = [];
  for (let operand = operands.next(); operand !== undefined; operand = operands.next()) {
    operands.head = head;
    if (operand.kind === "operator" && operand.text === ",") operands.context.reportComma(operand.span);
    else terms.push(maskTerm(operand, operands));
  }
  if (terms.length > 0) return terms;
  operands.report("MTA112", head.span, "`mask` lacks its terms", {
    expected: `one or more of ${wordList(MASK_WORDS)}`,
    fix: { message: "write, for example, `mask causal`" },
  });
  return [invalid(head.span)];
}

function maskTerm(operand: Operand, operands: Operands): MaskNode {
  if (operand.kind !== "word" || !isOneOf(operand.text, MASK_WORDS)) {
    reportChoice(operands, operand, MASK_WORDS);
    // `sliding_window 256`: the number belongs to what the word was meant to be.
    if (operand.kind === "word" && operands.peek()?.kind === "number") operands.next();
    return invalid(operand.span);
  }
  if (operand.text !== "window") return { kind: operand.text, span: operand.span };
  operands.head = operand;
  const next = operands.peek();
  // `window causal`: the number is missing, `causal` is the next term.
  const absent = next === undefined || (next.kind === "word" && next.reserved);
  const size = takeNumber(absent ? operands.none() : operands, "mask window 512");
  return { kind: "window", size, span: joinSpans(operand.span, size.span) };
}

/** Stands for a misspelled property, so that it does not count as missing. */
function invalidProperty(property: PropertyName, span: Span): PropertyNode {
  const value = invalid(span);
  return property === "mask" ? { property, terms: [value], span } : { property, value, span };
}

/** Reports what is no property and no section; returns the word that was most likely meant. */
function reportStray(item: CstNode, context: BuildContext): string | null {
  const token = tokensOf(item)[0];
  if (token === undefined) return null;
  const span = tokenSpan(token);
  const word = token.image;
  const misplaced = onlyNode(item);
  if (misplaced === null || childToken(misplaced, "Identifier") === null) {
    reportMisplaced(token, context);
    // A stage outside its section hides no property.
    return isOneOf(word, STAGES) ? word : null;
  }
  const fix = didYouMean(word, span, [...PROPERTIES, ...SECTIONS], PROPERTY_ALIASES);
  context.reporter.report("MTA113", span, `unknown property \`${word}\``, {
    expected: `${wordList(PROPERTIES)}, or a section: ${wordList(SECTIONS)}`,
    ...fix,
  });
  return fix.fix?.replacement ?? null;
}

function reportMisplaced(token: IToken, context: BuildContext): void {
  const word = token.image;
  const span = tokenSpan(token);
  if (word === ",") {
    context.reportComma(span);
    return;
  }
  if (isOneOf(word, STAGES)) {
    const sections = sectionsOf(word);
    context.reporter.report("MTA118", span, `the stage \`${word}\` stands outside a section`, {
      expected: `\`${word}\` inside ${wordList(sections)}, as in \`${sections[0]} { ${word} … }\``,
    });
    return;
  }
  const expected = "a property or a section";
  context.reporter.report("MTA110", span, `unexpected \`${word}\` in an attention`, { expected });
}
