import { checkTensorKind, TENSOR_KEYS, TENSOR_NAMES } from "../contract/arguments.ts";
import { INTEGER_INPUTS, type IntegerInput } from "../contract/call.ts";
import type { CallSize } from "../contract/expand.ts";
import { spanBytes } from "../contract/layout.ts";
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
import { BUFFER_USAGE } from "./constants.ts";
import { GpuError, type GpuErrorCode } from "./errors.ts";
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
  checkPlacement(device, name, tensor, rules.usage);
}

function checkPlacement(
  device: GPUDevice,
  name: string,
  tensor: DeviceTensor,
  usage: "STORAGE" | "COPY_SRC",
): void {
  const { buffer, offset, shape, strides, storage } = tensor;
  // Copies (WebGPU, "copyBufferToBuffer") work in words; bindings have an alignment of their own.
  const alignment = usage === "COPY_SRC" ? 4 : device.limits.minStorageBufferOffsetAlignment;
  if (!Number.isSafeInteger(offset) || offset < 0 || offset % alignment !== 0) {
    throw new GpuError(
      "MTA723",
      `the tensor ${name} starts at byte ${offset} of its buffer; this device needs a multiple of ${alignment}`,
      {
        remedy: `place tensors at multiples of ${alignment} bytes, or copy this one to a buffer of its own`,
      },
    );
  }
  const end = offset + boundBytes(tensor);
  if (end > buffer.size) {
    throw new GpuError(
      "MTA724",
      `the tensor ${name} (${storage} [${shape.join(", ")}], strides [${strides.join(", ")}], offset ${offset}) reaches ` +
        `to byte ${end}, ${end - buffer.size} past the end of its buffer (${buffer.size} bytes)`,
      { remedy: "check shape and strides; a buffer's size is a multiple of 4 bytes" },
    );
  }
  if ((buffer.usage & BUFFER_USAGE[usage]) === 0) {
    throw new GpuError("MTA725", `the buffer of the tensor ${name} lacks the usage ${usage}`, {
      remedy: `create it with GPUBufferUsage.${usage}`,
    });
  }
}

/** Bytes of a tensor's span in whole words: what is bound, and what a kernel may touch. */
export function boundBytes(tensor: DeviceTensor): number {
  return Math.ceil(spanBytes(tensor) / 4) * 4;
}
