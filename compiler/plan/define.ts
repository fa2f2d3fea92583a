import {
  type Cost,
  type KernelProgram,
  PLAN_FORMAT,
  type Plan,
  type Schedule,
  type SourceLine,
  type Step,
  type WorkspaceBuffer,
} from "../../runtime/contract/index.ts";
import { bind, type KernelResources, storageBufferCount } from "./bindings.ts";
import { type UnlaunchedKernel, withLaunchFields } from "./launch-fields.ts";
import { layoutParameters } from "./layout.ts";
import type { Task } from "./machine.ts";
import type { KernelSize } from "./work.ts";

/** What a lowering tells of one kernel; the rest of its plan follows from the machine. */
export interface Kernel<Program extends KernelProgram = KernelProgram> extends KernelSize, KernelResources {
  readonly program: Program;
  readonly source: SourceLine | null;
}

/** What a schedule decides of a plan. */
export interface PlanParts {
  readonly definitions: Plan["definitions"];
  readonly workspace: readonly WorkspaceBuffer[];
  readonly kernels: readonly Kernel[];
  readonly steps: readonly Step[];
}

/** What a plan is called, and predicted to cost. */
export interface PlanHead {
  readonly schedule: Schedule;
  readonly knobs: Plan["knobs"];
  readonly cost: Cost;
}

/** A whole plan: what its schedule decides, and what follows of that from pipeline and machine. */
export function definePlan(task: Task, { schedule, knobs, cost }: PlanHead, parts: PlanParts): Plan {
  const { pipeline, machine, shape, alignment } = task;
  const storage = machine.storage(pipeline, task.storage);
  const kernels = parts.kernels.map((kernel) => kernelPlan(task, kernel));
  return {
    format: PLAN_FORMAT,
    target: machine.target,
    ...(task.direction === undefined ? {} : { direction: task.direction }),
    schedule,
    storage,
    pipeline,
    knobs,
    requires: {
      workgroupBytes: Math.max(...kernels.map((kernel) => kernel.workgroupBytes)),
      invocations: Math.max(...kernels.map((kernel) => kernel.workgroupSize)),
      storageBuffers: Math.max(...kernels.map((kernel) => storageBufferCount(kernel.bindings))),
      ...machine.requires(storage),
    },
    ...layoutParameters(pipeline),
    alignment,
    workspace: parts.workspace,
    definitions: parts.definitions,
    kernels: withLaunchFields(pipeline, kernels, parts.steps, machine.naming.sharedLaunch),
    steps: parts.steps,
    nominal: shape,
    cost,
  };
}

function kernelPlan(task: Task, kernel: Kernel): UnlaunchedKernel {
  const { name, program, workgroup, workgroupBytes, read, source } = kernel;
  const { pipeline, machine } = task;
  const { naming } = machine;
  return {
    name,
    file: naming.file(pipeline, name),
    entryPoint: naming.entryPoint(pipeline, name),
    workgroupSize: workgroup,
    workgroupBytes,
    bindings: bind(task, kernel),
    overrides: read.includes("q_history") ? naming.historyOverrides : {},
    source,
    program,
  };
}
