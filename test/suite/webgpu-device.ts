import { WEBGPU_DEFAULT_LIMITS } from "../../compiler/plan/index.ts";
import { SCHEDULES } from "../../runtime/contract/index.ts";
import { fittingPlans, limitsOf, runPlan } from "../support/gpu.ts";
import { disagreement } from "../support/trial.ts";
import type { Planner, SuiteDevice } from "./target.ts";

/** A device of WebGPU; `close` destroys it. */
export function webgpuSuiteDevice(device: GPUDevice): SuiteDevice {
  const own = limitsOf(device);
  const within = (limits: typeof own): Planner => ({
    name: `${limits.workgroupBytes / 1024} KiB`,
    plans: (pipeline, shape, schedule, options) => fittingPlans(pipeline, limits, shape, schedule, options),
  });
  return {
    schedules: SCHEDULES,
    planner: within(own),
    fallback: null,
    drawPlanner: (random) =>
      within(random.chance(0.3) ? { ...WEBGPU_DEFAULT_LIMITS, features: own.features } : own),
    drawOptions: (schedule, random) => {
      if (schedule === "staged")
        return random.chance(0.6)
          ? { stripRows: random.integer(1, 32), stripBytes: 2 ** random.integer(8, 22) }
          : {};
      return random.chance(0.4) ? { dispatchBudget: 2 ** random.integer(4, 18) } : {};
    },
    run: (plan, parameters, inputs, scatter) =>
      runPlan(device, plan, parameters, inputs, scatter === null ? {} : { scatter }),
    problem: disagreement,
    close: () => device.destroy(),
  };
}
