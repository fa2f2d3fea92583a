import { emitKernels } from "../../compiler/emit/index.ts";
import type { CallDevice } from "../../compiler/execution/device.ts";
import {
  type Candidate,
  cudaArchitecture,
  cudaMachine,
  type GpuMachine,
  type PlanOptions,
  planCandidates,
} from "../../compiler/plan/index.ts";
import type {
  AttentionInputs,
  CallShape,
  Float64Tensor,
  Pipeline,
  Plan,
  Schedule,
} from "../../runtime/contract/index.ts";
import {
  allocate,
  type CudaDevice,
  CudaError,
  type CudaStatistics,
  type CudaTensor,
  createCudaLauncher,
  download,
  type EmulatedCudaOptions,
  emulatedCompiler,
  openEmulatedCuda,
  upload,
} from "../../runtime/cuda/index.ts";
import type { Cuda } from "../../runtime/cuda/target.ts";
import { type PlacedResult, runPlaced, type TestMemory } from "../support/placed-call.ts";
import type { Random } from "../support/random.ts";

/** nvcc as its own banner, or null with a warning that nobody overlooks. */
export async function findNvcc(): Promise<string | null> {
  try {
    return await emulatedCompiler();
  } catch (error) {
    if (!(error instanceof CudaError)) throw error;
    console.warn(`\n*** NO CUDA KERNEL IS COMPILED OR RUN BY THESE TESTS: ${error.message} ***\n`);
    return null;
  }
}

/** An architecture as the planner sees it. */
export function machineFor(architecture: string): GpuMachine {
  const known = cudaArchitecture(architecture);
  if (known === null) throw new RangeError(`no architecture ${architecture}`);
  return cudaMachine(known);
}

/** What candidates are sought for. */
export interface PlanChoice {
  readonly architecture?: string;
  readonly options?: PlanOptions;
}

/** Candidates of a schedule on exact f32 units that fit, the cheapest first. */
export function directCandidates(
  pipeline: Pipeline,
  shape: CallShape,
  schedule: Schedule,
  { architecture = "sm_80", options = {} }: PlanChoice = {},
): Candidate[] {
  return planCandidates(pipeline, {
    machine: machineFor(architecture),
    shape,
    schedule,
    options,
  }).filter(({ reason, knobs: { lowering } }) => reason === null && lowering === "direct");
}

export function planOf({ plan, knobs }: Candidate): Plan {
  if (plan === null) throw new RangeError(`the candidate ${JSON.stringify(knobs)} has no plan`);
  return plan;
}

export type CudaResult = PlacedResult<CudaStatistics>;

/** Emulated devices, one for each set of options. */
const devices = new Map<string, Promise<CudaDevice>>();

export function emulatedDevice(options: EmulatedCudaOptions = {}): Promise<CudaDevice> {
  const key = JSON.stringify(options);
  const device = devices.get(key) ?? openEmulatedCuda(options);
  devices.set(key, device);
  return device;
}

/** A device as training needs it. */
export function trainingDevice(device: CudaDevice): CallDevice<CudaTensor, Cuda> {
  return {
    launch: createCudaLauncher.bind(null, device),
    allocate: (shape, storage, label) => allocate(device, shape, storage, { label }),
    upload: (tensor, storage) => upload(device, tensor, storage),
    download: (tensor) => download(device, tensor),
  };
}

/** A device's allocations, for tests. */
function cudaMemory(device: CudaDevice): TestMemory<CudaTensor> {
  return {
    place: (bytes, layout) => {
      const { address } = device.allocate(bytes.byteLength, "test tensor");
      device.backend.write(address, new Uint8Array(bytes));
      return { address, ...layout };
    },
    bytes: async ({ address }) => {
      const { bytes: size } = device.backend.locate(address) ?? { bytes: 0 };
      return (await device.backend.read(address, size)).slice().buffer;
    },
    download: (tensor) => download(device, tensor),
    free: ({ address }) => device.freeIfOpen(address),
  };
}

/**
 * Runs one plan on a device with inputs in float64. With `scatter` tensors lie at random strides with NaN in all gaps.
 *
 * @throws Error when the kernels write outside the output's elements.
 */
export async function runCudaPlan(
  device: CudaDevice,
  plan: Plan,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
  scatter: Random | null = null,
): Promise<CudaResult> {
  const { pipeline } = plan;
  const artifact = { name: pipeline.name, plans: [plan], sources: emitKernels(plan) };
  const values = new Map(
    [...parameters].map(([name, { shape, data }]) => [name, { shape, data: Float32Array.from(data) }]),
  );
  const launcher = await createCudaLauncher(device, artifact, values);
  try {
    return await runPlaced(cudaMemory(device), plan, inputs, scatter, (...call) => launcher.forward(...call));
  } finally {
    launcher.destroy();
  }
}
