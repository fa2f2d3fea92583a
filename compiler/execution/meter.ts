import type { CallFootprint, CallStatistics } from "../../runtime/contract/call.ts";
import type { Float64Tensor, Pipeline, Plan } from "../../runtime/contract/index.ts";
import type { Machine } from "../plan/index.ts";
import type { MeteredTarget } from "../targets.ts";
import type { AttentionCall } from "./request.ts";

/** One run. */
export interface Sample {
  /** In the meter's unit. */
  readonly time: number;
  /** What told the time: the device itself, this machine's clock around the call, or counts. */
  readonly clock: "device" | "wall" | "estimate";
}

/** A call's tensors on the meter's device, with outputs to write to. */
export interface PlacedCall {
  release(): void;
}

/** One plan, compiled, with parameters. */
export interface MeteredPlan<Placed extends PlacedCall = PlacedCall> {
  /** Computes the call once. */
  sample(call: Placed): Promise<Sample>;
  /** `o`, and `lse` where there is one, of the last run; or gradients, by their names in files. */
  results(call: Placed): Promise<ReadonlyMap<string, Float64Tensor>>;
  /** What the last run held in memory; null before there was one. */
  footprint(): CallFootprint | null;
  release(): void;
}

/** Runs plans on one device and tells how long they take. */
export interface Meter<Placed extends PlacedCall = PlacedCall> {
  readonly target: MeteredTarget;
  /** Device and driver, as one text that changes when either does. */
  readonly identity: string;
  /** For people. */
  readonly description: string;
  readonly machine: Machine;
  readonly unit: "ns" | "cycles";
  /** One run tells all: counts repeat to the digit. */
  readonly exact: boolean;
  /** The WebGPU device, for kernels that are no plan's; null elsewhere. Another one after `restart`. */
  readonly gpu: GPUDevice | null;
  /**
   * Puts a call's tensors on the device.
   * @throws GpuError or CudaError when they do not fit it
   */
  place(pipeline: Pipeline, call: AttentionCall): Placed;
  /**
   * Emits and compiles a plan's kernels. A plan for gradients computes those of a call that has a `dO`.
   * @throws GpuError, CudaError or EmulatorError
   */
  open(plan: Plan, call: AttentionCall): Promise<MeteredPlan<Placed>>;
  /** A fresh device after the old one was lost; plans and calls of the old one are gone. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const NANOSECONDS_PER_MILLISECOND = 1e6;

/** A run's time in nanoseconds: by the device's clock where it has one. */
export function timedSample({ deviceMs, wallMs }: CallStatistics): Sample {
  return deviceMs === null
    ? { time: wallMs * NANOSECONDS_PER_MILLISECOND, clock: "wall" }
    : { time: deviceMs * NANOSECONDS_PER_MILLISECOND, clock: "device" };
}
