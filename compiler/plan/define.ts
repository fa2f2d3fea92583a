import type {
  Cost,
  Pipeline,
  Plan,
  Schedule,
  Step,
  StorageForm,
  WorkspaceBuffer,
} from "../../runtime/contract/index.ts";
import { storageBufferCount } from "./bindings.ts";
import { type UnlaunchedKernel, withLaunchFields } from "./launch-fields.ts";
import { alignment, layoutParameters, storageForm } from "./layout.ts";
import type { PlanRequest } from "./machine.ts";

/**
 * Multiply-adds that one dispatch may do: about a second on a processor that emulates a GPU, a millisecond on a small
 * GPU. Browsers end dispatches that run for seconds.
 */
export const DISPATCH_MULTIPLY_ADDS = 2 ** 29;

/** What a schedule decides; the rest of a plan follows from pipeline and request. */
export interface PlanParts {
  readonly schedule: Schedule;
  readonly knobs: Readonly<Record<string, number | string>>;
  readonly definitions: Plan["definitions"];
  readonly workspace: readonly WorkspaceBuffer[];
  readonly kernels: readonly UnlaunchedKernel[];
  readonly steps: readonly Step[];
  readonly cost: Cost;
}

export function definePlan(pipeline: Pipeline, request: PlanRequest, parts: PlanParts): Plan {
  const storage = request.storage ?? storageForm(pipeline, request.machine.limits);
  return {
    format: 1,
    target: request.machine.target,
    schedule: parts.schedule,
    storage,
    pipeline,
    knobs: parts.knobs,
    requires: {
      workgroupBytes: Math.max(...parts.kernels.map((kernel) => kernel.workgroupBytes)),
      invocations: Math.max(...parts.kernels.map((kernel) => kernel.workgroupSize)),
      storageBuffers: Math.max(...parts.kernels.map((kernel) => storageBufferCount(kernel.bindings))),
      features: featuresOf(storage),
    },
    ...layoutParameters(pipeline),
    alignment: alignment(pipeline),
    workspace: parts.workspace,
    definitions: parts.definitions,
    kernels: withLaunchFields(pipeline, parts.kernels, parts.steps, request.machine.target === "cuda"),
    steps: parts.steps,
    nominal: request.shape,
    cost: parts.cost,
  };
}

/** The same plan for buffers of another storage form: nothing else depends on it. */
export function withStorage(plan: Plan, storage: StorageForm): Plan {
  return { ...plan, storage, requires: { ...plan.requires, features: featuresOf(storage) } };
}

function featuresOf(storage: StorageForm): readonly string[] {
  return storage === "f16-native" ? ["shader-f16"] : [];
}
