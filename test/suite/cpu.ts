import { cpuMachine, planCandidates } from "../../compiler/plan/index.ts";
import type { CpuDevice } from "../../runtime/cpu/device.ts";
import { type CpuLibraryName, missingCpu, openTestCpu, runCpuPlan, withThreads } from "../cpu/harness.ts";
import { disagreement } from "../support/trial.ts";
import type { Planner, SuiteDevice, SuiteTarget } from "./target.ts";

/** Numbers of threads that take turns. */
const THREADS = [2, 1, 3, 7] as const;

/** The library's plans: every strip with every block. Of threads `run` takes its own. */
export function cpuPlanner(device: CpuDevice): Planner {
  const machine = cpuMachine(device.library);
  return {
    name: device.description,
    plans: (pipeline, shape, schedule, options = {}) => {
      const fitting = planCandidates(pipeline, { machine, shape, schedule, options }).filter(
        ({ reason, knobs }) => reason === null && knobs["threads"] === "all",
      );
      if (fitting.length === 0) return { reason: "no plan fits" };
      return {
        count: fitting.length,
        plan: (index) => {
          const plan = fitting[index]?.plan;
          if (plan === undefined || plan === null) throw new RangeError(`candidate ${index} has no plan`);
          return plan;
        },
      };
    },
  };
}

function suiteDevice(device: CpuDevice): SuiteDevice {
  const planner = cpuPlanner(device);
  return {
    schedules: ["staged"],
    planner,
    fallback: null,
    drawPlanner: () => planner,
    drawOptions: (_schedule, random) => (random.chance(0.6) ? { stripRows: random.integer(1, 40) } : {}),
    run: (plan, parameters, inputs, scatter, order) =>
      runCpuPlan(device, withThreads(plan, THREADS[order % 4] ?? 1), parameters, inputs, scatter),
    problem: disagreement,
    close: () => void device.close(),
  };
}

/** A suite of the C library, wherever it runs. */
export function cpuSuite(
  name: string,
  open: () => Promise<CpuDevice>,
): Omit<SuiteTarget, "project" | "available"> {
  return {
    name,
    open: async () => suiteDevice(await open()),
    exact: ["f32"],
    rounded: ["f16", "bf16"],
    roundsAll: true,
    everyVector: true,
    // Longer than two blocks of keys.
    cases: { maxKeys: 150, maxDim: 40, sunkRows: true },
    runs: 30,
    pick: (random) => ({ best: random.chance(0.5), candidates: 1 }),
    fitsAll: true,
    runsAll: true,
    storageBuffers: 32,
    known: ["f32", "f16"],
    depth: 2,
    holdsOffsets: true,
  };
}

function librarySuite(library: CpuLibraryName, name: string): SuiteTarget {
  return {
    ...cpuSuite(name, () => openTestCpu(library)),
    project: "cpu",
    available: async () => (await missingCpu(library)) === null,
  };
}

export const CPU_SUITES: readonly SuiteTarget[] = [
  librarySuite("native", "C, this machine's vectors"),
  librarySuite("native8", "C, vectors of 8 floats"),
  librarySuite("native4", "C, vectors of 4 floats"),
  librarySuite("plain", "WebAssembly"),
  librarySuite("relaxed", "WebAssembly, relaxed"),
];
