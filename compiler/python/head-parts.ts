import type { Pipeline } from "../../runtime/contract/index.ts";
import { headsTogether } from "../../runtime/contract/pipeline.ts";

/**
 * Over how many processes an attention's heads can be spread, each with as many: heads that a mix, a convolution or a shared key head joins stay together.
 * Ascending, without 1.
 */
export function partCounts(pipeline: Pipeline): readonly number[] {
  const { heads, kvHeads } = pipeline;
  const group = headsTogether(pipeline);
  return Array.from({ length: kvHeads }, (_, index) => index + 1).filter(
    (count) => count > 1 && kvHeads % count === 0 && heads % (count * group) === 0,
  );
}

/** Parameters whose first axis goes along the heads, or groups of them; all heads share the others. */
export function parametersByHeads({ scores, weights }: Pipeline): ReadonlySet<string> {
  const names = [...scores, ...weights].flatMap((stage) => {
    if (stage.kind === "mix") return [stage.weight];
    return stage.kind === "conv" && !stage.shared ? [stage.weight, stage.bias] : [];
  });
  return new Set(names.filter((name) => name !== null));
}

/** What one of so many processes computes: the attention with its share of the heads. */
export function headPart(pipeline: Pipeline, count: number): Pipeline {
  const byHeads = parametersByHeads(pipeline);
  const parameters = pipeline.parameters.map((parameter) => {
    const [first = 1, ...rest] = parameter.shape;
    return byHeads.has(parameter.name) ? { ...parameter, shape: [first / count, ...rest] } : parameter;
  });
  return { ...pipeline, heads: pipeline.heads / count, kvHeads: pipeline.kvHeads / count, parameters };
}
