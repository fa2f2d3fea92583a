import { integerBuffers } from "../bindings.ts";
import type { CpuMachine, Machines } from "../machine.ts";
import { cpuRates } from "../rates.ts";

/** What the planner is told of a processor. */
export interface Processor {
  /** Floats of a vector: 4, 8 or 16. */
  readonly lanes: number;
  readonly threads: number;
}

/** What most processors have: AVX2, a few cores. */
const TYPICAL: Processor = { lanes: 8, threads: 4 };

/** A processor, as the library on it describes itself. */
export function cpuMachine({ lanes, threads }: Processor = TYPICAL): CpuMachine {
  return { ...CPU, lanes, threads, rates: cpuRates({ lanes, threads }) };
}

const CPU: Omit<CpuMachine, "rates" | keyof Processor> = {
  kind: "cpu",
  target: "cpu",
  architecture: null,
  // Of the kinds that GPUs have: a thread is a workgroup, whose memory is the heap.
  limits: {
    workgroupBytes: Number.MAX_SAFE_INTEGER,
    invocations: 1,
    storageBuffers: 32,
    features: [],
  },
  // The second-level cache of most cores.
  cacheBytes: 2 ** 20,
  strips: [4, 8, 16, 32, 64],
  // Multiples of the panels of packed K, whatever the vectors' width. Measured times differ by some per cent only, and the least is the best mostly:
  // V of a block stays in the first-level cache.
  blocks: [64, 128, 256],
  naming: {
    file: (pipeline) => `${pipeline.name}.c`,
    entryPoint: (pipeline) => `${pipeline.name}_launch`,
    integers: integerBuffers,
    seed: [],
    sharedLaunch: true,
    historyOverrides: {},
  },
  storage: ({ storage }) => (storage === "f32" ? "f32" : `${storage}-native`),
  requires: () => ({ features: [] }),
};

export const CPU_MACHINES: Machines = {
  of: () => cpuMachine(),
  wanted: () => [cpuMachine()],
  // As many threads as the library knows: whatever a device can be told, one of these can.
  all: () => [cpuMachine({ ...TYPICAL, threads: 256 })],
  typical: () => cpuMachine(),
  behind: (identity) => {
    const [, lanes, threads] = /\|(\d+) lanes\|(\d+) threads$/.exec(identity) ?? [];
    return lanes === undefined ? [] : [cpuMachine({ lanes: Number(lanes), threads: Number(threads) })];
  },
};
