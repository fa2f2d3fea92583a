import * as fc from "fast-check";
import type { Attention, Span, StageOf } from "../../compiler/language/attention.ts";
import { POINTWISE, POINTWISE_KINDS } from "../../compiler/language/pointwise.ts";
import type { Initializer } from "../../runtime/contract/index.ts";

export const NO_SPAN: Span = { start: 0, end: 0, line: 1, column: 1 };

export interface Limits {
  readonly heads: number;
  readonly maxStages: number;
  readonly futureRows: boolean;
}

export function divisors(of: number): number[] {
  return Array.from({ length: of }, (_, index) => index + 1).filter((candidate) => of % candidate === 0);
}

type MapStage = StageOf<"conv" | "mix">;

const INIT: Initializer = { kind: "identity" };

/** Stages of `scores`, pointwise ones among them: none to `maxStages`, several convolutions in a row included. */
export function scoreStages(limits: Limits): fc.Arbitrary<Attention["scores"][number][]> {
  return mapStages(limits, pointwiseStage());
}

/** The same of `weights`, dropouts among them. */
export function weightStages(limits: Limits): fc.Arbitrary<Attention["weights"][number][]> {
  return mapStages(limits, dropoutStage());
}

function mapStages<Other extends Attention["scores" | "weights"][number]>(
  limits: Limits,
  other: fc.Arbitrary<Other>,
): fc.Arbitrary<(MapStage | Other)[]> {
  const stage = fc.oneof(
    { weight: 3, arbitrary: convStage(limits) },
    { weight: 2, arbitrary: mixStage(limits) },
    { weight: 1, arbitrary: other },
  );
  const size = { maxLength: limits.maxStages };
  // Labels from a few letters collide, and colliding names are no attention.
  return fc.array(stage, size).map((stages) => stages.map((each, index) => relabelled(each, index)));
}

function dropoutStage(): fc.Arbitrary<StageOf<"dropout">> {
  return fc.record({
    kind: fc.constant("dropout" as const),
    rate: fc.constantFrom(0, 0.1, 0.5),
    span: fc.constant(NO_SPAN),
  });
}

function relabelled<Stage extends Attention["scores" | "weights"][number]>(
  stage: Stage,
  index: number,
): Stage {
  if (!("label" in stage) || stage.label === null) return stage;
  return { ...stage, label: `${stage.label}${index}` };
}

function label(): fc.Arbitrary<string | null> {
  return fc.option(fc.constantFrom("local", "wide", "near"), { freq: 3 });
}

/** Kernel sizes: small, the paper's, tall or wide ones, and ones longer than most sequences drawn. */
function kernelSize(): fc.Arbitrary<{ query: number; key: number }> {
  const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
  return fc.oneof(
    { weight: 4, arbitrary: fc.record({ query: size(4), key: size(5) }) },
    { weight: 2, arbitrary: fc.record({ query: size(6), key: size(11) }) },
    { weight: 1, arbitrary: fc.record({ query: fc.constant(6), key: fc.constant(11) }) },
    { weight: 1, arbitrary: fc.record({ query: size(2), key: fc.integer({ min: 12, max: 63 }) }) },
    { weight: 1, arbitrary: fc.record({ query: fc.integer({ min: 7, max: 20 }), key: size(2) }) },
  );
}

function convStage(limits: Limits): fc.Arbitrary<StageOf<"conv">> {
  return fc
    .record({
      kind: fc.constant("conv" as const),
      kernel: kernelSize(),
      padKey: fc.constantFrom("both" as const, "left" as const, "right" as const),
      padQuery: limits.futureRows
        ? fc.constantFrom("past" as const, "past" as const, "both" as const)
        : fc.constant("past" as const),
      across: fc.constantFrom(1, ...divisors(limits.heads)),
      dilation: fc.oneof(
        { weight: 2, arbitrary: fc.constant({ query: 1, key: 1 }) },
        {
          weight: 1,
          arbitrary: fc.record({
            query: fc.integer({ min: 1, max: 3 }),
            key: fc.integer({ min: 1, max: 3 }),
          }),
        },
      ),
      bias: fc.boolean(),
      shared: fc.boolean(),
      init: fc.constant(INIT),
      label: label(),
      span: fc.constant(NO_SPAN),
    })
    .map(({ kernel, ...rest }) => ({
      ...rest,
      // `both` needs a middle tap.
      query: rest.padQuery === "both" ? kernel.query | 1 : kernel.query,
      key: rest.padKey === "both" ? kernel.key | 1 : kernel.key,
    }));
}

function mixStage(limits: Limits): fc.Arbitrary<StageOf<"mix">> {
  return fc.record({
    kind: fc.constant("mix" as const),
    group: fc.constantFrom(...divisors(limits.heads)),
    init: fc.constant(INIT),
    label: label(),
    span: fc.constant(NO_SPAN),
  });
}

/** Any stage of the language's table; its number, where it takes one, changes the scores little, clearly or wholly. */
function pointwiseStage(): fc.Arbitrary<Attention["scores"][number]> {
  return fc
    .record({ kind: fc.constantFrom(...POINTWISE_KINDS), operand: fc.constantFrom(1.5, 4, 30) })
    .map(({ kind, operand }) => ({ ...POINTWISE[kind].make(operand), span: NO_SPAN }));
}

/** Any of nothing, norm, gate, both in either order. */
export function outputStages(): fc.Arbitrary<StageOf<"norm" | "gate">[]> {
  const norm: fc.Arbitrary<StageOf<"norm" | "gate">> = fc.record({
    kind: fc.constant("norm" as const),
    eps: fc.constantFrom(1e-5, 1e-2),
    depthScale: fc.boolean(),
    label: label(),
    span: fc.constant(NO_SPAN),
  });
  const gate: fc.Arbitrary<StageOf<"norm" | "gate">> = fc.record({
    kind: fc.constant("gate" as const),
    mode: fc.constantFrom("scalar" as const, "channel" as const),
    label: fc.constant(null),
    span: fc.constant(NO_SPAN),
  });
  return fc.record({ norm, gate, order: fc.constantFrom("", "n", "g", "ng", "gn") }).map((drawn) => {
    const stages = { n: drawn.norm, g: drawn.gate };
    return [...drawn.order].map((letter) => (letter === "n" ? stages.n : stages.g));
  });
}
