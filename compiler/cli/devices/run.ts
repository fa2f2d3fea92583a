import { MtacError } from "../../../runtime/contract/index.ts";
import { type CudaProperties, emulatedCompiler, listCudaDevices } from "../../../runtime/cuda/index.ts";
import { requestDevice } from "../../../runtime/index.ts";
import { openNodeGpu } from "../../../runtime/node.ts";
import type { RunTarget } from "../../execution/request.ts";
import { formatBytes } from "../../report/units.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { table } from "../../terminal/style.ts";
import { type ErrorObject, errorObject } from "../failure.ts";
import type { DevicesFlags } from "./command.ts";

interface ListedDevice {
  readonly target: RunTarget;
  readonly device: string;
  /** Whether it is software: good for tests, not for speed. */
  readonly software: boolean;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
}

/** What could not be opened, and why. */
interface MissingDevice {
  readonly target: Exclude<RunTarget, "reference">;
  readonly error: ErrorObject;
}

const SHOWN_LIMITS = [
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxStorageBuffersPerShaderStage",
  "maxBufferSize",
  "maxStorageBufferBindingSize",
] as const;

const NO_REAL_ADAPTER: ErrorObject = {
  code: "MTA701",
  kind: "device",
  message: "no GPU with a driver that Dawn can use",
  remedy: "install the GPU's Vulkan driver",
};

/** `mtac devices` */
export async function run(flags: DevicesFlags): Promise<void> {
  const output = openOutput(flags);
  const reference: ListedDevice = {
    target: "reference",
    device: "float64 on the processor",
    software: true,
    limits: {},
    features: ["gradients"],
  };
  const devices: (ListedDevice | MissingDevice)[] = [reference];
  // "auto" first: asking for a real adapter where there is no driver makes Dawn complain on stderr.
  const best = await tryOpen("auto");
  if ("error" in best) devices.push(best);
  else if (!best.software) devices.push(best, await tryOpen("always"));
  else devices.push({ target: "webgpu", error: NO_REAL_ADAPTER }, best);
  devices.push(...(await cudaDevices()), await emulatedCuda());
  output.result(devices);
  for (const device of devices) output.text(formatDevice(device, output));
}

async function tryOpen(fallback: "auto" | "always"): Promise<ListedDevice | MissingDevice> {
  try {
    const { adapter, description, isFallback } = await openNodeGpu({ fallback });
    const device = await requestDevice(adapter);
    const limits = Object.fromEntries(SHOWN_LIMITS.map((name) => [name, device.limits[name]]));
    const features = [...device.features].sort();
    device.destroy();
    return { target: "webgpu", device: description, software: isFallback, limits, features };
  } catch (error) {
    return missing("webgpu", error);
  }
}

async function cudaDevices(): Promise<readonly (ListedDevice | MissingDevice)[]> {
  try {
    return (await listCudaDevices()).map(describeCuda);
  } catch (error) {
    return [missing("cuda", error)];
  }
}

function describeCuda(properties: CudaProperties): ListedDevice {
  const { name, architecture, sharedBytesPerBlock, threadsPerBlock, multiprocessors, memoryBytes } =
    properties;
  const limits = { sharedBytesPerBlock, threadsPerBlock, multiprocessors, memoryBytes };
  return { target: "cuda", device: name, software: false, limits, features: [architecture] };
}

/** The emulator needs a compiler, but no device. */
async function emulatedCuda(): Promise<ListedDevice | MissingDevice> {
  try {
    const device = `PTX on the processor, compiled by ${await emulatedCompiler()}`;
    return { target: "cuda-emulated", device, software: true, limits: {}, features: ["counters"] };
  } catch (error) {
    return missing("cuda-emulated", error);
  }
}

function missing(target: MissingDevice["target"], error: unknown): MissingDevice {
  if (error instanceof MtacError) return { target, error: errorObject(error) };
  throw error;
}

function formatDevice(device: ListedDevice | MissingDevice, { style }: Output): string {
  if ("error" in device) {
    const { message, remedy } = device.error;
    const fix = remedy === null ? "" : `\n  fix: ${remedy}`;
    return `${style.bold(device.target)}  ${style.dim(`not available: ${message}${fix}`)}`;
  }
  const { limits, features } = device;
  const kind = device.software && device.target !== "reference" ? style.dim(" (software, for tests)") : "";
  const rows = Object.entries(limits).map(([name, value]) => [
    style.dim(name),
    /Size$|Bytes/.test(name) ? formatBytes(value) : String(value),
  ]);
  if (features.length > 0) rows.push([style.dim("features"), features.join(", ")]);
  return `${style.bold(device.target)}  ${device.device}${kind}\n${table(rows, [], "  ")}`;
}
