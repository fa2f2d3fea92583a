import {
  type Cost,
  type Pipeline,
  PLAN_FORMAT,
  type Plan,
  type Schedule,
  type Step,
  type WorkspaceBuffer,
} from "../../runtime/contract/index.ts";
import { storageBufferCount } from "./bindings.ts";
import { type UnlaunchedKernel, withLaunchFields } from "./launch-fields.ts";
import { alignment, layoutParameters } from "./layout.ts";
import type { PlanRequest } from "./machine.ts";

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
  const { machine, shape } = request;
  const storage = machine.storage(pipeline, request.storage);
  return {
    format: PLAN_FORMAT,
    target: machine.target,
    schedule: parts.schedule,
    storage,
    pipeline,
    knobs: parts.knobs,
    requires: {
      workgroupBytes: Math.max(...parts.kernels.map((kernel) => kernel.workgroupBytes)),
      invocations: Math.max(...parts.kernels.map((kernel) => kernel.workgroupSize)),
      storageBuffers: Math.max(...parts.kernels.map((kernel) => storageBufferCount(kernel.bindings))),
      ...machine.requires(storage),
    },
    ...layoutParameters(pipeline),
    alignment: alignment(pipeline),
    workspace: parts.workspace,
    definitions: parts.definitions,
    kernels: withLaunchFields(pipeline, parts.kernels, parts.steps, machine.naming.sharedLaunch),
    steps: parts.steps,
    nominal: shape,
    cost: parts.cost,
  };
}
