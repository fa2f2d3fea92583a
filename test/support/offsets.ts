import {
  type AttentionInputs,
  type Float64Tensor,
  hasMask,
  type Pipeline,
  type Plan,
  type StorageType,
} from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "./draw.ts";
import type { KnownCase } from "./known-case.ts";
import { pipelineOf } from "./pipelines.ts";
import { roundInputs } from "./rounded.ts";

// Rows whose logits share a large offset, which a softmax does not see. q·k and the rest of the bias are multiples of 1/2:
// adding up to 5e5 to them is exact in f32, so that a device has no excuse. Beyond, all the row's logits become the same.

/** The lowest f32, which other frameworks take for "masked": only minus infinity hides (`semantics.md`). */
export const LOWEST_F32 = -3.4028234663852886e38;

/** What every row's bias has in common. */
export const COMMON_OFFSETS = [0, 250, -250, 5e5, -5e5, 1e30, -1e30, LOWEST_F32] as const;

/** The spread of logits that `drawInputs` gives. */
const DRAWN_DEVIATION = 1.5;

const SPECS = {
  plain: "",
  conv: "weights { conv 2x3 }",
  mix: "weights { conv 2x3 mix 2 }",
  sparsemax: "normalize sparsemax weights { conv 2x3 }",
} as const;

export type OffsetSpec = keyof typeof SPECS;
export const OFFSET_SPECS: readonly OffsetSpec[] = ["plain", "conv", "mix", "sparsemax"];

function mapped(
  { shape, data }: Float64Tensor,
  change: (value: number, index: number) => number,
): Float64Tensor {
  return { shape, data: data.map(change) };
}

/** A call whose bias, where it does not hide, has `offset` in every entry, or at every third key; some rows are hidden as a whole. */
export function offsetCase(
  spec: OffsetSpec,
  storage: StorageType,
  offset: number,
  keys: "all" | "third" = "all",
): KnownCase {
  const text = `attention a { heads 2 head_dim 16 scale 0.5 dtype ${storage} mask causal bias ${SPECS[spec]} }`;
  const pipeline = pipelineOf(text, "a");
  const shape = { B: 1, Lq: 37, Lk: 41, R: 2 };
  const parameters = drawParameters(pipeline, 5);
  const drawn = drawInputs(pipeline, shape, false, 6);
  if (drawn.bias === undefined || drawn.qHistory === undefined)
    throw new RangeError("the case has a bias and history");
  const unit = (value: number): number => Math.sign(Math.trunc(value * 2));
  const inputs = roundInputs(
    {
      ...drawn,
      q: mapped(drawn.q, unit),
      qHistory: mapped(drawn.qHistory, unit),
      k: mapped(drawn.k, unit),
      bias: mapped(drawn.bias, (value, index) =>
        roundedSum(Math.round(value * 2) / 2, keys === "all" || (index % shape.Lk) % 3 === 0 ? offset : 0),
      ),
    },
    storage,
  );
  return { pipeline, shape, parameters, inputs, expected: referenceForward(pipeline, parameters, inputs) };
}

/** Where what a row's logits have in common comes from: another for each head, or each row; along one channel of the keys, or several; from the rows of the bias. */
export type OffsetKind = "head" | "row" | "channel" | "channels" | "bias";

/** Those that a pipeline can have. */
export function offsetKinds(pipeline: Pipeline): readonly OffsetKind[] {
  return ["head", "row", "channel", "channels", ...(hasMask(pipeline, "bias") ? (["bias"] as const) : [])];
}

/** What a row's logits have in common, and how far they spread around it. */
export interface Shift {
  readonly kind: OffsetKind;
  readonly offset: number;
  readonly deviation: number;
}

/** Adds about `offset` to all logits of every row, and stretches their spread to `deviation`. */
export function shiftLogits(
  { heads, kvHeads, headDim, scale, storage }: Pipeline,
  inputs: AttentionInputs<Float64Tensor>,
  { kind, offset, deviation }: Shift,
): AttentionInputs<Float64Tensor> {
  const spread = Math.sqrt(deviation / DRAWN_DEVIATION);
  // These channels hold nothing else: what they added to keys would be no common part.
  const along = kind === "bias" ? 0 : kind === "channels" ? headDim / 4 : 1;
  const step = Math.sqrt(Math.abs(offset / scale) / along);
  const shifted = (
    tensor: Float64Tensor,
    count: number,
    share: (head: number, row: number) => number,
  ): Float64Tensor => {
    const rows = tensor.shape[2] ?? 1;
    return mapped(tensor, (value, index) => {
      const row = Math.floor(index / headDim);
      if (index % headDim >= along) return value * spread;
      return step * share(Math.floor(row / rows) % count, row % rows);
    });
  };
  const share = (head: number, row: number): number => {
    const sign = Math.sign(offset) * Math.sign(scale);
    if (kind === "row") return sign * Math.sin(row * 0.7 + head);
    return kind === "head" ? (sign * (1 + (head % 3))) / 3 : sign;
  };
  const query = (tensor: Float64Tensor): Float64Tensor => shifted(tensor, heads, share);
  return roundInputs(
    {
      ...inputs,
      q: query(inputs.q),
      ...(inputs.qHistory === undefined ? {} : { qHistory: query(inputs.qHistory) }),
      k: shifted(inputs.k, kvHeads, () => 1),
      ...(kind === "bias" && inputs.bias !== undefined ? { bias: shiftedRows(inputs.bias, offset) } : {}),
    },
    storage,
  );
}

/**
 * Whether a plan holds the tolerance where logits are shifted. Near borders of the mask, what a convolution, or a mix of which some heads are hidden,
 * leaves in an f16 map differs from its row's reference by as much as rows have in common. Far logits, as close to each other as f16 lets them be,
 * need kernels that keep them in f32.
 */
export function bearsShift({ kernels }: Plan, { deviation }: Shift): boolean {
  return kernels.every(({ program }) => {
    switch (program?.kind) {
      case "tensor_tile": {
        const { sink, conv, references, map } = program;
        if (references === null) return true;
        return deviation === 1 && (conv === null || sink !== "map" || map?.exponentials === true);
      }
      case "tensor_mix": {
        const { references, softmax } = program;
        return references === null || (deviation === 1 && (softmax !== null || !references.apart));
      }
      default:
        return true;
    }
  });
}

/** A bias of whose rows each has another part of an offset. */
function shiftedRows(bias: Float64Tensor, offset: number): Float64Tensor {
  const keys = bias.shape[3] ?? 1;
  return mapped(bias, (value, index) => roundedSum(value, offset * Math.cos(Math.floor(index / keys) * 0.7)));
}

/** Their sum as f32, but finite where the value is. */
function roundedSum(value: number, offset: number): number {
  return value === Number.NEGATIVE_INFINITY ? value : Math.max(Math.fround(value + offset), LOWEST_F32);
}
