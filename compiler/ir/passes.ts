import type { Pipeline } from "../../runtime/contract/index.ts";
import type { Attention } from "../language/attention.ts";
import { lower } from "./lower.ts";
import { MASK_ORDER, verifyPipeline } from "./verify.ts";

/** A step from pipeline to pipeline that keeps what `semantics.md` says of it: results, gradients, inputs, parameters. */
export interface Pass {
  readonly name: string;
  readonly run: (pipeline: Pipeline) => Pipeline;
}

/**
 * After `lower`, in this order. It is short on purpose: whatever looks removable is observable. An identity-initialised
 * convolution has a gradient, a wide window meets sequences that no spec bounds, a 1x1 kernel still scales.
 */
export const PASSES: readonly Pass[] = [{ name: "canonical-mask", run: canonicalMask }];

/** A mask is a conjunction: one order of its terms makes equal masks equal plans, and equal kernels. */
function canonicalMask(pipeline: Pipeline): Pipeline {
  const rank = (kind: Pipeline["mask"][number]["kind"]): number => MASK_ORDER.indexOf(kind);
  return { ...pipeline, mask: pipeline.mask.toSorted((left, right) => rank(left.kind) - rank(right.kind)) };
}

/** Lowers a checked attention and runs all passes, the pipeline verified after each. */
export function resolve(attention: Attention, file: string): Pipeline {
  let pipeline = lower(attention, file);
  verifyPipeline(pipeline, { pass: "lower", canonical: false });
  for (const pass of PASSES) {
    pipeline = pass.run(pipeline);
    verifyPipeline(pipeline, { pass: pass.name, canonical: false });
  }
  verifyPipeline(pipeline);
  return pipeline;
}
