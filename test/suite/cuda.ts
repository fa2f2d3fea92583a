import type { PlanOptions } from "../../compiler/plan/index.ts";
import { SCHEDULES, type Schedule } from "../../runtime/contract/index.ts";
import { directCandidates, emulatedDevice, findNvcc, planOf, runCudaPlan } from "../cuda/harness.ts";
import { outsideTolerance, tensorPlans } from "../cuda/tensor-cases.ts";
import type { Random } from "../support/random.ts";
import { disagreement } from "../support/trial.ts";
import type { Planner, SuiteDevice, SuiteTarget } from "./target.ts";

const WARP_ORDERS = ["forward", "reverse", "greedy"] as const;

const DIRECT: Planner = {
  name: "sm_80, f32 units",
  plans: (pipeline, shape, schedule, options = {}) => {
    const fitting = directCandidates(pipeline, shape, schedule, { options });
    return choiceOf(fitting.map((candidate) => () => planOf(candidate)));
  },
};

const TENSOR: Planner = {
  name: "sm_80, tensor cores",
  plans: (pipeline, shape, schedule, options = {}) =>
    choiceOf(tensorPlans(pipeline, shape, schedule, { options })),
};

function choiceOf(plans: readonly (() => ReturnType<typeof planOf>)[]): ReturnType<Planner["plans"]> {
  if (plans.length === 0) return { reason: "no plan fits" };
  return {
    count: plans.length,
    plan: (index) => {
      const make = plans[index];
      if (make === undefined) throw new RangeError(`there is no plan ${index}`);
      return make();
    },
  };
}

/** The emulated device; `close` leaves it to others. */
function emulated(
  parts: Pick<SuiteDevice, "planner" | "fallback" | "problem"> & {
    readonly drawOptions: (schedule: Schedule, random: Random) => PlanOptions;
  },
): SuiteDevice {
  return {
    ...parts,
    schedules: SCHEDULES,
    drawPlanner: () => parts.planner,
    run: async (plan, parameters, inputs, scatter, order) => {
      const device = await emulatedDevice({ warpOrder: WARP_ORDERS[order % 3] ?? "forward" });
      return runCudaPlan(device, plan, parameters, inputs, scatter);
    },
    close: () => undefined,
  };
}

/** What both rows share: a plan a schedule, since emulated ones are slow. */
const EMULATED = {
  project: "cuda",
  available: async () => (await findNvcc()) !== null,
  everyVector: false,
  runs: 12,
  // The best candidate and any other take turns.
  pick: (random: Random) =>
    random.chance(0.35) ? { best: true, candidates: 0 } : { best: false, candidates: 1 },
  runsAll: false,
  storageBuffers: 32,
} as const;

export const DIRECT_SUITE: SuiteTarget = {
  ...EMULATED,
  name: "CUDA on exact f32 units, emulated",
  open: async () =>
    emulated({
      planner: DIRECT,
      fallback: null,
      problem: disagreement,
      drawOptions: (schedule, random) =>
        schedule === "staged" && random.chance(0.5) ? { stripRows: random.integer(1, 16) } : {},
    }),
  exact: ["f32"],
  rounded: ["f16", "bf16"],
  roundsAll: false,
  cases: { maxKeys: 40, sunkRows: true },
  fitsAll: true,
  known: ["f32"],
  depth: 1,
  holdsOffsets: true,
  drops: ["f32", "f16"],
};

export const TENSOR_SUITE: SuiteTarget = {
  ...EMULATED,
  name: "CUDA on tensor cores where they can, emulated",
  open: async () =>
    emulated({
      planner: TENSOR,
      fallback: DIRECT,
      problem: outsideTolerance,
      drawOptions: (schedule, random) => {
        if (schedule === "staged" && random.chance(0.6)) return { stripRows: random.integer(1, 20) };
        if (schedule === "single_pass" && random.chance(0.6)) return { splits: random.integer(1, 4) };
        return {};
      },
    }),
  exact: [],
  rounded: ["f16", "bf16"],
  roundsAll: true,
  // Sizes that 16-byte copies take; tiles are 64 rows, so lengths reach beyond two of them.
  cases: {
    maxKeys: 150,
    maxDim: 48,
    dimStep: 8,
    maxHeads: 20,
    maxBatch: 2,
    storages: ["f16", "bf16"],
    normalizers: ["softmax"],
    shifts: true,
  },
  fitsAll: false,
  known: ["f16"],
  depth: 2,
  // `staged` keeps final scores in f16, which has no room for them.
  holdsOffsets: false,
  // Scalar units compute it.
  drops: [],
};
