import {
  allocate,
  type CpuTensor,
  createCpuLauncher,
  deviceIdentity,
  download,
  openCpu,
  upload,
} from "../../runtime/cpu/index.ts";
import type { Cpu } from "../../runtime/cpu/target.ts";
import type { TargetDevice } from "../execution/device.ts";
import { cpuMachine } from "../plan/index.ts";
import { runtimeOf, type TargetRuntime } from "./runtime.ts";

/** The processor: machine code where there is a C compiler, else WebAssembly. */
export const cpu: TargetRuntime = runtimeOf(open, async () => {
  const device = await openCpu();
  const { kind, lanes, threads } = device.library;
  const listed = {
    device: device.description,
    software: false,
    limits: { lanes, threads },
    features: [kind],
  };
  await device.close();
  return [listed];
});

/** @throws CpuError MTA885 */
async function open(): Promise<TargetDevice<CpuTensor, Cpu>> {
  const device = await openCpu();
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
