import {
  convReach,
  hasMask,
  type Pipeline,
  type Pointwise,
  type Reach,
} from "../../../runtime/contract/index.ts";
import {
  type ConvOp,
  type DotOp,
  type DropoutOp,
  graphOf,
  type LinearOp,
  type MixOp,
  NO_REACH,
  type NormalizeOp,
} from "../graph.ts";

/** What passes through a step: a number for each map; what lies in them changes where a step works in place. */
type MapNumber = number;

interface AnyStep {
  /** Rows around a strip for which it computes its result. */
  readonly rows: Reach;
}

/**
 * A step of a backward pass over a strip. Forward maps are made again as a forward pass makes them; `d` is the map that holds the gradient
 * of one of them.
 */
export type BackwardStep =
  | (AnyStep & { readonly kind: "scores"; readonly op: DotOp; readonly to: MapNumber })
  | (AnyStep & {
      readonly kind: "conv";
      readonly op: ConvOp;
      readonly from: MapNumber;
      readonly to: MapNumber;
    })
  | (AnyStep & { readonly kind: "mix"; readonly op: MixOp; readonly from: MapNumber; readonly to: MapNumber })
  | (AnyStep & {
      readonly kind: "pointwise";
      readonly op: DotOp | LinearOp;
      readonly stages: readonly Pointwise[];
      readonly from: MapNumber;
      readonly to: MapNumber;
    })
  | (AnyStep & {
      readonly kind: "dropout";
      readonly op: DropoutOp;
      readonly from: MapNumber;
      readonly to: MapNumber;
    })
  | (AnyStep & { readonly kind: "dropout_adjoint"; readonly op: DropoutOp; readonly d: MapNumber })
  | (AnyStep & { readonly kind: "normalize"; readonly op: NormalizeOp; readonly map: MapNumber })
  /** Weights times v: what the output's stages were given. */
  | (AnyStep & { readonly kind: "values"; readonly from: MapNumber })
  /** The gradient of what the output's stages were given. */
  | (AnyStep & { readonly kind: "output_adjoint" })
  /** That, times v. */
  | (AnyStep & { readonly kind: "weights_gradient"; readonly d: MapNumber })
  | (AnyStep & { readonly kind: "value_gradient"; readonly from: MapNumber })
  | (AnyStep & {
      readonly kind: "conv_gradient";
      readonly op: ConvOp;
      readonly from: MapNumber;
      readonly d: MapNumber;
    })
  | (AnyStep & {
      readonly kind: "mix_gradient";
      readonly op: MixOp;
      readonly from: MapNumber;
      readonly d: MapNumber;
    })
  | (AnyStep & {
      readonly kind: "conv_adjoint";
      readonly op: ConvOp;
      readonly d: MapNumber;
      readonly to: MapNumber;
    })
  | (AnyStep & {
      readonly kind: "mix_adjoint";
      readonly op: MixOp;
      readonly d: MapNumber;
      readonly to: MapNumber;
    })
  | (AnyStep & { readonly kind: "normalize_adjoint"; readonly weights: MapNumber; readonly d: MapNumber })
  /** What the scores were given last: the gradient of the bias is that of the scores that it is added to. */
  | (AnyStep & { readonly kind: "bias_gradient"; readonly d: MapNumber })
  | (AnyStep & {
      readonly kind: "pointwise_adjoint";
      readonly op: DotOp | LinearOp;
      readonly stages: readonly Pointwise[];
      readonly from: MapNumber;
      readonly d: MapNumber;
    })
  | (AnyStep & { readonly kind: "query_gradient"; readonly d: MapNumber })
  | (AnyStep & { readonly kind: "key_gradient"; readonly d: MapNumber });

/** An operation that makes a map of another, or the first one. */
type MapOp = DotOp | LinearOp | DropoutOp;

function reachOf(op: MapOp): Reach {
  return op.kind === "conv" ? convReach(op.stage) : NO_REACH;
}

/** Rows that are read for some rows. */
function widened(rows: Reach, past: number, future: number): Reach {
  return { ...rows, past: rows.past + past, future: rows.future + future };
}

function both(a: Reach, b: Reach): Reach {
  return { ...a, past: Math.max(a.past, b.past), future: Math.max(a.future, b.future) };
}

/** What a backward pass does, and how far it reaches. */
export interface BackwardGraph {
  readonly steps: readonly BackwardStep[];
  /** How far the mask is looked at around the strip whose gradients are computed: rows of any map. */
  readonly reach: Reach;
  /** Rows of history on which o depends. */
  readonly history: number;
}

/** Around a strip: rows of a gradient's map, and of the map whose gradient it is. */
interface Rows {
  readonly gradient: Reach;
  readonly made: Reach;
}

/**
 * Rows of the maps that operations give, in their order. An entry's gradient comes from the rows that have read it, so gradients reach the
 * other way than operations do; forward maps are made where a gradient, or a map after them, is made of them.
 */
function rowsOfMaps(pipeline: Pipeline, ops: readonly MapOp[], scores: number): readonly Rows[] {
  const gradients: Reach[] = [];
  let gradient = NO_REACH;
  for (const op of ops) {
    const { past, future } = reachOf(op);
    gradient = widened(gradient, future, past);
    gradients.push(gradient);
  }
  const rows: Rows[] = [];
  // Of the weights that are multiplied with v: the strip's own for the gradient of v, all where the output's stages are computed again.
  let needed = pipeline.output.length > 0 ? gradient : NO_REACH;
  for (let index = ops.length - 1; index >= 0; index--) {
    const op = ops[index];
    const own = gradients[index];
    if (op === undefined || own === undefined) break;
    // The softmax passes gradients back by its weights. What is made for these holds the rows of all slopes before it, too.
    const made = index === scores ? both(needed, own) : needed;
    rows.unshift({ gradient: own, made });
    const { past, future } = reachOf(op);
    needed = both(NO_REACH, widened(made, past, future));
  }
  return rows;
}

/** An operation with the numbers of its maps. */
interface Recomputed {
  readonly op: MapOp;
  readonly rows: Rows;
  readonly from: MapNumber;
  readonly raw: MapNumber;
  readonly to: MapNumber;
}

/**
 * The adjoint of a pipeline: gradients pass back through its operations in reverse; the gradient of an operation's parameters correlates what
 * it was given with the gradient of what it gave, cut by rows of the former, so that each pair of rows counts in one strip.
 */
export function backwardGraph(pipeline: Pipeline): BackwardGraph {
  const { dot, scores, normalize, weights } = graphOf(pipeline);
  const ops = [dot, ...scores, ...weights];
  const rows = rowsOfMaps(pipeline, ops, scores.length);
  let count = 0;
  const fresh = (): MapNumber => count++;
  const steps: BackwardStep[] = [];
  let current: MapNumber = -1;
  const recomputed = ops.map((op, index): Recomputed => {
    const own = rows[index] ?? { gradient: NO_REACH, made: NO_REACH };
    const from = current;
    const raw = fresh();
    if (op.kind === "dot") steps.push({ kind: "scores", op, rows: own.made, to: raw });
    else if (op.kind === "conv") steps.push({ kind: "conv", op, rows: own.made, from, to: raw });
    else if (op.kind === "mix") steps.push({ kind: "mix", op, rows: own.made, from, to: raw });
    else steps.push({ kind: "dropout", op, rows: own.made, from, to: raw });
    current = raw;
    if (op.kind !== "dropout" && op.pointwise.length > 0) {
      current = fresh();
      const stages = op.pointwise;
      steps.push({ kind: "pointwise", op, stages, rows: own.made, from: raw, to: current });
    }
    if (index === scores.length)
      steps.push({ kind: "normalize", op: normalize, rows: own.made, map: current });
    return { op, rows: own, from, raw, to: current };
  });
  steps.push(...adjointSteps(pipeline, recomputed, scores.length, fresh));
  const reach = steps.reduce((widest, step) => both(widest, step.rows), NO_REACH);
  const pasts = ops.reduce((sum, op) => sum + reachOf(op).past, 0);
  return { steps, reach, history: pasts };
}

function adjointSteps(
  pipeline: Pipeline,
  ops: readonly Recomputed[],
  scores: number,
  fresh: () => MapNumber,
): readonly BackwardStep[] {
  const last = ops.at(-1);
  if (last === undefined) return [];
  const steps: BackwardStep[] = [];
  const { gradient } = last.rows;
  if (pipeline.output.length > 0) steps.push({ kind: "values", rows: gradient, from: last.to });
  steps.push({ kind: "output_adjoint", rows: gradient });
  // Before anything that may take the place of the weights.
  steps.push({ kind: "value_gradient", rows: NO_REACH, from: last.to });
  let d = fresh();
  steps.push({ kind: "weights_gradient", rows: gradient, d });
  for (let index = ops.length - 1; index >= 0; index--) {
    const each = ops[index];
    if (each === undefined) break;
    const { op, rows, from, raw, to } = each;
    if (index === scores) {
      steps.push({ kind: "normalize_adjoint", rows: rows.gradient, weights: to, d });
      if (hasMask(pipeline, "bias")) steps.push({ kind: "bias_gradient", rows: NO_REACH, d });
    }
    if (op.kind === "dropout") {
      steps.push({ kind: "dropout_adjoint", op, rows: rows.gradient, d });
      continue;
    }
    if (op.pointwise.length > 0)
      steps.push({ kind: "pointwise_adjoint", op, stages: op.pointwise, rows: rows.gradient, from: raw, d });
    if (op.kind === "dot") break;
    const before = ops[index - 1]?.rows.gradient ?? NO_REACH;
    const passed = fresh();
    if (op.kind === "conv")
      steps.push(
        { kind: "conv_gradient", op, rows: NO_REACH, from, d },
        { kind: "conv_adjoint", op, rows: before, d, to: passed },
      );
    else
      steps.push(
        { kind: "mix_gradient", op, rows: NO_REACH, from, d },
        { kind: "mix_adjoint", op, rows: before, d, to: passed },
      );
    d = passed;
  }
  steps.push({ kind: "query_gradient", rows: NO_REACH, d }, { kind: "key_gradient", rows: NO_REACH, d });
  return steps;
}

/** The maps that a step reads, and the one that it makes or changes; null where it makes none. */
export function mapsOf(step: BackwardStep): {
  readonly reads: readonly MapNumber[];
  readonly writes: MapNumber | null;
} {
  switch (step.kind) {
    case "scores":
      return { reads: [], writes: step.to };
    case "conv":
    case "mix":
    case "pointwise":
    case "dropout":
      return { reads: [step.from], writes: step.to };
    case "normalize":
      return { reads: [step.map], writes: step.map };
    case "dropout_adjoint":
      return { reads: [step.d], writes: step.d };
    case "values":
    case "value_gradient":
      return { reads: [step.from], writes: null };
    case "output_adjoint":
      return { reads: [], writes: null };
    case "weights_gradient":
      return { reads: [], writes: step.d };
    case "conv_gradient":
    case "mix_gradient":
      return { reads: [step.from, step.d], writes: null };
    case "conv_adjoint":
    case "mix_adjoint":
      return { reads: [step.d], writes: step.to };
    case "normalize_adjoint":
      return { reads: [step.weights, step.d], writes: step.d };
    case "pointwise_adjoint":
      return { reads: [step.from, step.d], writes: step.d };
    case "bias_gradient":
    case "query_gradient":
    case "key_gradient":
      return { reads: [step.d], writes: null };
  }
}
