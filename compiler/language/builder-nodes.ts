import { ValueReader } from "./builder-reader.ts";
import { stageNode } from "./builder-stages.ts";
import { type Built, type BuiltNode, isBuiltAttention } from "./builder-values.ts";
import type { CallSite } from "./call-site.ts";
import { camelCase, snakeCase } from "./identifier.ts";
import {
  type Invalid,
  invalid,
  type LayerSet,
  type MaskNode,
  type Name,
  type PropertyNode,
  type SectionNode,
  type StackItem,
  type StageNode,
  type TuneItem,
} from "./tree.ts";
import {
  isOneOf,
  MASK_WORDS,
  NORMALIZERS,
  PROPERTIES,
  type PropertyName,
  SECTIONS,
  type SectionName,
  STORAGE_TYPES,
} from "./words.ts";

/** Makes the tree of `attention(name, options)`. */
export function attentionNode(name: unknown, options: unknown, site: CallSite | null): BuiltNode {
  const reader = new ValueReader(site, String(name));
  const references: Built<"attention">[] = [];
  const items: (PropertyNode | SectionNode)[] = [];
  let base: Name | Invalid | null = null;
  for (const [word, value] of reader.entries(options, ["extends", ...PROPERTIES, ...SECTIONS])) {
    if (word === "extends") base = reference(value, reader.child("extends"), references);
    else if (isOneOf(word, SECTIONS)) items.push(sectionNode(word, value, reader.child(word)));
    else items.push(propertyNode(word, value, reader));
  }
  const nameNode = new ValueReader(site, String(name), reader.reporter).name(name);
  const node = { kind: "attention", name: nameNode, base, items, damaged: false, span: reader.span } as const;
  return { node, references, diagnostics: reader.reporter.diagnostics };
}

/** A name, or an attention that was built before. */
function reference(value: unknown, reader: ValueReader, references: Built<"attention">[]): Name | Invalid {
  if (typeof value === "string") return reader.name(value);
  if (!isBuiltAttention(value)) return reader.wrongType(value, "an attention, or the name of one");
  references.push(value);
  const { node } = value;
  // A base with a bad name is reported where it is built.
  const bad = node.kind !== "attention" || node.name.kind === "invalid";
  return bad ? invalid(reader.span) : { kind: "name", text: value.name, span: reader.span };
}

function propertyNode(property: PropertyName, value: unknown, parent: ValueReader): PropertyNode {
  const reader = parent.child(camelCase(property));
  const { span } = reader;
  switch (property) {
    case "heads":
    case "kv_heads":
    case "head_dim":
    case "value_dim":
      return { property, value: reader.number(value), span };
    case "scale":
      return {
        property,
        value: value === "rsqrt(headDim)" ? { kind: "rsqrt", span } : reader.number(value),
        span,
      };
    case "dtype":
      return { property, value: reader.choice(value, STORAGE_TYPES), span };
    case "normalize":
      return { property, value: reader.choice(value, NORMALIZERS), span };
    case "mask":
      return { property, terms: maskNodes(value, reader), span };
  }
}

function maskNodes(value: unknown, reader: ValueReader): MaskNode[] {
  // One term may stand alone, as one layer may in a stack.
  if (!Array.isArray(value)) return [maskNode(value, reader)];
  const terms = value.map((term, index) => maskNode(term, reader.child(index)));
  return terms.length > 0 ? terms : [reader.wrongType(value, "at least one mask term")];
}

function maskNode(value: unknown, reader: ValueReader): MaskNode {
  if (typeof value === "object") {
    const [entry] = reader.entries(value, ["window"]);
    if (entry === undefined) return invalid(reader.span);
    return { kind: "window", size: reader.child("window").number(entry[1]), span: reader.span };
  }
  const choice = reader.choice(value, MASK_WORDS);
  if (choice.kind === "invalid") return choice;
  if (choice.value === "window") return reader.wrongType(value, "`{ window: 512 }`");
  return { kind: choice.value, span: reader.span };
}

function sectionNode(section: SectionName, value: unknown, reader: ValueReader): SectionNode {
  const stages = reader
    .list(value)
    .map((stage, index) => stageNode(stage, index, reader))
    .filter((stage): stage is StageNode => stage !== null);
  return { section, stages, nameSpan: reader.span, span: reader.span };
}

/** Makes the tree of `stack(name, options)`. */
export function stackNode(name: unknown, options: unknown, site: CallSite | null): BuiltNode {
  const reader = new ValueReader(site, String(name));
  const references: Built<"attention">[] = [];
  const items = reader.entries(options, ["layers", "use"]).flatMap(([word, value]): StackItem[] => {
    const inner = reader.child(word);
    if (word === "layers") return [{ kind: "layers", value: inner.number(value), span: inner.span }];
    return inner.list(value).map((use, index) => useNode(use, inner.child(index), references));
  });
  const nameNode = new ValueReader(site, String(name), reader.reporter).name(name);
  const node = { kind: "stack", name: nameNode, items, damaged: false, span: reader.span } as const;
  return { node, references, diagnostics: reader.reporter.diagnostics };
}

function useNode(value: unknown, reader: ValueReader, references: Built<"attention">[]): StackItem {
  const given = new Map(reader.entries(value, ["attention", "at", "otherwise"]));
  const attention = reference(given.get("attention"), reader.child("attention"), references);
  const at = given.get("at");
  if (given.get("otherwise") === true && at === undefined)
    return { kind: "use", attention, layers: "otherwise", span: reader.span };
  if (at === undefined) {
    const layers = reader.wrongType(value, "`at` with layers, or `otherwise: true`");
    return { kind: "use", attention, layers, span: reader.span };
  }
  const inner = reader.child("at");
  const sets = Array.isArray(at)
    ? at.map((set, index) => layerNode(set, inner.child(index)))
    : [layerNode(at, inner)];
  return { kind: "use", attention, layers: sets, span: reader.span };
}

function layerNode(value: unknown, reader: ValueReader): LayerSet {
  const { span } = reader;
  if (typeof value === "number") return { kind: "layer", layer: reader.number(value), span };
  const given = new Map(reader.entries(value, ["from", "to", "every"]));
  const from = reader.child("from").number(given.get("from"));
  if (given.has("every"))
    return { kind: "steps", every: reader.child("every").number(given.get("every")), from, span };
  return { kind: "range", from, to: reader.child("to").number(given.get("to")), span };
}

/** Makes the tree of `tune(attention, options)`. */
export function tuneNode(target: unknown, options: unknown, site: CallSite | null): BuiltNode {
  const reader = new ValueReader(site, `tune(${isBuiltAttention(target) ? target.name : String(target)})`);
  const references: Built<"attention">[] = [];
  const attention = reference(target, new ValueReader(site, reader.span.path, reader.reporter), references);
  const items = reader
    .entries(options, ["lengths", "batch", "sweep"])
    .flatMap(([word, value]): TuneItem[] => {
      const inner = reader.child(word);
      if (word === "sweep") return sweepNodes(value, inner);
      const values = inner.list(value).map((each, index) => inner.child(index).number(each));
      return [{ kind: word, values, span: inner.span }];
    });
  const node = { kind: "tune", attention, items, span: reader.span } as const;
  return { node, references, diagnostics: reader.reporter.diagnostics };
}

function sweepNodes(value: unknown, reader: ValueReader): TuneItem[] {
  if (typeof value !== "object" || value === null) {
    reader.wrongType(value, "an object with a list of values for each knob");
    return [];
  }
  return Object.entries(value).map(([knob, values]): TuneItem => {
    const inner = reader.child(knob);
    const list = inner.list(values).map((each, index) => {
      const place = inner.child(index);
      return typeof each === "string" ? sweepName(each, place) : place.number(each);
    });
    return { kind: "sweep", knob: inner.name(snakeCase(knob)), values: list, span: inner.span };
  });
}

/** A word that a knob takes: a name, or a storage type, which no name can be. */
function sweepName(value: string, reader: ValueReader): Name | Invalid {
  return isOneOf(value, STORAGE_TYPES)
    ? { kind: "name", text: value, span: reader.span }
    : reader.name(value);
}
