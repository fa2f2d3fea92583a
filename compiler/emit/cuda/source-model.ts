import type { KernelPlan } from "../../../runtime/contract/index.ts";
import { CUDA, elementType } from "../dialect/cuda.ts";
import { operandOf } from "../model/source.ts";

/** A constant of a CUDA kernel. */
export interface CudaConstant {
  readonly type: "int" | "unsigned" | "float" | "bool";
  readonly name: string;
  readonly value: string;
  readonly comment?: string;
}

/** A C++ literal of type float. */
export function cudaFloat(value: number): string {
  return CUDA.literal("f32", value);
}

/** A parameter of a kernel's C++ signature. */
export interface KernelParameter {
  readonly type: string;
  readonly name: string;
}

/**
 * C++ parameters of a kernel, in the order of its bindings.
 * @param storage The type of the elements of tensors.
 */
export function cudaParameters(kernel: KernelPlan, storage: string): KernelParameter[] {
  return kernel.bindings.map((bound) => {
    const { access } = bound;
    const { variable, element, width } = operandOf(bound);
    if (access === "uniform") return { type: "const Launch", name: variable };
    const constant = access === "read_write" ? "" : "const ";
    return { type: `${constant}${elementType(element, width, storage)}* __restrict__`, name: variable };
  });
}
