import { checkTensorKind, TENSOR_KEYS, TENSOR_NAMES } from "../contract/arguments.ts";
import { INTEGER_INPUTS, type IntegerInput } from "../contract/call.ts";
import type { CallSize } from "../contract/expand.ts";
import type { Plan } from "../contract/plan.ts";
import { type AttentionInputs, elementCount } from "../contract/tensor.ts";
import {
  findOutputShapeFault,
  findTensorFault,
  type TensorFault,
  type TensorRules,
} from "../contract/tensor-faults.ts";
import { checkInputs } from "../contract/validate.ts";
import type { NamedBuffer } from "./blame.ts";
import { GpuError, type GpuErrorCode } from "./errors.ts";
import { checkPlacement } from "./placement.ts";
import { type DeviceTensor, GPU_TENSORS } from "./tensors.ts";

/** Where a call's results go. */
export interface AttentionOutputs {
  /** [B, H, Lq, Dv] in the pipeline's storage type; any strides, the last one 1. */
  readonly o: DeviceTensor;
  /** f32 [B, H, Lq], contiguous: log of the softmax's sum, −∞ for a row that sees no key. Unused with sparsemax. */
  readonly lse?: DeviceTensor;
}

/** A call whose tensors are checked. */
export interface Call {
  readonly size: CallSize;
  readonly inputs: AttentionInputs<DeviceTensor>;
  /** Integer inputs that the call gives, with their places in the `parameters` buffer, in words. */
  readonly integers: readonly {
    readonly name: IntegerInput;
    readonly tensor: DeviceTensor;
    readonly at: number;
  }[];
  /** Words of the `parameters` buffer that this call needs. */
  readonly parameterWords: number;
}

/**
 * Checks the inputs' shapes, storage, strides, alignment, buffers and usage flags.
 *
 * @throws MtacError MTA601 … MTA608 (shapes), GpuError MTA720 … MTA725.
 */
export function describeCall(device: GPUDevice, plan: Plan, inputs: AttentionInputs<DeviceTensor>): Call {
  const { pipeline, alignment } = plan;
  const shape = checkInputs(pipeline, inputs);
  const { storage } = pipeline;
  const operand = (name: string, tensor: DeviceTensor, align: number): void =>
    checkTensor(device, name, tensor, { storage, alignment: align, usage: "STORAGE" });
  operand("q", inputs.q, alignment.q);
  operand("k", inputs.k, alignment.k);
  operand("v", inputs.v, alignment.v);
  if (inputs.qHistory !== undefined && shape.R > 0) operand("q_history", inputs.qHistory, alignment.q);
  if (inputs.bias !== undefined) {
    checkTensor(device, "bias", inputs.bias, { storage: "f32", alignment: 1, usage: "STORAGE" });
  }
  let at = plan.parameterWords;
  const integers: Call["integers"][number][] = [];
  for (const name of INTEGER_INPUTS) {
    const tensor = inputs[name];
    if (tensor === undefined) continue;
    checkTensor(device, name, tensor, { storage: "i32", alignment: 1, usage: "COPY_SRC", contiguous: true });
    integers.push({ name, tensor, at });
    at += elementCount(tensor.shape);
  }
  return {
    size: { ...shape, positions: inputs.positions !== undefined },
    inputs,
    integers,
    parameterWords: at,
  };
}

/**
 * Checks tensors that the caller gives for the results.
 *
 * @throws GpuError MTA720 … MTA725, MTA727.
 */
export function checkOutputs(device: GPUDevice, plan: Plan, size: CallSize, outputs: AttentionOutputs): void {
  const { heads, valueDim, storage } = plan.pipeline;
  checkTensorKind("output o", outputs?.o, GPU_TENSORS);
  refuse(findOutputShapeFault("o", outputs.o, [size.B, heads, size.Lq, valueDim]));
  checkTensor(device, "o", outputs.o, {
    storage,
    alignment: plan.alignment.o,
    usage: "STORAGE",
    written: true,
  });
  if (outputs.lse === undefined) return;
  checkTensorKind("output lse", outputs.lse, GPU_TENSORS);
  refuse(findOutputShapeFault("lse", outputs.lse, [size.B, heads, size.Lq]));
  checkTensor(device, "lse", outputs.lse, {
    storage: "f32",
    alignment: 1,
    usage: "STORAGE",
    contiguous: true,
  });
}

/** The caller's tensors of a call, for errors that are about one of them. */
export function namedBuffers(
  inputs: AttentionInputs<DeviceTensor>,
  outputs: AttentionOutputs | undefined,
): readonly NamedBuffer[] {
  const named: [string, DeviceTensor | undefined][] = [
    ...TENSOR_KEYS.map((key): [string, DeviceTensor | undefined] => [TENSOR_NAMES[key], inputs[key]]),
    ["o", outputs?.o],
    ["lse", outputs?.lse],
  ];
  return named.flatMap(([name, tensor]) => (tensor === undefined ? [] : [{ name, buffer: tensor.buffer }]));
}

interface BufferRules extends TensorRules {
  readonly usage: "STORAGE" | "COPY_SRC";
}

const FAULT_CODES = {
  storage: "MTA720",
  strides: "MTA721",
  alignment: "MTA722",
  shape: "MTA727",
} as const satisfies Record<TensorFault["kind"], GpuErrorCode>;

function refuse(fault: TensorFault | null): void {
  if (fault !== null) throw new GpuError(FAULT_CODES[fault.kind], fault.message, { remedy: fault.remedy });
}

function checkTensor(device: GPUDevice, name: string, tensor: DeviceTensor, rules: BufferRules): void {
  refuse(findTensorFault(name, tensor, rules));
  const { usage } = rules;
  // Copies (WebGPU, "copyBufferToBuffer") work in words; bindings have an alignment of their own.
  const alignment = usage === "COPY_SRC" ? 4 : device.limits.minStorageBufferOffsetAlignment;
  checkPlacement(name, tensor, { usage, alignment });
}
