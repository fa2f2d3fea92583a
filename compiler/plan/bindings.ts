import {
  type BindingElement,
  type BufferBinding,
  findTensor,
  hasMask,
  type Operand,
  type Pipeline,
} from "../../runtime/contract/index.ts";
import { alignment } from "./layout.ts";

/** A resource as one kernel binds it. */
export interface BoundResource {
  readonly resource: string;
  readonly operand: Operand;
}

/** Elements of what lies in the workspace, and of the parameters. */
const WORKSPACE: Readonly<Record<string, { readonly element: BindingElement; readonly width: number }>> = {
  parameters: { element: "word", width: 1 },
  statistics: { element: "f32", width: 2 },
  partial_values: { element: "f32", width: 1 },
  partial_sums: { element: "f32", width: 1 },
  folded_keys: { element: "storage", width: 1 },
};

/** A tensor of the call, the parameters or a workspace buffer under its own name. */
export function tensorOperand(pipeline: Pipeline, resource: string): BoundResource {
  const tensor = findTensor(resource);
  if (tensor === null) {
    const known = WORKSPACE[resource];
    if (known === undefined) throw new RangeError(`nobody says what the resource "${resource}" holds`);
    return { resource, operand: { variable: resource, ...known } };
  }
  // f32 tensors of a call may hold infinities.
  const element = tensor.element === "f32" ? "word" : tensor.element;
  return { resource, operand: { variable: resource, element, width: widthOf(pipeline, resource) } };
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

function widthOf(pipeline: Pipeline, resource: string): number {
  const { q, k, v, o } = alignment(pipeline);
  return { q, q_history: q, k, v, o }[resource] ?? 1;
}

const LAUNCH: BufferBinding = {
  binding: 0,
  access: "uniform",
  resource: "launch",
  operand: { variable: "launch", element: "launch", width: 1 },
};

/** Numbers the bindings of a kernel; the uniform block is always 0. `bias` is left out where the mask has none. */
export function bind(
  pipeline: Pipeline,
  read: readonly (string | BoundResource)[],
  written: readonly (string | BoundResource)[],
): BufferBinding[] {
  const resources = [
    ...read.map((each) => ({ each, access: "read" as const })),
    ...written.map((each) => ({ each, access: "read_write" as const })),
  ].filter(({ each }) => each !== "bias" || hasMask(pipeline, "bias"));
  return [
    LAUNCH,
    ...resources.map(({ each, access }, index) => {
      const { resource, operand } = typeof each === "string" ? tensorOperand(pipeline, each) : each;
      return { binding: index + 1, access, resource, operand };
    }),
  ];
}

/**
 * The bindings of a CUDA kernel, in the order of its parameters: no fewer pointers than it reads. Kernels that read
 * `integers` get those that the mask and the placement of rows need.
 */
export function bindCuda(
  pipeline: Pipeline,
  read: readonly (string | BoundResource)[],
  written: readonly (string | BoundResource)[],
): BufferBinding[] {
  const integers = integerBuffers(pipeline);
  const expanded = read.flatMap((each): readonly (string | BoundResource)[] =>
    each === "integers" ? integers : [each],
  );
  return bind(pipeline, expanded, written);
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
