import {
  allocate,
  CpuError,
  type CpuTensor,
  createCpuLauncher,
  deviceIdentity,
  download,
  openCpu,
  upload,
} from "../../runtime/cpu/index.ts";
import type { Cpu } from "../../runtime/cpu/target.ts";
import type { OpenOptions, TargetDevice } from "../execution/device.ts";
import { cpuMachine } from "../plan/index.ts";
import { type ListedDevice, runtimeOf, type TargetRuntime } from "./runtime.ts";

/** The processor: machine code where there is a C compiler, else WebAssembly. */
export const cpu: TargetRuntime = runtimeOf(open, devices);

/** Machine code; or why there is none, and WebAssembly. */
async function devices(): Promise<readonly (ListedDevice | CpuError)[]> {
  const native = await listed("native").catch(refusal);
  return native instanceof CpuError ? [native, await listed("wasm").catch(refusal)] : [native];
}

const LIBRARIES = {
  native: "the C library, compiled for this processor",
  wasm: "the C library as WebAssembly",
} as const;

/** @throws CpuError MTA880 … MTA885 */
async function listed(library: keyof typeof LIBRARIES): Promise<ListedDevice> {
  const device = await openCpu({ library });
  const { kind, lanes, threads } = device.library;
  await device.close();
  return {
    device: device.description,
    software: false,
    limits: { lanes, threads },
    features: [kind],
    words: {
      vectors: `${lanes * 32} bits: ${lanes} floats`,
      threads: String(threads),
      library: LIBRARIES[kind],
    },
  };
}

function refusal(error: unknown): CpuError {
  if (error instanceof CpuError) return error;
  throw error;
}

/** @throws CpuError MTA885, MTA886 */
async function open({ threads }: OpenOptions): Promise<TargetDevice<CpuTensor, Cpu>> {
  const device = await openCpu(threads === undefined ? {} : { threads });
  return {
    target: "cpu",
    description: device.description,
    identity: deviceIdentity(device),
    machine: cpuMachine(device.library),
    gpu: null,
    counts: false,
    launch: (artifact, parameters) => createCpuLauncher(device, artifact, parameters, { timestamps: true }),
    allocate: (shape, storage, label) => allocate(device, shape, storage, { label }),
    upload: (tensor, storage) => upload(device, tensor, storage),
    download: (tensor) => download(device, tensor),
    counted: () => null,
    close: () => device.close(),
  };
}
