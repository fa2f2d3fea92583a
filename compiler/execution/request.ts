import type {
  AttentionInputs,
  CallShape,
  Float64Tensor,
  Pipeline,
  Plan,
  Schedule,
} from "../../runtime/contract/index.ts";
import type { Counters } from "../../runtime/emulator/index.ts";
import type { Machine } from "../plan/index.ts";
import type { MeteredTarget, TargetName } from "../targets.ts";

/** What `run` and `verify` compute on: `cuda` through NVIDIA's driver, `cuda-emulated` without one. */
export type RunTarget = TargetName;

/** A call as a target takes it: values already rounded to the spec's storage type. */
export interface AttentionCall {
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  /** The gradient of o, with `--grad`. */
  readonly dO: Float64Tensor | null;
}

/** What a run cost, as `run --json` reports it; null where a target cannot tell. */
export interface RunReport {
  readonly target: RunTarget;
  readonly device: string;
  readonly schedule: Schedule | null;
  /** Who chose the plan: measurements on this device (`mtac tune`), or the planner; null where there is none. */
  readonly choice: "tuned" | "planner" | null;
  /** Number of dispatches. */
  readonly kernels: number;
  readonly wallMs: number;
  /** The backward pass, where gradients were computed on a device. */
  readonly backward?: {
    readonly choice: "tuned" | "planner";
    readonly wallMs: number;
    readonly workspaceBytes: number;
  };
  readonly deviceMs: number | null;
  readonly peakBytes: number | null;
  readonly workspaceBytes: number | null;
  readonly compulsoryBytes: number;
  /** What the emulator counted, all kernels together: only on `cuda-emulated`. */
  readonly counters?: Counters;
}

export interface RunResult {
  /** By their names in files: o, lse, with gradients d_q …. */
  readonly tensors: ReadonlyMap<string, Float64Tensor>;
  readonly report: RunReport;
}

/** A device as results of tuning name it. */
export interface OpenedDevice {
  readonly target: MeteredTarget;
  readonly identity: string;
  readonly machine: Machine;
}

export interface RunRequest {
  readonly target: RunTarget;
  readonly pipeline: Pipeline;
  readonly call: AttentionCall;
  readonly schedule: Schedule | undefined;
  /** The plan of a pass that won on the device that was opened, where one did: it goes before the planner's. */
  readonly tuned?: (device: OpenedDevice, direction: Plan["direction"]) => Plan | null;
  /** CUDA: what kernels are planned and compiled for; the device's own, or sm_80 where it is emulated. */
  readonly architecture?: string | undefined;
  /** Hears what is being done now: what takes long on a target. */
  readonly onStep?: (step: string) => void;
}

export function shapeOf({ inputs: { q, k, qHistory } }: AttentionCall): CallShape {
  const [B = 0, , Lq = 0] = q.shape;
  return { B, Lq, Lk: k.shape[2] ?? 0, R: qHistory?.shape[2] ?? 0 };
}
