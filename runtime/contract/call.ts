import type { CallSize } from "./expand.ts";
import type { CallField } from "./launch.ts";
import type { Layout } from "./layout.ts";
import { depthScale } from "./pipeline.ts";
import type { Plan, Schedule } from "./plan.ts";
import { BYTES_PER_ELEMENT } from "./storage.ts";
import type { AttentionInputs, CallShape } from "./tensor.ts";

export type IntegerInput = "positions" | "lengths" | "documents";

/** The integer inputs, in the order in which they follow the parameters where they do. */
export const INTEGER_INPUTS: readonly IntegerInput[] = ["positions", "lengths", "documents"];

export type CallValues = Readonly<Record<CallField, number>>;

/**
 * The call's part of the launch block.
 *
 * @param offsets Words from the start of the `parameters` buffer to the integer inputs that lie in it.
 */
export function callValues(
  plan: Plan,
  size: CallSize,
  inputs: AttentionInputs<Layout>,
  o: Layout,
  offsets: Readonly<Partial<Record<IntegerInput, number>>> = {},
): CallValues {
  const { q, k, v, qHistory, bias, layer } = inputs;
  const { Lq, Lk, R, positions } = size;
  const stride = (tensor: Layout | undefined, axis: number): number => {
    // An axis of one element has no second one; kernels that add its stride to a broadcast index must find 0.
    if (tensor === undefined || (tensor.shape[axis] ?? 1) === 1) return 0;
    return tensor.strides[axis] ?? 0;
  };
  const scaled = plan.pipeline.output.some((stage) => stage.kind === "norm" && stage.depthScale);
  return {
    query_rows: Lq,
    key_rows: Lk,
    history_rows: R,
    q_stride_b: stride(q, 0),
    q_stride_h: stride(q, 1),
    q_stride_l: stride(q, 2),
    q_history_stride_b: stride(qHistory, 0),
    q_history_stride_h: stride(qHistory, 1),
    q_history_stride_l: stride(qHistory, 2),
    k_stride_b: stride(k, 0),
    k_stride_h: stride(k, 1),
    k_stride_l: stride(k, 2),
    v_stride_b: stride(v, 0),
    v_stride_h: stride(v, 1),
    v_stride_l: stride(v, 2),
    o_stride_b: stride(o, 0),
    o_stride_h: stride(o, 1),
    o_stride_l: stride(o, 2),
    bias_stride_b: stride(bias, 0),
    bias_stride_h: stride(bias, 1),
    bias_stride_l: stride(bias, 2),
    has_positions: positions ? 1 : 0,
    positions_at: offsets.positions ?? 0,
    lengths_at: offsets.lengths ?? 0,
    documents_at: offsets.documents ?? 0,
    depth_scale: scaled && layer !== undefined ? depthScale(layer) : 1,
  };
}

/** Bytes of the result o, which no call can do without. */
export function outputBytes({ pipeline: { heads, valueDim, storage } }: Plan, { B, Lq }: CallShape): number {
  return B * heads * Lq * valueDim * BYTES_PER_ELEMENT[storage];
}

/** What a call costs in memory and dispatches. */
export interface CallFootprint {
  readonly schedule: Schedule;
  /** Whether the plan is one that was measured to be the fastest on this device, at shapes near the call's. */
  readonly tuned: boolean;
  /** Number of dispatches. */
  readonly kernels: number;
  /** Bytes that the call holds at its peak: inputs, outputs, parameters, workspace, uniform blocks, pool rounding included. */
  readonly peakBytes: number;
  /** Bytes that no implementation can do without: the inputs given, o and the parameters. */
  readonly compulsoryBytes: number;
  /** `peakBytes` − `compulsoryBytes`. */
  readonly workspaceBytes: number;
}

export interface CallStatistics extends CallFootprint {
  /** From the first command to the end of the last one, compilation left out. */
  readonly wallMs: number;
  /** Time in kernels; null without `timestamps` or where the device cannot tell. */
  readonly deviceMs: number | null;
}

/** Shapes of calls to come, for `prepare`. */
export interface PrepareSize {
  /** Batch entries. */
  readonly B: number;
  /** Query rows. */
  readonly Lq: number;
  /** Keys. */
  readonly Lk: number;
  /** Rows of `qHistory`: 0 if not given. */
  readonly R?: number;
  /** Whether the calls give `positions`: not, if not given. */
  readonly positions?: boolean;
}

/** One entry a run. */
export interface Timing {
  readonly wallMs: readonly number[];
  /** null where the device cannot tell. */
  readonly deviceMs: readonly (number | null)[];
  readonly footprint: CallFootprint;
}
