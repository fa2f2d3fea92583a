import { emitKernels } from "../../compiler/emit/index.ts";
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
  type CudaDevice,
  CudaError,
  type CudaStatistics,
  type CudaTensor,
  createCudaLauncher,
  type DeviceStorage,
  download,
  type EmulatedCudaOptions,
  emulatedCompiler,
  openEmulatedCuda,
} from "../../runtime/cuda/index.ts";
import { drawPlacement, encodePlaced, type Placement, POISON, placedOffsets } from "../support/placing.ts";
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

export interface CudaResult {
  readonly o: Float32Array;
  readonly lse: Float32Array | null;
  readonly statistics: CudaStatistics;
}

/** Emulated devices, one for each set of options. */
const devices = new Map<string, Promise<CudaDevice>>();

export function emulatedDevice(options: EmulatedCudaOptions = {}): Promise<CudaDevice> {
  const key = JSON.stringify(options);
  const device = devices.get(key) ?? openEmulatedCuda(options);
  devices.set(key, device);
  return device;
}

function floats(data: Int32Array | Float32Array): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from(data);
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
  const addresses: bigint[] = [];
  const put = (tensor: Float64Tensor, storage: DeviceStorage, alignment: number | null): CudaTensor => {
    const place = drawPlacement(tensor.shape, alignment ?? 1, alignment === null ? null : scatter);
    return placed(device, tensor, storage, place, addresses);
  };
  const { storage, heads, valueDim } = pipeline;
  const { q, k, v, qHistory, documents, lengths, positions, bias, layer } = inputs;
  const [B = 0, , Lq = 0] = q.shape;
  const onDevice: AttentionInputs<CudaTensor> = {
    q: put(q, storage, plan.alignment.q),
    k: put(k, storage, plan.alignment.k),
    v: put(v, storage, plan.alignment.v),
    ...(qHistory === undefined ? {} : { qHistory: put(qHistory, storage, plan.alignment.q) }),
    ...(documents === undefined ? {} : { documents: put(documents, "i32", null) }),
    ...(lengths === undefined ? {} : { lengths: put(lengths, "i32", null) }),
    ...(positions === undefined ? {} : { positions: put(positions, "i32", null) }),
    ...(bias === undefined ? {} : { bias: put(bias, "f32", 1) }),
    ...(layer === undefined ? {} : { layer }),
  };
  // Outputs full of NaN: an element that a kernel leaves out shows.
  const nothing = (shape: readonly number[]): Float64Tensor => ({
    shape,
    data: new Float64Array(shape.reduce((product, size) => product * size, 1)).fill(Number.NaN),
  });
  const place = drawPlacement([B, heads, Lq, valueDim], plan.alignment.o, scatter);
  const outputs = {
    o: placed(device, nothing([B, heads, Lq, valueDim]), storage, place, addresses),
    lse: put(nothing([B, heads, Lq]), "f32", null),
  };
  try {
    const { lse, statistics } = await launcher.forward(onDevice, outputs);
    const o = floats(await download(device, outputs.o));
    if (scatter !== null) await checkSurroundings(device, outputs.o, place);
    return { o, lse: lse === null ? null : floats(await download(device, lse)), statistics };
  } finally {
    for (const address of addresses) device.freeIfOpen(address);
    launcher.destroy();
  }
}

function placed(
  device: CudaDevice,
  tensor: Float64Tensor,
  storage: DeviceStorage,
  place: Placement,
  addresses: bigint[],
): CudaTensor {
  const bytes = new Uint8Array(encodePlaced(tensor, storage, place));
  const { address } = device.allocate(bytes.length, "test tensor");
  device.backend.write(address, bytes);
  addresses.push(address);
  return { address, offset: place.before, shape: tensor.shape, strides: place.strides, storage };
}

/** @throws Error when anything beside the tensor's elements is no longer poison. */
async function checkSurroundings(device: CudaDevice, tensor: CudaTensor, place: Placement): Promise<void> {
  const { bytes: size } = device.backend.locate(tensor.address) ?? { bytes: 0 };
  const { buffer } = await device.backend.read(tensor.address, size);
  const words = tensor.storage === "f32" ? new Uint32Array(buffer) : new Uint16Array(buffer);
  const first = place.before / words.BYTES_PER_ELEMENT;
  const own = new Set(placedOffsets(tensor.shape, place.strides).map((offset) => first + offset));
  const poison = tensor.storage === "f32" ? POISON : POISON & 0xffff;
  const clobbered = [...words.entries()].filter(([index, word]) => word !== poison && !own.has(index)).length;
  if (clobbered > 0)
    throw new Error(`${clobbered} elements beside o were written, strides [${place.strides}]`);
}
