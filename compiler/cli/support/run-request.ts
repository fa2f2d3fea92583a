import type { CallShape, Float64Tensor, Pipeline, Schedule } from "../../../runtime/contract/index.ts";
import type { Counters } from "../../../runtime/emulator/index.ts";
import type { RunTarget } from "./targets.ts";
import type { AttentionCall } from "./tensor-file.ts";

/** What a run cost, as `run --json` reports it; null where a target cannot tell. */
export interface RunReport {
  readonly target: RunTarget;
  readonly device: string;
  readonly schedule: Schedule | null;
  /** Number of dispatches. */
  readonly kernels: number;
  readonly wallMs: number;
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

export interface RunRequest {
  readonly target: RunTarget;
  readonly pipeline: Pipeline;
  readonly call: AttentionCall;
  readonly schedule: Schedule | undefined;
  /** CUDA: what kernels are planned and compiled for; the device's own, or sm_80 where it is emulated. */
  readonly architecture?: string | undefined;
}

export function shapeOf({ inputs: { q, k, qHistory } }: AttentionCall): CallShape {
  const [B = 0, , Lq = 0] = q.shape;
  return { B, Lq, Lk: k.shape[2] ?? 0, R: qHistory?.shape[2] ?? 0 };
}
