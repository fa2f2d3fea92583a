import type { CallSize } from "./expand.ts";
import type { CallField, LaunchValues } from "./launch.ts";
import type { Layout } from "./layout.ts";
import { depthScale, usesLayer } from "./pipeline.ts";
import type { Plan, Schedule } from "./plan.ts";
import { ALL_STRIDED_TENSORS } from "./resources.ts";
import type { AttentionInputs } from "./tensor.ts";

const STRIDE_AXES = ["b", "h", "l"] as const;

/**
 * The call's part of the launch block, but for the places of integer inputs that follow the parameters.
 *
 * @param layoutOf The call's tensors, inputs and results, by resource name.
 */
export function callValues(
  plan: Plan,
  { Lq, Lk, R, positions, valuesKept = false }: CallSize,
  { layer }: Pick<AttentionInputs<Layout>, "layer">,
  layoutOf: (name: string) => Layout | undefined,
): LaunchValues {
  const scaled = usesLayer(plan.pipeline);
  const values: Partial<Record<CallField, number>> = {
    query_rows: Lq,
    key_rows: Lk,
    history_rows: R,
    keeps_values: valuesKept ? 1 : 0,
    has_positions: positions ? 1 : 0,
    depth_scale: scaled && layer !== undefined ? depthScale(layer) : 1,
  };
  for (const { name } of ALL_STRIDED_TENSORS) {
    const given = layoutOf(name);
    if (given === undefined) continue;
    STRIDE_AXES.forEach((letter, axis) => {
      // An axis of one element has no second one; kernels that add its stride to a broadcast index must find 0.
      const stride = given.shape[axis] === 1 ? 0 : given.strides[axis];
      values[`${name}_stride_${letter}`] = stride ?? 0;
    });
  }
  return values;
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
  /** Bytes that no implementation can do without: the inputs given, o or the gradients, and the parameters. */
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
  /** Whether the calls give `dropoutSeed`: not, if not given. */
  readonly dropout?: boolean;
  /** Whether `backward` follows: then what it needs is prepared, too. Not, if not given. */
  readonly backward?: boolean;
}

/** One entry a run. */
export interface Timing {
  readonly wallMs: readonly number[];
  /** null where the device cannot tell. */
  readonly deviceMs: readonly (number | null)[];
  readonly footprint: CallFootprint;
}
