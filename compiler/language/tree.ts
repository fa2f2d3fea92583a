import type { StorageType } from "../../runtime/contract/index.ts";
import type { Span } from "./attention.ts";
import type { PointwiseKind } from "./pointwise.ts";
import type { SectionName } from "./words.ts";

/** The syntax tree: what was written, before any name is looked up. Both the parser and the TypeScript builder make it. */

export interface Name {
  readonly kind: "name";
  readonly text: string;
  readonly span: Span;
}

/** Stands where something was wrong that has been reported already: checks pass over it in silence. */
export interface Invalid {
  readonly kind: "invalid";
  readonly span: Span;
}

export type BinaryOperator = "+" | "-" | "*" | "/";

export type Expression =
  | { readonly kind: "number"; readonly text: string; readonly span: Span }
  | Name
  | { readonly kind: "negate"; readonly operand: Expression; readonly span: Span }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
      readonly span: Span;
    }
  | Invalid;

/** A word out of a fixed set. */
export type Choice<T extends string> =
  | { readonly kind: "choice"; readonly value: T; readonly span: Span }
  | Invalid;

/** `6x11` or `(EXPR, EXPR)`. */
export type PairNode =
  | { readonly kind: "pair"; readonly query: Expression; readonly key: Expression; readonly span: Span }
  | Invalid;

export type MaskNode =
  | { readonly kind: "causal" | "documents" | "lengths" | "bias" | "none"; readonly span: Span }
  | { readonly kind: "window"; readonly size: Expression; readonly span: Span }
  | Invalid;

export type InitNode =
  | { readonly kind: "identity" | "zeros"; readonly span: Span }
  | { readonly kind: "normal"; readonly std: Expression; readonly span: Span }
  | Invalid;

export type NumberProperty = "heads" | "kv_heads" | "head_dim" | "value_dim";

export type PropertyNode =
  | { readonly property: NumberProperty; readonly value: Expression; readonly span: Span }
  | {
      readonly property: "scale";
      readonly value: Expression | { readonly kind: "rsqrt"; readonly span: Span };
      readonly span: Span;
    }
  | { readonly property: "dtype"; readonly value: Choice<StorageType>; readonly span: Span }
  | { readonly property: "mask"; readonly terms: readonly MaskNode[]; readonly span: Span }
  | { readonly property: "normalize"; readonly value: Choice<"softmax" | "sparsemax">; readonly span: Span };

export type ModifierNode =
  | { readonly modifier: "pad_key"; readonly value: Choice<"both" | "left" | "right">; readonly span: Span }
  | { readonly modifier: "pad_query"; readonly value: Choice<"past" | "both">; readonly span: Span }
  | { readonly modifier: "across"; readonly value: Expression; readonly span: Span }
  | { readonly modifier: "dilation"; readonly value: PairNode; readonly span: Span }
  | { readonly modifier: "bias" | "shared" | "depth_scale"; readonly span: Span }
  | { readonly modifier: "init"; readonly value: InitNode; readonly span: Span }
  | { readonly modifier: "eps"; readonly value: Expression; readonly span: Span }
  | { readonly modifier: "mode"; readonly value: "scalar" | "channel"; readonly span: Span }
  | { readonly modifier: "as"; readonly value: Name | Invalid; readonly span: Span };

export type StageNode =
  | {
      readonly stage: "conv";
      readonly size: PairNode;
      readonly modifiers: readonly ModifierNode[];
      readonly span: Span;
    }
  | {
      readonly stage: "mix";
      readonly group: Expression;
      readonly modifiers: readonly ModifierNode[];
      readonly span: Span;
    }
  | {
      readonly stage: PointwiseKind;
      /** Null where the stage takes no number. */
      readonly operand: Expression | null;
      readonly modifiers: readonly ModifierNode[];
      readonly span: Span;
    }
  | {
      readonly stage: "dropout";
      readonly rate: Expression;
      readonly modifiers: readonly ModifierNode[];
      readonly span: Span;
    }
  | { readonly stage: "norm" | "gate"; readonly modifiers: readonly ModifierNode[]; readonly span: Span };

export interface SectionNode {
  readonly section: SectionName;
  readonly stages: readonly StageNode[];
  /** The word alone. */
  readonly nameSpan: Span;
  readonly span: Span;
}

export interface AttentionNode {
  readonly kind: "attention";
  readonly name: Name | Invalid;
  readonly base: Name | Invalid | null;
  /** In the order written. */
  readonly items: readonly (PropertyNode | SectionNode)[];
  /** Some of it could not be read (and that is reported): what seems to be missing may be there. */
  readonly damaged: boolean;
  readonly span: Span;
}

export interface ConstNode {
  readonly kind: "const";
  readonly name: Name | Invalid;
  readonly value: Expression;
  readonly span: Span;
}

export type LayerSet =
  | { readonly kind: "layer"; readonly layer: Expression; readonly span: Span }
  | { readonly kind: "range"; readonly from: Expression; readonly to: Expression; readonly span: Span }
  | { readonly kind: "steps"; readonly every: Expression; readonly from: Expression; readonly span: Span };

export type StackItem =
  | { readonly kind: "layers"; readonly value: Expression; readonly span: Span }
  | {
      readonly kind: "use";
      readonly attention: Name | Invalid;
      readonly layers: readonly LayerSet[] | "otherwise" | Invalid;
      readonly span: Span;
    };

export interface StackNode {
  readonly kind: "stack";
  readonly name: Name | Invalid;
  readonly items: readonly StackItem[];
  /** As in an attention. */
  readonly damaged: boolean;
  readonly span: Span;
}

export type TuneItem =
  | { readonly kind: "lengths" | "batch"; readonly values: readonly Expression[]; readonly span: Span }
  | {
      readonly kind: "sweep";
      readonly knob: Name | Invalid;
      readonly values: readonly Expression[];
      readonly span: Span;
    };

export interface TuneNode {
  readonly kind: "tune";
  readonly attention: Name | Invalid;
  readonly items: readonly TuneItem[];
  readonly span: Span;
}

/** A declaration that could not be read (`atention a { }`), reported already: its name counts as declared. */
export interface UnknownNode {
  readonly kind: "unknown";
  readonly name: Name | null;
  readonly span: Span;
}

export type DeclarationNode = AttentionNode | ConstNode | StackNode | TuneNode | UnknownNode;

/** A spec as it is written: its declarations, with the places of all words. */
export interface SpecTree {
  readonly file: string;
  readonly declarations: readonly DeclarationNode[];
}

export function invalid(span: Span): Invalid {
  return { kind: "invalid", span };
}
