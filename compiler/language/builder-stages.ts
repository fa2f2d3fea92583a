import type { ValueReader } from "./builder-reader.ts";
import { type AnyStage, isStage } from "./builder-values.ts";
import { camelCase } from "./identifier.ts";
import { POINTWISE } from "./pointwise.ts";
import { type InitNode, invalid, type ModifierNode, type StageNode } from "./tree.ts";
import {
  GATE_MODES,
  isOneOf,
  type ModifierWord,
  modifiersOf,
  PAD_KEYS,
  PAD_QUERIES,
  STAGES,
  wordList,
} from "./words.ts";

/** Makes the node of one stage in a section's list; null for something that is no stage. */
export function stageNode(value: unknown, index: number, section: ValueReader): StageNode | null {
  if (!isStage(value)) {
    section.child(index).wrongType(value, `a stage, as ${wordList(STAGES, "and")} make them`);
    return null;
  }
  const reader = section.child(index, value.site);
  const modifiers = modifierNodes(value, reader);
  const { span } = reader;
  switch (value.kind) {
    case "conv":
      return { stage: value.kind, size: reader.pair(value.required), modifiers, span };
    case "mix":
      return { stage: value.kind, group: reader.number(value.required), modifiers, span };
    case "dropout":
      return { stage: value.kind, rate: reader.number(value.required), modifiers, span };
    case "norm":
    case "gate":
      return { stage: value.kind, modifiers, span };
    default: {
      const operand = POINTWISE[value.kind].operand === null ? null : reader.number(value.required);
      return { stage: value.kind, operand, modifiers, span };
    }
  }
}

function modifierNodes(stage: AnyStage, reader: ValueReader): ModifierNode[] {
  const words = modifiersOf(stage.kind);
  return reader
    .entries(stage.options, words)
    .flatMap(([word, value]) => modifierNode(word, value, reader.child(camelCase(word))));
}

/** None for a flag that is `false`. */
function modifierNode(word: ModifierWord, value: unknown, reader: ValueReader): ModifierNode[] {
  const { span } = reader;
  switch (word) {
    case "pad_key":
      return [{ modifier: word, value: reader.choice(value, PAD_KEYS), span }];
    case "pad_query":
      return [{ modifier: word, value: reader.choice(value, PAD_QUERIES), span }];
    case "across":
    case "eps":
      return [{ modifier: word, value: reader.number(value), span }];
    case "dilation":
      return [{ modifier: word, value: reader.pair(value), span }];
    case "init":
      return [{ modifier: word, value: initNode(value, reader), span }];
    case "as":
      return [{ modifier: word, value: reader.name(value), span }];
    case "bias":
    case "shared":
    case "depth_scale":
      return isSet(value, reader) ? [{ modifier: word, span }] : [];
    case "scalar":
    case "channel":
      return isSet(value, reader) && isOneOf(word, GATE_MODES)
        ? [{ modifier: "mode", value: word, span }]
        : [];
  }
}

function isSet(value: unknown, reader: ValueReader): boolean {
  if (typeof value !== "boolean") reader.wrongType(value, "`true` or `false`");
  return value === true;
}

function initNode(value: unknown, reader: ValueReader): InitNode {
  if (typeof value !== "object") {
    const choice = reader.choice(value, ["identity", "zeros"]);
    return choice.kind === "invalid" ? choice : { kind: choice.value, span: reader.span };
  }
  const [entry] = reader.entries(value, ["normal"]);
  return entry === undefined
    ? invalid(reader.span)
    : { kind: "normal", std: reader.child("normal").number(entry[1]), span: reader.span };
}
