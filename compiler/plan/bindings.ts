import {
  type BindingElement,
  type BufferBinding,
  findTensor,
  hasMask,
  type Operand,
  type Pipeline,
} from "../../runtime/contract/index.ts";
import type { Task } from "./machine.ts";

/** A resource as one kernel binds it. */
export interface BoundResource {
  readonly resource: string;
  readonly operand: Operand;
}

/** What a kernel reads and writes, in the order of its bindings; `integers` stands for what holds the call's integer inputs. */
export interface KernelResources {
  readonly read: readonly (string | BoundResource)[];
  readonly written: readonly (string | BoundResource)[];
}

/** Elements of what lies in the workspace, and of the parameters. */
const WORKSPACE: Readonly<Record<string, { readonly element: BindingElement; readonly width: number }>> = {
  parameters: { element: "word", width: 1 },
  d_parameters: { element: "f32", width: 1 },
  statistics: { element: "f32", width: 2 },
  partial_values: { element: "f32", width: 1 },
  partial_sums: { element: "f32", width: 1 },
  partial_results: { element: "f32", width: 1 },
  // Convolved keys are copied as keys are where tensor cores multiply them.
  folded_keys: { element: "storage", width: 8 },
};

/** A tensor of the call, the parameters or a workspace buffer under its own name. */
function tensorOperand({ alignment }: Task, resource: string): BoundResource {
  const tensor = findTensor(resource);
  if (tensor === null) {
    const known = WORKSPACE[resource];
    if (known === undefined) throw new RangeError(`nobody says what the resource "${resource}" holds`);
    return { resource, operand: { variable: resource, ...known } };
  }
  // f32 tensors of a call may hold infinities.
  const element = tensor.element === "f32" ? "word" : tensor.element;
  const { q, k, v, o } = alignment;
  const width = { q, q_history: q, k, v, o }[resource] ?? 1;
  return { resource, operand: { variable: resource, element, width } };
}

/** A map as a kernel reads or writes it, under the name that it has there. */
export function mapOperand(
  resource: string,
  variable: string,
  width: number,
  element: BindingElement = "f32",
): BoundResource {
  return { resource, operand: { variable, element, width } };
}

const LAUNCH: BufferBinding = {
  binding: 0,
  access: "uniform",
  resource: "launch",
  operand: { variable: "launch", element: "launch", width: 1 },
};

/**
 * Numbers the bindings of a kernel; the uniform block is always 0. `bias` is left out where the mask has none, and
 * `integers` become what the machine binds for them.
 */
export function bind(task: Task, { read, written }: KernelResources): BufferBinding[] {
  const { pipeline, machine } = task;
  const integers = machine.naming.integers(pipeline);
  // A set: what stands for the integers may be read for itself, too.
  const expanded = new Set<string | BoundResource>(
    read.flatMap((each): KernelResources["read"] => (each === "integers" ? integers : [each])),
  );
  const resources = [
    ...[...expanded].map((each) => ({ each, access: "read" as const })),
    ...written.map((each) => ({ each, access: "read_write" as const })),
  ].filter(({ each }) => each !== "bias" || hasMask(pipeline, "bias"));
  return [
    LAUNCH,
    ...resources.map(({ each, access }, index) => {
      const { resource, operand } = typeof each === "string" ? tensorOperand(task, each) : each;
      return { binding: index + 1, access, resource, operand };
    }),
  ];
}

/** The integer inputs that the mask and the placement of rows need. */
export function integerBuffers(pipeline: Pipeline): readonly string[] {
  return [
    "positions",
    ...(hasMask(pipeline, "lengths") ? ["lengths"] : []),
    ...(hasMask(pipeline, "documents") ? ["documents"] : []),
  ];
}

export function storageBufferCount(bindings: readonly BufferBinding[]): number {
  return bindings.filter((binding) => binding.access !== "uniform").length;
}
