import {
  convReach,
  type Initializer,
  type MaskTerm,
  type OutputStage,
  type Pipeline,
  type Plan,
  pointwiseOf,
  type ScoreStage,
  type WeightStage,
} from "../../runtime/contract/index.ts";
import { pointwiseFormula } from "../language/pointwise.ts";
import { plural } from "./units.ts";

/** What stages and plans are, in words: the command line and the language server say the same. */

/** Heads, head sizes, storage and mask, one phrase each. */
export function describeSizes({ heads, kvHeads, headDim, valueDim, storage, mask }: Pipeline): string[] {
  return [
    kvHeads === heads ? plural(heads, "head") : `${plural(heads, "head")} over ${kvHeads} key/value`,
    headDim === valueDim ? `head size ${headDim}` : `head sizes ${headDim} (q, k) and ${valueDim} (v)`,
    storage,
    `mask ${mask.length === 0 ? "none" : describeMask(mask)}`,
  ];
}

export function describeMask(mask: readonly MaskTerm[]): string {
  if (mask.length === 0) return "all";
  return mask.map((term) => (term.kind === "window" ? `window ${term.size}` : term.kind)).join(" and ");
}

export function describeStage(stage: ScoreStage | WeightStage | OutputStage): string {
  switch (stage.kind) {
    case "conv": {
      const { past, future, left, right } = convReach(stage);
      const parts = [
        `${stage.kernel.query}x${stage.kernel.key}`,
        `reads ${plural(past, "row")} back${future > 0 ? ` and ${future} ahead` : ""}, ${plural(left, "key")} left, ${right} right`,
      ];
      if (stage.across > 1) parts.push(`${stage.across} heads jointly`);
      if (stage.dilation.query > 1 || stage.dilation.key > 1)
        parts.push(`dilation ${stage.dilation.query}x${stage.dilation.key}`);
      if (stage.shared) parts.push("one kernel for all groups");
      if (stage.bias !== null) parts.push("bias");
      return parts.join(", ");
    }
    case "mix":
      return `mixes groups of ${plural(stage.group, "head")}`;
    case "dropout":
      return `0 with probability ${stage.rate}, else divided by ${Number((1 - stage.rate).toPrecision(6))}, in calls that give dropout_seed`;
    case "norm":
      return `RMS over each head's values, eps ${stage.eps}${stage.depthScale ? ", times 1 − λ(layer)" : ""}`;
    case "gate":
      return stage.mode === "scalar" ? "one sigmoid gate a head and row" : "one sigmoid gate a channel";
    default:
      return pointwiseFormula(pointwiseOf(stage));
  }
}

export function describeInitializer(init: Initializer): string {
  return init.kind === "normal" ? `normal ${init.std}` : init.kind;
}

/** [0, 1, 2, 5, 7, 8] → "0–2, 5, 7–8". */
export function formatLayers(layers: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const layer of layers) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === layer - 1) last[1] = layer;
    else ranges.push([layer, layer]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}

export function formatKnobs(knobs: Plan["knobs"]): string {
  return Object.entries(knobs)
    .map(([name, value]) => `${name} ${value}`)
    .join("  ");
}
