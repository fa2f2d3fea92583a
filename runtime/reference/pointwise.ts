import { type Pointwise, type PointwiseStage, pointwiseOf } from "../contract/index.ts";

/** One entry's function, and its derivative there. */
interface EntryFunction<Stage> {
  value(entry: number, stage: Stage): number;
  slope(entry: number, stage: Stage): number;
}

/** Every function has value 0 at 0, so that what is hidden need not be hidden again. */
const FUNCTIONS: { readonly [Kind in Pointwise["kind"]]: EntryFunction<Extract<Pointwise, { kind: Kind }>> } =
  {
    // X · tanh(s / X), and 1 − tanh².
    softcap: {
      value: (entry, { limit }) => limit * Math.tanh(entry / limit),
      slope: (entry, { limit }) => 1 - Math.tanh(entry / limit) ** 2,
    },
  };

/** A pointwise stage on a map. */
export function pointwise(stage: PointwiseStage, source: Float64Array): Float64Array {
  const { value } = functionOf(pointwiseOf(stage));
  return source.map(value);
}

/** Adjoint of `pointwise`: the slope times dY. */
export function pointwiseAdjoint(
  stage: PointwiseStage,
  source: Float64Array,
  dTarget: Float64Array,
): Float64Array {
  const { slope } = functionOf(pointwiseOf(stage));
  return dTarget.map((gradient, index) => gradient * slope(source[index] ?? 0));
}

function functionOf(stage: Pointwise): Record<"value" | "slope", (entry: number) => number> {
  return bound(FUNCTIONS[stage.kind], stage);
}

function bound<Stage>(
  { value, slope }: EntryFunction<Stage>,
  stage: Stage,
): Record<"value" | "slope", (entry: number) => number> {
  return { value: (entry) => value(entry, stage), slope: (entry) => slope(entry, stage) };
}
