import { arch } from "node:os";
import { fileURLToPath } from "node:url";
import { emitKernels } from "../../compiler/emit/index.ts";
import { hostParameters } from "../../compiler/execution/call-tensors.ts";
import type { AttentionInputs, Float64Tensor, Plan } from "../../runtime/contract/index.ts";
import { contiguousStrides, spanBytes } from "../../runtime/contract/layout.ts";
import { CpuDevice } from "../../runtime/cpu/device.ts";
import {
  type CallStatistics,
  CpuError,
  type CpuLauncher,
  type CpuTensor,
  createCpuLauncher,
  download,
} from "../../runtime/cpu/index.ts";
import { openNative } from "../../runtime/cpu/native/library.ts";
import type { ModuleName } from "../../runtime/cpu/wasm/module.ts";
import { openNodeWasm } from "../../runtime/cpu/wasm/node.ts";
import { type PlacedResult, runPlaced, type TestMemory } from "../support/placed-call.ts";
import type { Random } from "../support/random.ts";

/** As many as tests ask for at most. */
const THREADS = 7;

/** Where libraries are kept that nobody but the tests compiles. */
const CACHE = fileURLToPath(new URL("../../.cache/cpu/", import.meta.url));

/** Machine code for this machine's vectors, or for narrower ones; the prebuilt modules. */
export const CPU_LIBRARIES = {
  native: () => openNative(THREADS),
  native8: () => openNative(THREADS, { processor: ["-march=x86-64-v3"], folder: CACHE }),
  native4: () => openNative(THREADS, { processor: [], folder: CACHE }),
  plain: () => openNodeWasm(THREADS, ["plain" satisfies ModuleName]),
  relaxed: () => openNodeWasm(THREADS, ["relaxed" satisfies ModuleName]),
} as const;

export type CpuLibraryName = keyof typeof CPU_LIBRARIES;

export async function openTestCpu(name: CpuLibraryName): Promise<CpuDevice> {
  return new CpuDevice(await CPU_LIBRARIES[name]());
}

/** Why a library does not run here, with a warning that nobody overlooks; null where it does. */
export async function missingCpu(name: CpuLibraryName): Promise<string | null> {
  const reason = await reasonAgainst(name);
  if (reason !== null) console.warn(`\n*** THE C LIBRARY (${name}) IS NOT TESTED: ${reason} ***\n`);
  return reason;
}

async function reasonAgainst(name: CpuLibraryName): Promise<string | null> {
  try {
    if (name === "plain" || name === "relaxed") return null;
    if (name === "native8") {
      if (arch() !== "x64") return "x86-64-v3 is no ARM";
      // Compiled, it would end the process where the processor lacks its instructions.
      const { lanes } = await CPU_LIBRARIES.native();
      if (lanes < 8) return "the processor has no AVX";
    }
    await CPU_LIBRARIES[name]();
    return null;
  } catch (error) {
    if (error instanceof CpuError && /^MTA88[0-1]$/.test(error.code)) return error.message;
    throw error;
  }
}

/** The libraries that run here. */
export async function presentCpus(): Promise<readonly CpuLibraryName[]> {
  const present: CpuLibraryName[] = [];
  for (const name of ["native", "native8", "native4", "plain", "relaxed"] as const)
    if ((await missingCpu(name)) === null) present.push(name);
  return present;
}

/** Memory of a library, for tests. */
export function cpuMemory(device: CpuDevice): TestMemory<CpuTensor> {
  return {
    place: (bytes, layout) => {
      // A contiguous tensor has exactly its own bytes, so that a sanitizer sees who reads behind it.
      const exact = `${layout.strides}` === `${contiguousStrides(layout.shape)}` && layout.offset === 0;
      const own = exact ? bytes.slice(0, spanBytes(layout)) : bytes;
      const memory = device.allocate(own.byteLength, "test tensor");
      device.library.bytesOf(memory).set(new Uint8Array(own));
      return { memory, ...layout };
    },
    bytes: async ({ memory }) => new Uint8Array(device.library.bytesOf(memory)).buffer,
    download: (tensor) => download(device, tensor),
    free: ({ memory }) => device.free(memory),
  };
}

/** A plan whose calls take so many threads. */
export function withThreads(plan: Plan, threads: number): Plan {
  return { ...plan, knobs: { ...plan.knobs, threads } };
}

export function cpuLauncherOf(
  device: CpuDevice,
  plan: Plan,
  parameters: ReadonlyMap<string, Float64Tensor>,
): Promise<CpuLauncher> {
  const artifact = { name: plan.pipeline.name, plans: [plan], sources: emitKernels(plan) };
  return createCpuLauncher(device, artifact, hostParameters(parameters));
}

/**
 * Runs one plan with inputs in float64. With `scatter` tensors lie at random strides with NaN in all gaps.
 *
 * @throws Error when the library writes outside the output's elements.
 */
export async function runCpuPlan(
  device: CpuDevice,
  plan: Plan,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
  scatter: Random | null = null,
): Promise<PlacedResult<CallStatistics>> {
  const launcher = await cpuLauncherOf(device, plan, parameters);
  try {
    return await runPlaced(cpuMemory(device), plan, inputs, scatter, (...call) => launcher.forward(...call));
  } finally {
    launcher.destroy();
  }
}
