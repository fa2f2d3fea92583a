import type { Initializer, MaskTerm, Pointwise, StorageType } from "../../runtime/contract/index.ts";

/** A place in a source text: offsets count UTF-16 units, lines and columns from 1; `end` is exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly line: number;
  readonly column: number;
}

/** A stage after checking: every default filled in. `label` is the name given with `as`. */
export type CheckedStage =
  | {
      readonly kind: "conv";
      readonly query: number;
      readonly key: number;
      readonly padKey: "both" | "left" | "right";
      readonly padQuery: "past" | "both";
      readonly across: number;
      readonly dilation: { readonly query: number; readonly key: number };
      readonly bias: boolean;
      readonly shared: boolean;
      readonly init: Initializer;
      readonly label: string | null;
      readonly span: Span;
    }
  | {
      readonly kind: "mix";
      readonly group: number;
      readonly init: Initializer;
      readonly label: string | null;
      readonly span: Span;
    }
  | (Pointwise & { readonly span: Span })
  | { readonly kind: "dropout"; readonly rate: number; readonly span: Span }
  | {
      readonly kind: "norm";
      readonly eps: number;
      readonly depthScale: boolean;
      readonly label: string | null;
      readonly span: Span;
    }
  | {
      readonly kind: "gate";
      readonly mode: "scalar" | "channel";
      readonly label: string | null;
      readonly span: Span;
    };

/** The checked stage of one kind. */
export type StageOf<K extends CheckedStage["kind"]> = Extract<CheckedStage, { kind: K }>;

/** One attention after `extends`, `const` and defaults: what the IR is lowered from. */
export interface Attention {
  readonly name: string;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly scale: number;
  readonly dtype: StorageType;
  /** Empty for `none`. */
  readonly mask: readonly MaskTerm[];
  readonly normalize: "softmax" | "sparsemax";
  readonly scores: readonly StageOf<"conv" | "mix" | Pointwise["kind"]>[];
  readonly weights: readonly StageOf<"conv" | "mix" | "dropout">[];
  readonly output: readonly StageOf<"norm" | "gate">[];
  readonly span: Span;
}

/** A stack after its checks: an attention for each layer. */
export interface Stack {
  readonly name: string;
  readonly layers: number;
  /** The attention's name for every layer. */
  readonly attentions: readonly string[];
  readonly span: Span;
}

/** A spec's own sweep for one attention. */
export interface Tune {
  readonly attention: string;
  readonly lengths: readonly number[];
  readonly batch: readonly number[];
  readonly sweeps: readonly {
    readonly knob: string;
    readonly values: readonly (number | string)[];
    readonly span: Span;
  }[];
  readonly span: Span;
}

/** One spec file after all checks. */
export interface CheckedSpec {
  readonly file: string;
  readonly attentions: readonly Attention[];
  readonly stacks: readonly Stack[];
  readonly tunes: readonly Tune[];
}
