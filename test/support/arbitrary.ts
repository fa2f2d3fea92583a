import * as fc from "fast-check";
import { resolve } from "../../compiler/ir/index.ts";
import type { Attention } from "../../compiler/language/attention.ts";
import type {
  AttentionInputs,
  CallShape,
  Float64Tensor,
  MaskTerm,
  Pipeline,
  StorageType,
} from "../../runtime/contract/index.ts";
import {
  divisors,
  type Limits,
  NO_SPAN,
  outputStages,
  scoreStages,
  weightStages,
} from "./arbitrary-stages.ts";
import { drawInputs, drawOutputGradient, drawParameters, sinkRows } from "./draw.ts";
import { offsetKinds, type Shift, shiftLogits } from "./offsets.ts";
import { describeAttention } from "./spec-text.ts";

/** A random attention with a call of it: float64 values that its storage type (parameters, bias: f32) holds exactly. */
export interface RandomCase {
  readonly attention: Attention;
  readonly pipeline: Pipeline;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly dO: Float64Tensor;
  readonly layer: number;
  readonly shape: CallShape;
  readonly seed: number;
  /** What rows' logits have in common; null: nothing. */
  readonly shift: Shift | null;
}

/** Narrows what `randomCase` draws. Everything of the language is on by default, at sizes that SwiftShader can bear. */
export interface CaseOptions {
  /** Lk, and Lq with mask `none`. Default 48. */
  readonly maxKeys?: number;
  /** Default 8. */
  readonly maxHeads?: number;
  /** Of head_dim and value_dim. Default 24. */
  readonly maxDim?: number;
  /** head_dim and value_dim are multiples of it. Default 1. */
  readonly dimStep?: number;
  /** Default 3. */
  readonly maxBatch?: number;
  /** Stages a section. Default 3. */
  readonly maxStages?: number;
  readonly storages?: readonly StorageType[];
  readonly normalizers?: readonly Attention["normalize"][];
  /** Default all; `none` is drawn unless `masks` leaves it out. */
  readonly masks?: readonly (MaskTerm["kind"] | "none")[];
  readonly sections?: readonly ("scores" | "weights" | "output")[];
  /** `pad_query both`. Default true. */
  readonly futureRows?: boolean;
  readonly history?: boolean;
  /** Rows of the bias far below all others, but not hidden. Default false: naive formulas and differences fail there. */
  readonly sunkRows?: boolean;
  readonly positions?: boolean;
  /** Rows whose logits have much in common (`shiftLogits`). Default false. */
  readonly shifts?: boolean;
}

const ALL_MASKS: readonly (MaskTerm["kind"] | "none")[] = [
  "causal",
  "window",
  "documents",
  "lengths",
  "bias",
  "none",
];

/** Random attentions over the whole language, with inputs whose logits are of order 1 to 5. */
export function randomCase(options: CaseOptions = {}): fc.Arbitrary<RandomCase> {
  return randomAttention(options).chain((attention) =>
    fc
      .record({
        shape: randomShape(attention, options),
        positions: options.positions === false ? fc.constant(false) : fc.boolean(),
        layer: fc.integer({ min: 0, max: 23 }),
        seed: fc.integer(),
        shift: options.shifts === true ? fc.option(randomShift(), { freq: 2 }) : fc.constant(null),
      })
      .map((drawn) => buildCase(attention, drawn, options.sunkRows ?? false)),
  );
}

/** Random attentions over the whole language, without a call. */
export function randomPipeline(options: CaseOptions = {}): fc.Arbitrary<Pipeline> {
  return randomAttention(options).map((attention) => resolve(attention, "random.mta"));
}

/** A shift of logits, whatever the pipeline: `kind` counts those that it can have. */
interface DrawnShift extends Omit<Shift, "kind"> {
  readonly kind: number;
}

function randomShift(): fc.Arbitrary<DrawnShift> {
  return fc.record({
    kind: fc.nat(99),
    offset: fc
      .record({ size: fc.integer({ min: 20, max: 250 }), below: fc.boolean() })
      .map(({ size, below }) => (below ? -size : size)),
    deviation: fc.constantFrom(1, 10),
  });
}

function shiftOf(pipeline: Pipeline, { kind, ...drawn }: DrawnShift): Shift {
  const kinds = offsetKinds(pipeline);
  return { ...drawn, kind: kinds[kind % kinds.length] ?? "head" };
}

function buildCase(
  attention: Attention,
  drawn: { shape: CallShape; positions: boolean; layer: number; seed: number; shift: DrawnShift | null },
  sunkRows: boolean,
): RandomCase {
  const { shape, layer, seed } = drawn;
  const pipeline = resolve(attention, "random.mta");
  // Query rows beyond the keys exist with mask `none` only, where a row's position means nothing.
  const positions = drawn.positions && shape.Lq <= shape.Lk;
  const plain = { ...drawInputs(pipeline, shape, positions, seed), layer };
  const shift = drawn.shift === null ? null : shiftOf(pipeline, drawn.shift);
  const shifted = shift === null ? plain : { ...shiftLogits(pipeline, plain, shift), layer };
  const inputs = sunkRows ? sinkRows(shifted, seed) : shifted;
  const made: RandomCase = {
    attention,
    pipeline,
    parameters: drawParameters(pipeline, seed),
    inputs,
    dO: drawOutputGradient(pipeline, shape, seed),
    layer,
    shape,
    seed,
    shift,
  };
  const summary = (): string => {
    const call = { ...shape, layer, seed, shift, positions: inputs.positions && [...inputs.positions.data] };
    return `${describeAttention(attention)}// ${JSON.stringify(call)}`;
  };
  // A counterexample prints as a spec and a seed, not as thousands of numbers.
  Object.defineProperty(made, fc.toStringMethod, { value: summary, enumerable: false });
  return made;
}

function randomAttention(options: CaseOptions): fc.Arbitrary<Attention> {
  const { maxHeads = 8, maxDim = 24, dimStep = 1 } = options;
  const sections = options.sections ?? ["scores", "weights", "output"];
  const dimension = fc.integer({ min: 1, max: Math.floor(maxDim / dimStep) }).map((count) => count * dimStep);
  return fc
    .integer({ min: 1, max: maxHeads })
    .chain((heads) => {
      const limits: Limits = {
        heads,
        maxStages: options.maxStages ?? 3,
        futureRows: options.futureRows ?? true,
      };
      const none = fc.constant([]);
      return fc.record({
        name: fc.constant("random_case"),
        heads: fc.constant(heads),
        kvHeads: fc.constantFrom(...divisors(heads)),
        headDim: dimension,
        valueDim: dimension,
        scale: fc.constantFrom(0.125, 0.25, 1, 1.5, -0.5),
        dtype: fc.constantFrom(...(options.storages ?? (["f32", "f16", "bf16"] as const))),
        mask: randomMask(options),
        normalize: fc.constantFrom(
          ...(options.normalizers ?? (["softmax", "softmax", "sparsemax"] as const)),
        ),
        scores: sections.includes("scores") ? scoreStages(limits) : none,
        weights: sections.includes("weights") ? weightStages(limits) : none,
        output: sections.includes("output") ? outputStages() : none,
        span: fc.constant(NO_SPAN),
      });
    })
    .map(tamed);
}

/** A norm over few channels with a tiny eps is close to a step function of o, which no precision computes well. */
function tamed(attention: Attention): Attention {
  if (attention.valueDim >= 4) return attention;
  const output = attention.output.map((stage) => (stage.kind === "norm" ? { ...stage, eps: 0.01 } : stage));
  return { ...attention, output };
}

function randomMask(options: CaseOptions): fc.Arbitrary<MaskTerm[]> {
  const { maxKeys = 48, masks = ALL_MASKS } = options;
  const terms = masks.filter((kind) => kind !== "none");
  const minLength = masks.includes("none") ? 0 : Math.min(1, terms.length);
  const kinds: fc.Arbitrary<MaskTerm["kind"][]> = fc.oneof(
    { weight: 3, arbitrary: fc.subarray([...terms], { minLength }) },
    // Most attentions are just causal; a subset of all terms hardly ever is.
    { weight: terms.includes("causal") ? 1 : 0, arbitrary: fc.constant<MaskTerm["kind"][]>(["causal"]) },
  );
  return fc
    .record({ kinds, size: fc.integer({ min: 1, max: maxKeys + 4 }) })
    .map((drawn) =>
      drawn.kinds.map((kind): MaskTerm => (kind === "window" ? { kind, size: drawn.size } : { kind })),
    );
}

/** Lq ≤ Lk unless nothing is masked; R ≤ p0; lengths of 1 and 2 as likely as long ones. */
function randomShape(attention: Attention, options: CaseOptions): fc.Arbitrary<CallShape> {
  const { maxKeys = 48, maxBatch = 3 } = options;
  const length = (max: number): fc.Arbitrary<number> =>
    fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 1, max }) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: Math.min(3, max) }) },
    );
  return fc.record({ B: fc.integer({ min: 1, max: maxBatch }), Lk: length(maxKeys) }).chain(({ B, Lk }) =>
    fc.oneof(length(attention.mask.length === 0 ? maxKeys : Lk), fc.constant(Lk)).chain((Lq) => {
      const before = options.history === false ? 0 : Math.max(0, Lk - Lq);
      return fc.record({
        B: fc.constant(B),
        Lq: fc.constant(Lq),
        Lk: fc.constant(Lk),
        R: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: before })),
      });
    }),
  );
}
