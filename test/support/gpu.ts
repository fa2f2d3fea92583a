import { emitKernels } from "../../compiler/emit/index.ts";
import {
  type PlanOptions,
  type PlanRequest,
  planCandidates,
  scheduleIllegal,
  type TargetLimits,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import {
  type AttentionInputs,
  type CallShape,
  type Float64Tensor,
  type Pipeline,
  type Plan,
  SCHEDULES,
  type Schedule,
  type StorageType,
} from "../../runtime/contract/index.ts";
import {
  type CallStatistics,
  createLauncher,
  type DeviceTensor,
  download,
  type Launcher,
  type LauncherOptions,
} from "../../runtime/index.ts";
import { BUFFER_USAGE } from "../../runtime/webgpu/constants.ts";
import { type PlacedResult, runPlaced, type TestMemory } from "./placed-call.ts";
import type { Random } from "./random.ts";

/** Relative errors that `semantics.md` allows the forward pass, by storage type. */
export const FORWARD_TOLERANCE: Readonly<Record<StorageType, number>> = { f32: 5e-6, f16: 2e-3, bf16: 1e-2 };

/** What a test device offers to plans. */
export function limitsOf(device: GPUDevice): TargetLimits {
  return {
    workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
    invocations: device.limits.maxComputeInvocationsPerWorkgroup,
    storageBuffers: device.limits.maxStorageBuffersPerShaderStage,
    features: [...device.features],
  };
}

export type GpuResult = PlacedResult<CallStatistics>;

export interface RunOptions extends LauncherOptions {
  /** Where given: tensors lie at random strides, in random order of axes, with NaN in all gaps. */
  readonly scatter?: Random;
}

/** A launcher of one plan, parameters rounded to f32. */
export function launcherOf(
  device: GPUDevice,
  plan: Plan,
  parameters: ReadonlyMap<string, Float64Tensor>,
  options: LauncherOptions = {},
): Promise<Launcher> {
  const artifact = { name: plan.pipeline.name, plans: [plan], sources: emitKernels(plan) };
  const values = new Map(
    [...parameters].map(([name, tensor]) => [
      name,
      { shape: tensor.shape, data: Float32Array.from(tensor.data) },
    ]),
  );
  return createLauncher(device, artifact, values, options);
}

/** Buffers of a device, for tests. */
export function gpuMemory(device: GPUDevice): TestMemory<DeviceTensor> {
  return {
    place: (bytes, layout) => {
      const buffer = device.createBuffer({
        size: bytes.byteLength,
        usage: BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST,
      });
      device.queue.writeBuffer(buffer, 0, bytes);
      return { buffer, ...layout };
    },
    bytes: async ({ buffer }) => {
      const shape = [buffer.size / 4];
      const words = await download(device, { buffer, offset: 0, shape, strides: [1], storage: "i32" });
      return new Uint8Array(words.buffer).slice().buffer;
    },
    download: (tensor) => download(device, tensor),
    free: ({ buffer }) => buffer.destroy(),
  };
}

/**
 * Runs one plan on a device with inputs in float64 and returns the results as f32.
 *
 * @throws Error when the kernels write outside the output's elements.
 */
export async function runPlan(
  device: GPUDevice,
  plan: Plan,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
  options: RunOptions = {},
): Promise<GpuResult> {
  const { scatter = null, ...launcherOptions } = options;
  const launcher = await launcherOf(device, plan, parameters, launcherOptions);
  try {
    return await runPlaced(gpuMemory(device), plan, inputs, scatter, (...call) => launcher.forward(...call));
  } finally {
    launcher.destroy();
  }
}

/** The schedules that can compute a pipeline, whatever its size: on some device, or on one that has only some. */
export function legalSchedules(
  pipeline: Pipeline,
  { schedules }: { readonly schedules: readonly Schedule[] } = { schedules: SCHEDULES },
): Schedule[] {
  return schedules.filter((schedule) => scheduleIllegal(pipeline, schedule) === null);
}

/** The candidates of a schedule that fit, the cheapest first; a plan is written when it is asked for. */
export interface FittingPlans {
  readonly count: number;
  plan(index: number): Plan;
}

/** Every plan of a schedule that fits and that the options force, or the reasons why none does. */
export function fittingPlans(
  pipeline: Pipeline,
  limits: TargetLimits,
  shape: CallShape,
  schedule: Schedule,
  options: PlanOptions = {},
): FittingPlans | { reason: string } {
  const request: PlanRequest = { machine: webgpuMachine(limits), shape, schedule, options };
  const candidates = planCandidates(pipeline, request);
  const fitting = candidates.filter(({ reason }) => reason === null);
  if (fitting.length === 0) {
    const [nearest, ...others] = new Set(candidates.map((candidate) => candidate.reason));
    return { reason: `${nearest} (and ${others.length} other reasons)` };
  }
  return {
    count: fitting.length,
    plan: (index) => {
      const plan = fitting[index]?.plan;
      if (plan === undefined || plan === null) throw new RangeError(`candidate ${index} has no plan`);
      return plan;
    },
  };
}

/** The planner's first choice for a schedule, or the reasons why none fits. */
export function bestPlan(
  pipeline: Pipeline,
  limits: TargetLimits,
  shape: CallShape,
  schedule: Schedule,
  options: PlanOptions = {},
): { plan: Plan } | { reason: string } {
  const fitting = fittingPlans(pipeline, limits, shape, schedule, options);
  return "reason" in fitting ? fitting : { plan: fitting.plan(0) };
}
