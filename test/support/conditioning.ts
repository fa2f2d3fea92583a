import type { Float64Tensor } from "../../runtime/contract/index.ts";
import { entryOf, prepareCall } from "../../runtime/reference/call.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { sightEntry } from "../../runtime/reference/visibility.ts";
import type { RandomCase } from "./arbitrary.ts";

/**
 * How far the logits of a sparsemax stay from the edge of its support, max(z − τ, 0): the least |z − τ| over all visible
 * entries; ∞ for softmax. Gradients jump at the edge, so that f32 and float64 may differ there without an error:
 * properties that compare gradients do well to ask for a margin.
 */
export function sparsemaxMargin(drawn: RandomCase): number {
  const { pipeline, parameters, inputs } = drawn;
  if (pipeline.normalize !== "sparsemax") return Number.POSITIVE_INFINITY;
  const call = prepareCall(pipeline, parameters, inputs);
  const before = pipeline.scores.at(-1)?.name ?? "scores";
  let logits: Float64Tensor = { shape: [], data: new Float64Array() };
  let margin = Number.POSITIVE_INFINITY;
  const trace = (name: string, batch: number, map: Float64Tensor): void => {
    if (name === before) logits = map;
    if (name !== "sparsemax") return;
    const { sight, bias } = entryOf(call, batch);
    for (let head = 0; head < sight.heads; head += 1) {
      for (let row = 0; row < sight.rows; row += 1) {
        const start = (head * sight.rows + row) * sight.keys;
        const biasStart = bias === null ? 0 : bias.start + head * bias.headStride + row * sight.keys;
        const bits = sightEntry(sight, head, row) * sight.keys;
        const keys = [...Array(sight.keys).keys()].filter((key) => sight.bits[bits + key] === 1);
        const z = keys.map((key) => (logits.data[start + key] ?? 0) + (bias?.data[biasStart + key] ?? 0));
        const p = keys.map((key) => map.data[start + key] ?? 0);
        const inside = p.findIndex((weight) => weight > 0);
        const threshold = (z[inside] ?? 0) - (p[inside] ?? 0);
        for (const logit of z) margin = Math.min(margin, Math.abs(logit - threshold));
      }
    }
  };
  referenceForward(pipeline, parameters, inputs, { trace });
  return margin;
}
