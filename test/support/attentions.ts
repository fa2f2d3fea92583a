import type { Attention, StageOf } from "../../compiler/language/attention.ts";
import { NO_SPAN } from "./arbitrary-stages.ts";

/** A checked attention by hand: 2 heads of size 4, causal, unless told otherwise. */
export function attentionWith(changes: Partial<Attention> = {}): Attention {
  const headDim = changes.headDim ?? 4;
  const heads = changes.heads ?? 2;
  return {
    name: "by_hand",
    heads,
    kvHeads: heads,
    headDim,
    valueDim: headDim,
    scale: 1 / Math.sqrt(headDim),
    dtype: "f32",
    mask: [{ kind: "causal" }],
    normalize: "softmax",
    scores: [],
    weights: [],
    output: [],
    span: NO_SPAN,
    ...changes,
  };
}

export function convStage(changes: Partial<StageOf<"conv">> = {}): StageOf<"conv"> {
  return {
    kind: "conv",
    query: 3,
    key: 3,
    padKey: "both",
    padQuery: "past",
    across: 1,
    dilation: { query: 1, key: 1 },
    bias: false,
    shared: false,
    init: { kind: "identity" },
    label: null,
    span: NO_SPAN,
    ...changes,
  };
}

export function mixStage(group: number, label: string | null = null): StageOf<"mix"> {
  return { kind: "mix", group, init: { kind: "identity" }, label, span: NO_SPAN };
}

export function softcapStage(limit: number): StageOf<"softcap"> {
  return { kind: "softcap", limit, span: NO_SPAN };
}

export function normStage(changes: Partial<StageOf<"norm">> = {}): StageOf<"norm"> {
  return { kind: "norm", eps: 1e-5, depthScale: false, label: null, span: NO_SPAN, ...changes };
}

export function gateStage(mode: "scalar" | "channel" = "scalar"): StageOf<"gate"> {
  return { kind: "gate", mode, label: null, span: NO_SPAN };
}
