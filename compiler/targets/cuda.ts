import {
  allocate,
  boundOf,
  type CudaDevice,
  type CudaProperties,
  type CudaTensor,
  createCudaLauncher,
  deviceIdentity,
  download,
  emulatedCompiler,
  estimateCycles,
  listCudaDevices,
  openCuda,
  openEmulatedCuda,
  upload,
} from "../../runtime/cuda/index.ts";
import type { Cuda } from "../../runtime/cuda/target.ts";
import type { OpenOptions, TargetDevice } from "../execution/device.ts";
import { cudaMachine, plannedArchitecture } from "../plan/index.ts";
import { deviceFacts } from "../targets.ts";
import { type ListedDevice, runtimeOf, type TargetRuntime } from "./runtime.ts";

/** A CUDA device through NVIDIA's driver. */
export const cuda: TargetRuntime = runtimeOf(
  async ({ architecture }) =>
    targetDevice("cuda", await openCuda(architecture === undefined ? {} : { architecture })),
  async () => (await listCudaDevices()).map(listed),
);

/** CUDA's kernels on the processor, which counts what they do. */
export const cudaEmulated: TargetRuntime = runtimeOf(
  async ({ architecture, purpose }: OpenOptions) =>
    targetDevice(
      "cuda-emulated",
      await openEmulatedCuda({
        ...(architecture === undefined ? {} : { architecture }),
        // Many runs of one plan: races show in the first as well as in all.
        ...(purpose === "meter" ? { checks: "bounds" } : {}),
      }),
    ),
  // It needs a compiler, but no device.
  async () => {
    const device = `PTX on the processor, compiled by ${await emulatedCompiler()}`;
    return [{ device, software: true, limits: {}, features: ["counters"] }];
  },
);

function listed(properties: CudaProperties): ListedDevice {
  const { name, architecture, sharedBytesPerBlock, threadsPerBlock, multiprocessors, memoryBytes } =
    properties;
  const limits = { sharedBytesPerBlock, threadsPerBlock, multiprocessors, memoryBytes };
  return { device: name, software: false, limits, features: [architecture] };
}

/** @throws MtacError MTA918: kernels are for newer architectures */
async function targetDevice(
  target: "cuda" | "cuda-emulated",
  device: CudaDevice,
): Promise<TargetDevice<CudaTensor, Cuda>> {
  const { properties } = device;
  try {
    return {
      target,
      description: properties.name,
      identity: deviceIdentity(properties),
      machine: cudaMachine(plannedArchitecture(properties.architecture)),
      gpu: null,
      counts: deviceFacts(target).counts,
      launch: (artifact, parameters) =>
        createCudaLauncher(device, artifact, parameters, { timestamps: true }),
      allocate: (shape, storage, label) => allocate(device, shape, storage, { label }),
      upload: (tensor, storage) => upload(device, tensor, storage),
      download: (tensor) => download(device, tensor),
      counted: ({ counters, kernelCounters }) => {
        if (counters === null) return null;
        // Kernels follow each other, each as long as its busiest unit.
        const cycles = kernelCounters.map((each) => boundOf(estimateCycles(each.counters)).cycles);
        return { counters, cycles: cycles.reduce((sum, each) => sum + each, 0) };
      },
      close: () => device.close(),
    };
  } catch (error) {
    await device.close();
    throw error;
  }
}
