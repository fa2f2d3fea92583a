import { emitKernels } from "../../compiler/emit/index.ts";
import {
  type PlanRequest,
  planCandidates,
  scheduleIllegal,
  type TargetLimits,
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
  createLauncher,
  type DeviceStorage,
  type DeviceTensor,
  download,
  upload,
} from "../../runtime/index.ts";

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
}

/** How a test hands its tensors over: contiguous unless `layout` changes their strides. */
export interface RunOptions {
  readonly layer?: number;
  readonly stridesOf?: (name: string, shape: readonly number[]) => readonly number[] | undefined;
}

function floats(data: Int32Array | Float32Array): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from(data);
}

/** Runs one plan on a device with inputs in float64 and returns the results as f32. */
export async function runPlan(
  device: GPUDevice,
  plan: Plan,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
  options: RunOptions = {},
): Promise<GpuResult> {
  const pipeline = plan.pipeline;
  const artifact = { name: pipeline.name, plans: [plan], sources: emitKernels(plan) };
  const values = new Map(
    [...parameters].map(([name, tensor]) => [
      name,
      { shape: tensor.shape, data: Float32Array.from(tensor.data) },
    ]),
  );
  const launcher = await createLauncher(device, artifact, values);
  const owned: DeviceTensor[] = [];
  const put = (name: string, tensor: Float64Tensor, storage: DeviceStorage): DeviceTensor => {
    const data = storage === "i32" ? Int32Array.from(tensor.data) : Float32Array.from(tensor.data);
    const uploaded = upload(
      device,
      { shape: tensor.shape, data },
      storage,
      options.stridesOf?.(name, tensor.shape),
    );
    owned.push(uploaded);
    return uploaded;
  };
  const { storage } = pipeline;
  const { q, k, v, qHistory, documents, lengths, positions, bias, layer } = inputs;
  try {
    const result = await launcher.forward({
      q: put("q", q, storage),
      k: put("k", k, storage),
      v: put("v", v, storage),
      ...(qHistory === undefined ? {} : { qHistory: put("q_history", qHistory, storage) }),
      ...(documents === undefined ? {} : { documents: put("documents", documents, "i32") }),
      ...(lengths === undefined ? {} : { lengths: put("lengths", lengths, "i32") }),
      ...(positions === undefined ? {} : { positions: put("positions", positions, "i32") }),
      ...(bias === undefined ? {} : { bias: put("bias", bias, "f32") }),
      ...(layer === undefined ? {} : { layer }),
    });
    owned.push(result.o);
    const o = floats(await download(device, result.o));
    if (result.lse === null) return { o, lse: null };
    owned.push(result.lse);
    return { o, lse: floats(await download(device, result.lse)) };
  } finally {
    for (const tensor of owned) tensor.buffer.destroy();
    launcher.destroy();
  }
}

/** The schedules that can compute a pipeline on some device, whatever its size. */
export function legalSchedules(pipeline: Pipeline): Schedule[] {
  return SCHEDULES.filter((schedule) => scheduleIllegal(pipeline, schedule) === null);
}

/** The planner's first choice for a schedule, or the reasons why none fits. */
export function bestPlan(
  pipeline: Pipeline,
  limits: TargetLimits,
  shape: CallShape,
  schedule: Schedule,
): { plan: Plan } | { reason: string } {
  const request: PlanRequest = { target: "webgpu", limits, shape, schedule };
  const candidates = planCandidates(pipeline, request);
  const plan = candidates[0]?.plan;
  if (plan !== undefined && plan !== null) return { plan };
  return { reason: candidates.map((candidate) => candidate.reason).join("; ") };
}
