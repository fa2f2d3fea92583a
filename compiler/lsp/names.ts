import type { IToken } from "chevrotain";
import type { Analysis } from "../language/analyse.ts";
import type { Span } from "../language/attention.ts";
import { tokenSpan } from "../language/span.ts";
import type {
  AttentionNode,
  ConstNode,
  DeclarationNode,
  Expression,
  Invalid,
  LayerSet,
  ModifierNode,
  Name,
  PropertyNode,
  SectionNode,
  StackNode,
  StageNode,
  TuneNode,
} from "../language/tree.ts";

/** A declaration that a name can stand for. */
export type Declared = AttentionNode | ConstNode | StackNode;

/** One place where a name is written. */
export type NameUse =
  | {
      /** Consts, attentions and stacks share one namespace, so that the name alone says which is meant. */
      readonly kind: "declared";
      readonly name: string;
      readonly span: Span;
      /** The declaration of that name; null where there is none. */
      readonly target: Declared | null;
      /** It is written here, in its declaration. */
      readonly declares: boolean;
    }
  | {
      readonly kind: "label";
      readonly name: string;
      readonly span: Span;
      readonly attention: AttentionNode;
      readonly section: SectionNode;
      readonly stage: StageNode;
    }
  | { readonly kind: "knob"; readonly name: string; readonly span: Span; readonly tune: TuneNode };

/**
 * Every name in a spec, in the order of the text.
 * @param tokens those of the same text
 */
export function namesIn({ tree }: Analysis, tokens: readonly IToken[]): readonly NameUse[] {
  const declarations = new Map<string, Declared>();
  for (const node of tree.declarations) {
    if (node.kind === "tune" || node.kind === "unknown" || node.name.kind === "invalid") continue;
    // The first of two counts, as in the checks.
    if (!declarations.has(node.name.text)) declarations.set(node.name.text, node);
  }
  const collector = new NameCollector(declarations);
  for (const node of tree.declarations) collector.declaration(node);
  return collector.found
    .map((use) => ({ ...use, span: exactSpan(use, tokens) }))
    .toSorted((a, b) => a.span.start - b.span.start);
}

/** The name alone: the span of `(n)`, a number in parentheses, holds the parentheses. */
function exactSpan({ name, span }: NameUse, tokens: readonly IToken[]): Span {
  if (span.end - span.start === name.length) return span;
  const token = tokens.find(({ image, startOffset, endOffset }) => {
    return startOffset >= span.start && (endOffset ?? startOffset) < span.end && image === name;
  });
  return token === undefined ? span : tokenSpan(token);
}

class NameCollector {
  readonly found: NameUse[] = [];
  private readonly declarations: ReadonlyMap<string, Declared>;

  constructor(declarations: ReadonlyMap<string, Declared>) {
    this.declarations = declarations;
  }

  declaration(node: DeclarationNode): void {
    switch (node.kind) {
      case "attention":
        this.add(node.name, node);
        if (node.base !== null) this.add(node.base);
        for (const item of node.items)
          if ("property" in item) this.property(item);
          else for (const stage of item.stages) this.stage(stage, item, node);
        return;
      case "const":
        this.add(node.name, node);
        this.expression(node.value);
        return;
      case "stack":
        this.stack(node);
        return;
      case "tune":
        this.tune(node);
        return;
      case "unknown":
        return;
    }
  }

  /** `declaring` is the declaration whose own name it is. */
  private add(node: Name | Invalid, declaring: Declared | null = null): void {
    if (node.kind === "invalid") return;
    const target = declaring ?? this.declarations.get(node.text) ?? null;
    const declares = declaring !== null;
    this.found.push({ kind: "declared", name: node.text, span: node.span, target, declares });
  }

  private expression(node: Expression): void {
    switch (node.kind) {
      case "name":
        this.add(node);
        return;
      case "negate":
        this.expression(node.operand);
        return;
      case "binary":
        this.expression(node.left);
        this.expression(node.right);
        return;
      case "number":
      case "invalid":
        return;
    }
  }

  private property(node: PropertyNode): void {
    switch (node.property) {
      case "heads":
      case "kv_heads":
      case "head_dim":
      case "value_dim":
        this.expression(node.value);
        return;
      case "scale":
        if (node.value.kind !== "rsqrt") this.expression(node.value);
        return;
      case "mask":
        for (const term of node.terms) if (term.kind === "window") this.expression(term.size);
        return;
      case "dtype":
      case "normalize":
        return;
    }
  }

  private stage(stage: StageNode, section: SectionNode, attention: AttentionNode): void {
    if (stage.stage === "conv" && stage.size.kind === "pair") {
      this.expression(stage.size.query);
      this.expression(stage.size.key);
    } else if (stage.stage === "mix") this.expression(stage.group);
    else if ("operand" in stage && stage.operand !== null) this.expression(stage.operand);
    for (const modifier of stage.modifiers)
      if (modifier.modifier === "as") {
        const { value } = modifier;
        if (value.kind === "name")
          this.found.push({ kind: "label", name: value.text, span: value.span, attention, section, stage });
      } else this.modifier(modifier);
  }

  private modifier(node: Exclude<ModifierNode, { modifier: "as" }>): void {
    switch (node.modifier) {
      case "across":
      case "eps":
        this.expression(node.value);
        return;
      case "dilation":
        if (node.value.kind === "invalid") return;
        this.expression(node.value.query);
        this.expression(node.value.key);
        return;
      case "init":
        if (node.value.kind === "normal") this.expression(node.value.std);
        return;
      case "pad_key":
      case "pad_query":
      case "bias":
      case "shared":
      case "depth_scale":
      case "mode":
        return;
    }
  }

  private stack(node: StackNode): void {
    this.add(node.name, node);
    for (const item of node.items) {
      if (item.kind === "layers") this.expression(item.value);
      else {
        this.add(item.attention);
        if (item.layers !== "otherwise" && !("kind" in item.layers))
          for (const set of item.layers) this.layers(set);
      }
    }
  }

  private layers(set: LayerSet): void {
    switch (set.kind) {
      case "layer":
        this.expression(set.layer);
        return;
      case "range":
        this.expression(set.from);
        this.expression(set.to);
        return;
      case "steps":
        this.expression(set.every);
        this.expression(set.from);
        return;
    }
  }

  private tune(node: TuneNode): void {
    this.add(node.attention);
    for (const item of node.items) {
      if (item.kind === "sweep" && item.knob.kind === "name") {
        const { text, span } = item.knob;
        this.found.push({ kind: "knob", name: text, span, tune: node });
      }
      for (const value of item.values) this.tuneValue(value);
    }
  }

  /** A name is a constant where there is one, else a word of the planner. */
  private tuneValue(value: Expression): void {
    if (value.kind === "name" && this.declarations.get(value.text)?.kind !== "const") return;
    this.expression(value);
  }
}
