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
  type AttentionOutputs,
  type CallStatistics,
  createLauncher,
  type DeviceStorage,
  type DeviceTensor,
  download,
  type Launcher,
  type LauncherOptions,
} from "../../runtime/index.ts";
import { clobbered, drawPlacement, placeTensor } from "./placing.ts";
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

export interface GpuResult {
  readonly o: Float32Array;
  readonly lse: Float32Array | null;
  readonly statistics: CallStatistics;
}

export interface RunOptions extends LauncherOptions {
  /** Where given: tensors lie at random strides, in random order of axes, with NaN in all gaps. */
  readonly scatter?: Random;
}

function floats(data: Int32Array | Float32Array): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from(data);
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

/** A call's tensors on a device, and how to free them. */
export interface PlacedCall {
  readonly inputs: AttentionInputs<DeviceTensor>;
  readonly tensors: readonly DeviceTensor[];
  destroy(): void;
}

export function placeInputs(
  device: GPUDevice,
  plan: Plan,
  inputs: AttentionInputs<Float64Tensor>,
  scatter: Random | null = null,
): PlacedCall {
  const tensors: DeviceTensor[] = [];
  const put = (tensor: Float64Tensor, storage: DeviceStorage, alignment: number | null): DeviceTensor => {
    const place = drawPlacement(tensor.shape, alignment ?? 1, alignment === null ? null : scatter);
    const placed = placeTensor(device, tensor, storage, place);
    tensors.push(placed);
    return placed;
  };
  const { storage } = plan.pipeline;
  const { q: forQ, k: forK, v: forV } = plan.alignment;
  const { q, k, v, qHistory, documents, lengths, positions, bias, layer } = inputs;
  const placed: AttentionInputs<DeviceTensor> = {
    q: put(q, storage, forQ),
    k: put(k, storage, forK),
    v: put(v, storage, forV),
    ...(qHistory === undefined ? {} : { qHistory: put(qHistory, storage, forQ) }),
    ...(documents === undefined ? {} : { documents: put(documents, "i32", null) }),
    ...(lengths === undefined ? {} : { lengths: put(lengths, "i32", null) }),
    ...(positions === undefined ? {} : { positions: put(positions, "i32", null) }),
    ...(bias === undefined ? {} : { bias: put(bias, "f32", 1) }),
    ...(layer === undefined ? {} : { layer }),
  };
  return {
    inputs: placed,
    tensors,
    destroy: () => {
      for (const { buffer } of tensors) buffer.destroy();
    },
  };
}

/** Outputs full of NaN: an element that a kernel leaves out shows, and so does one that it writes beside them. */
export function poisonedOutputs(
  device: GPUDevice,
  pipeline: Pipeline,
  { B, Lq }: Pick<CallShape, "B" | "Lq">,
  alignment: number,
  scatter: Random | null = null,
): Required<AttentionOutputs> {
  const poisoned = (
    shape: readonly number[],
    storage: DeviceStorage,
    random: Random | null,
  ): DeviceTensor => {
    const length = shape.reduce((product, size) => product * size, 1);
    const tensor = { shape, data: new Float64Array(length).fill(Number.NaN) };
    return placeTensor(device, tensor, storage, drawPlacement(shape, alignment, random));
  };
  const { heads, valueDim, storage } = pipeline;
  return {
    o: poisoned([B, heads, Lq, valueDim], storage, scatter),
    lse: poisoned([B, heads, Lq], "f32", null),
  };
}

/** The raw words of a tensor's whole buffer. */
export async function bufferWords(device: GPUDevice, { buffer }: DeviceTensor): Promise<Int32Array> {
  const length = buffer.size / 4;
  const words = await download(device, { buffer, offset: 0, shape: [length], strides: [1], storage: "i32" });
  return words instanceof Int32Array ? words : new Int32Array(words.buffer);
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
  const { pipeline } = plan;
  const launcher = await launcherOf(device, plan, parameters, launcherOptions);
  const call = placeInputs(device, plan, inputs, scatter);
  const [B = 0, , Lq = 0] = inputs.q.shape;
  const outputs = poisonedOutputs(device, pipeline, { B, Lq }, plan.alignment.o, scatter);
  try {
    const { lse, statistics } = await launcher.forward(call.inputs, outputs);
    const o = floats(await download(device, outputs.o));
    if (scatter !== null) {
      const beside = clobbered(await bufferWords(device, outputs.o), outputs.o);
      if (beside > 0)
        throw new Error(`${beside} elements beside o were written, strides [${outputs.o.strides}]`);
    }
    return { o, lse: lse === null ? null : floats(await download(device, lse)), statistics };
  } finally {
    call.destroy();
    outputs.o.buffer.destroy();
    outputs.lse.buffer.destroy();
    launcher.destroy();
  }
}

/** The schedules that can compute a pipeline on some device, whatever its size. */
export function legalSchedules(pipeline: Pipeline): Schedule[] {
  return SCHEDULES.filter((schedule) => scheduleIllegal(pipeline, schedule) === null);
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
