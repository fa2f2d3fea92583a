import { floorMultiplyAdds } from "../../../../compiler/ir/floors.ts";
import { formatBytes, formatMilliseconds } from "../../../../compiler/report/units.ts";
import type { Pipeline } from "../../../../runtime/contract/index.ts";
import type { RunSettings } from "../state/settings.ts";

/** What the float64 reference will take, and whether that is too much for a page. */
export interface Estimate {
  readonly milliseconds: number;
  readonly bytes: number;
  readonly verdict: "fine" | "long" | "too much";
  /** For people; null where there is nothing to say. */
  readonly message: string | null;
}

/** Multiply-adds of the reference in a millisecond, on a processor of these years: it is plain loops in float64. */
const RATE = 400_000;

/** Maps [H, Lq, Lk] of float64 that it holds at once; with gradients the input of each stage, too. */
const LIVE_MAPS = 3;

/** What gradients take, of the forward pass's time: two products for each of its own, and that itself. */
const WITH_GRADIENTS = 3;

const LONG_MS = 8_000;
const MOST_MS = 300_000;
const MOST_BYTES = 1.5 * 2 ** 30;

export function estimateReference(
  pipeline: Pipeline,
  { batch, rows, keys, gradients }: RunSettings,
): Estimate {
  const shape = { B: batch, Lq: rows, Lk: keys, R: 0 };
  const milliseconds = ((gradients ? WITH_GRADIENTS : 1) * floorMultiplyAdds(pipeline, shape)) / RATE;
  const kept = gradients ? pipeline.scores.length + pipeline.weights.length : 0;
  const bytes = (LIVE_MAPS + kept) * 8 * pipeline.heads * rows * keys;
  const cost = `about ${formatMilliseconds(milliseconds)} and ${formatBytes(bytes)} of memory`;
  if (milliseconds > MOST_MS || bytes > MOST_BYTES)
    return {
      milliseconds,
      bytes,
      verdict: "too much",
      message: `The float64 reference would take ${cost}: choose fewer rows, keys or batch entries.`,
    };
  if (milliseconds > LONG_MS)
    return {
      milliseconds,
      bytes,
      verdict: "long",
      message: `The float64 reference will take ${cost}; it can be cancelled.`,
    };
  return { milliseconds, bytes, verdict: "fine", message: null };
}
