import type { Hover } from "vscode-languageserver-types";
import { resolve } from "../ir/index.ts";
import type { Span } from "../language/attention.ts";
import { tokenSpan } from "../language/span.ts";
import type { AttentionNode, ConstNode, SectionNode, StackNode, StageNode } from "../language/tree.ts";
import { formatLayers } from "../report/describe.ts";
import { code, describeAttention, tableOfParameters } from "./attention-hover.ts";
import type { NameUse } from "./names.ts";
import { expectedAt } from "./places.ts";
import type { Predictions } from "./predictions.ts";
import { isInComment, rangeOf, type SpecDocument, tokenAt, touches } from "./spec-document.ts";
import { describeStageOf } from "./stage-hover.ts";
import { WORD_TEXTS, type WordPart, type WordText, wordMarkdown, wordText } from "./word-texts.ts";

/** What stands under the cursor: a name's declaration, a stage with its shapes and cost, or a word's meaning. */
export function hoverAt(spec: SpecDocument, offset: number, predictions: Predictions): Hover | null {
  if (isInComment(spec, offset)) return null;
  const name = spec.names.find(({ span }) => touches(span, offset));
  if (name !== undefined) return hoverOf(spec, name.span, describeName(spec, name, predictions));
  const token = tokenAt(spec, offset);
  if (token === null) return null;
  const span = tokenSpan(token);
  const stage = stageAt(spec, offset);
  const written = stage === null ? null : describeWrittenStage(spec, stage);
  if (stage !== null && written !== null && span.start === stage.node.span.start) {
    const text = wordText("stage", token.image);
    return hoverOf(spec, span, text === null ? written : `${written}\n\n---\n\n${wordMarkdown(text)}`);
  }
  const text = textAt(spec, token.image, span);
  // Numbers and sizes say what the stage around them says.
  return hoverOf(spec, span, text === null ? (/^\d/.test(token.image) ? written : null) : wordMarkdown(text));
}

function hoverOf(spec: SpecDocument, span: Span, value: string | null): Hover | null {
  return value === null ? null : { contents: { kind: "markdown", value }, range: rangeOf(spec, span) };
}

/** The meaning of a word in the part that it plays here. */
function textAt(spec: SpecDocument, word: string, span: Span): WordText | null {
  for (const expectation of expectedAt(spec.tokens, span.start)) {
    const text = expectation.kind === "words" ? wordText(expectation.part, word) : null;
    if (text !== null) return text;
  }
  // In the wrong place, it is explained all the same if it can only mean one thing.
  const texts = parts().flatMap((part) => wordText(part, word) ?? []);
  const [first] = texts;
  return first !== undefined && texts.every((text) => text === first) ? first : null;
}

function parts(): readonly WordPart[] {
  const known: readonly string[] = Object.keys(WORD_TEXTS);
  return known.filter((part): part is WordPart => Object.hasOwn(WORD_TEXTS, part));
}

function describeName(spec: SpecDocument, use: NameUse, predictions: Predictions): string | null {
  switch (use.kind) {
    case "declared":
      switch (use.target?.kind) {
        case "attention":
          return describeAttentionNode(spec, use.target, predictions);
        case "const":
          return describeConstant(spec, use.target);
        case "stack":
          return describeStack(spec, use.target);
        case undefined:
          return null;
      }
      break;
    case "label":
      return describeLabel(spec, use);
    case "knob":
      return describeKnob(spec, use, predictions);
  }
}

function describeAttentionNode(spec: SpecDocument, node: AttentionNode, predictions: Predictions): string {
  const { sound } = spec.analysis;
  const attention = sound.attentions.find(({ span }) => span === node.span);
  const name = node.name.kind === "name" ? node.name.text : "";
  if (attention === undefined)
    return `${code(`attention ${name}`)}\n\nIt has errors, or something that it needs has: see the diagnostics.`;
  return describeAttention(node, attention, sound, predictions);
}

function describeConstant({ text, analysis }: SpecDocument, node: ConstNode): string {
  const value = analysis.sound.constants.get(node);
  const source = text.getText().slice(node.span.start, node.span.end).replace(/\s+/g, " ");
  const plain = node.value.kind === "number";
  return value === undefined || plain ? code(source) : `${code(source)}\n\n= ${value}`;
}

function describeStack({ analysis }: SpecDocument, node: StackNode): string {
  const stack = analysis.sound.stacks.find(({ span }) => span === node.span);
  const name = node.name.kind === "name" ? node.name.text : "";
  if (stack === undefined) return `${code(`stack ${name}`)}\n\nIt has errors: see the diagnostics.`;
  const layers = new Map<string, number[]>();
  for (const [layer, attention] of stack.attentions.entries())
    layers.set(attention, [...(layers.get(attention) ?? []), layer]);
  const rows = [...layers].map(
    ([attention, own]) => `| \`${attention}\` | ${own.length} | ${formatLayers(own)} |`,
  );
  return [
    code(`stack ${name}`),
    `${stack.layers} layers:`,
    ["| attention | layers | which |", "| --- | --- | --- |", ...rows].join("\n"),
  ].join("\n\n");
}

function describeLabel(spec: SpecDocument, use: Extract<NameUse, { kind: "label" }>): string {
  const name = `${use.section.section}.${use.name}`;
  const attention = spec.analysis.sound.attentions.find(({ span }) => span === use.attention.span);
  const parameters = attention === undefined ? [] : resolve(attention, "").parameters;
  const own = parameters.filter((parameter) => parameter.name.startsWith(`${name}.`));
  return `The stage \`${name}\`.${own.length === 0 ? "" : `\n\n${tableOfParameters(own)}`}`;
}

function describeKnob(
  spec: SpecDocument,
  use: Extract<NameUse, { kind: "knob" }>,
  predictions: Predictions,
): string | null {
  const { attention } = use.tune;
  const values =
    attention.kind === "name" ? knobsOf(spec, attention.text, predictions).get(use.name) : undefined;
  if (values === undefined) return null;
  return `The planner's knob \`${use.name}\`. Values: ${values.map((value) => `\`${value}\``).join(", ")}.`;
}

/** The knobs that the planner has for an attention on any target, with their values; none where it has errors. */
export function knobsOf(
  { analysis }: SpecDocument,
  name: string,
  predictions: Predictions,
): ReadonlyMap<string, readonly (number | string)[]> {
  const attention = analysis.sound.attentions.find((each) => each.name === name);
  const merged = new Map<string, readonly (number | string)[]>();
  if (attention === undefined) return merged;
  for (const { knobs } of predictions.of(resolve(attention, "")))
    for (const [knob, values] of knobs)
      merged.set(knob, [...new Set([...(merged.get(knob) ?? []), ...values])]);
  return merged;
}

interface WrittenStage {
  readonly attention: AttentionNode;
  readonly section: SectionNode;
  readonly node: StageNode;
}

function stageAt({ analysis }: SpecDocument, offset: number): WrittenStage | null {
  for (const attention of analysis.tree.declarations) {
    if (attention.kind !== "attention" || !touches(attention.span, offset)) continue;
    for (const section of attention.items) {
      if (!("section" in section)) continue;
      const node = section.stages.find(({ span }) => touches(span, offset));
      if (node !== undefined) return { attention, section, node };
    }
  }
  return null;
}

function describeWrittenStage({ analysis }: SpecDocument, stage: WrittenStage): string | null {
  const attention = analysis.sound.attentions.find(({ span }) => span === stage.attention.span);
  return attention === undefined ? null : describeStageOf(attention, stage.section, stage.node);
}
