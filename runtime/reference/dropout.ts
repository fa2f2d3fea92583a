import { type DropoutStage, dropoutThreshold } from "../contract/index.ts";
import type { Entry } from "./call.ts";
import { philox } from "./philox.ts";

/**
 * A dropout on a map [H, R + Lq, Lk], or what passes back through it, which is the same: where the word of an entry's place lies
 * below ⌊rate · 2³²⌋ it is 0, elsewhere divided by 1 − rate. The identity where the call gives no seed.
 */
export function dropout(stage: DropoutStage, entry: Entry, source: Float64Array, target: Float64Array): void {
  const { call, batch, firstPosition } = entry;
  const { R, Lq, Lk, pipeline, inputs } = call;
  const seed = inputs.dropoutSeed?.data;
  if (seed === undefined) {
    target.set(source);
    return;
  }
  const key = [(seed[0] ?? 0) >>> 0, (seed[1] ?? 0) >>> 0] as const;
  const threshold = dropoutThreshold(stage);
  let at = 0;
  for (let head = 0; head < pipeline.heads; head += 1) {
    for (let row = 0; row < R + Lq; row += 1) {
      const position = (firstPosition + row) >>> 0;
      for (let column = 0; column < Lk; column += 1, at += 1) {
        const value = source[at] ?? 0;
        // What is not visible is 0 already, and stays so.
        if (value === 0) target[at] = 0;
        else {
          const [word] = philox([column, position, head, batch], key);
          target[at] = word < threshold ? 0 : value / (1 - stage.rate);
        }
      }
    }
  }
}
