import type { CallField } from "../contract/launch.ts";
import { depthScale } from "../contract/pipeline.ts";
import type { Plan } from "../contract/plan.ts";
import { type AttentionInputs, elementCount } from "../contract/tensor.ts";
import { checkInputs } from "../contract/validate.ts";
import { BUFFER_USAGE } from "./constants.ts";
import { GpuError } from "./errors.ts";
import type { CallSize } from "./expand.ts";
import {
  bytesPerElement,
  contiguousStrides,
  type DeviceStorage,
  type DeviceTensor,
  elementSpan,
} from "./tensors.ts";

/** Where a call's results go. */
export interface AttentionOutputs {
  /** [B, H, Lq, Dv] in the pipeline's storage type; any strides, the last one 1. */
  readonly o: DeviceTensor;
  /** f32 [B, H, Lq], contiguous: log of the softmax's sum, −∞ for a row that sees no key. Unused with sparsemax. */
  readonly lse?: DeviceTensor;
}

export type IntegerInput = "positions" | "lengths" | "documents";

/** The integer inputs, in the order in which they follow the parameters. */
export const INTEGER_INPUTS: readonly IntegerInput[] = ["positions", "lengths", "documents"];

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
  const expect = (name: string, tensor: DeviceTensor, shape: readonly number[]): void => {
    if (tensor.shape.length === shape.length && shape.every((length, axis) => length === tensor.shape[axis]))
      return;
    throw new GpuError(
      "MTA727",
      `the output ${name} has shape [${tensor.shape.join(", ")}]; expected [${shape.join(", ")}]`,
      {
        remedy: "allocate the output for the call's own B, H and Lq",
      },
    );
  };
  expect("o", outputs.o, [size.B, heads, size.Lq, valueDim]);
  checkTensor(device, "o", outputs.o, {
    storage,
    alignment: plan.alignment.o,
    usage: "STORAGE",
    written: true,
  });
  if (outputs.lse === undefined) return;
  expect("lse", outputs.lse, [size.B, heads, size.Lq]);
  checkTensor(device, "lse", outputs.lse, {
    storage: "f32",
    alignment: 1,
    usage: "STORAGE",
    contiguous: true,
  });
}

interface TensorRules {
  readonly storage: DeviceStorage;
  /** Elements that strides must be multiples of. */
  readonly alignment: number;
  readonly usage: "STORAGE" | "COPY_SRC";
  readonly contiguous?: boolean;
  readonly written?: boolean;
}

function checkTensor(device: GPUDevice, name: string, tensor: DeviceTensor, rules: TensorRules): void {
  if (tensor.storage !== rules.storage) {
    throw new GpuError(
      "MTA720",
      `the tensor ${name} is stored as ${tensor.storage}; the attention needs ${rules.storage}`,
      {
        remedy: `upload it as ${rules.storage}, or change \`storage\` in the spec`,
      },
    );
  }
  checkStrides(name, tensor, rules);
  checkPlacement(device, name, tensor, rules.usage);
}

function checkStrides(name: string, { shape, strides }: DeviceTensor, rules: TensorRules): void {
  const shown = `[${strides.join(", ")}]`;
  const fail = (problem: string, remedy: string): never => {
    throw new GpuError("MTA721", `the tensor ${name} has strides ${shown}: ${problem}`, { remedy });
  };
  if (strides.length !== shape.length)
    fail(`its shape has ${shape.length} axes`, "give one stride for each axis, in elements");
  if (strides.some((stride) => !Number.isSafeInteger(stride) || stride < 0 || stride > 0xffffffff)) {
    fail("strides are whole numbers from 0 to 2^32 − 1", "count strides in elements");
  }
  if ((shape.at(-1) ?? 1) > 1 && strides.at(-1) !== 1) {
    fail("the last axis must be contiguous", "copy the tensor so that its last stride is 1");
  }
  const wide = shape
    .map((size, axis) => ({ size, axis, stride: strides[axis] ?? 0 }))
    .filter(({ size }) => size > 1);
  if (rules.contiguous === true) {
    const expected = contiguousStrides(shape);
    if (wide.some(({ axis, stride }) => stride !== expected[axis])) {
      fail(
        `it must be contiguous, with strides [${expected.join(", ")}]`,
        "copy it into a contiguous buffer",
      );
    }
  }
  if (rules.written === true && overlaps(wide)) {
    fail("elements overlap, and an output's must not", "give each element a place of its own");
  }
  const rows = wide.filter(({ axis }) => axis < shape.length - 1);
  const unaligned = rows.find(({ stride }) => stride % rules.alignment !== 0);
  if (unaligned === undefined) return;
  throw new GpuError(
    "MTA722",
    `the tensor ${name} has strides ${shown}: the kernels need multiples of ${rules.alignment} elements, axis ` +
      `${unaligned.axis} has ${unaligned.stride}`,
    { remedy: `pad the rows to a multiple of ${rules.alignment} elements` },
  );
}

/** Whether two elements may share a place: sorted by stride, each axis must step over all that the smaller ones span. */
function overlaps(axes: readonly { readonly size: number; readonly stride: number }[]): boolean {
  let span = 1;
  for (const { size, stride } of axes.toSorted((a, b) => a.stride - b.stride)) {
    if (stride < span) return true;
    span += (size - 1) * stride;
  }
  return false;
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
export function boundBytes({ shape, strides, storage }: DeviceTensor): number {
  return Math.ceil((elementSpan(shape, strides) * bytesPerElement(storage)) / 4) * 4;
}

/** The call's part of the uniform block. */
export function callValues(plan: Plan, call: Call, o: DeviceTensor): Record<CallField, number> {
  const { q, k, v, qHistory, bias, layer } = call.inputs;
  const { B, Lq, Lk, R, positions } = call.size;
  const at = (name: IntegerInput): number => call.integers.find((integer) => integer.name === name)?.at ?? 0;
  const stride = (tensor: DeviceTensor | undefined, axis: number): number => {
    // An axis of one element has no second one; kernels that add its stride to a broadcast index must find 0.
    if (tensor === undefined || (tensor.shape[axis] ?? 1) === 1) return 0;
    return tensor.strides[axis] ?? 0;
  };
  const scaled = plan.pipeline.output.some((stage) => stage.kind === "norm" && stage.depthScale);
  return {
    batches: B,
    query_rows: Lq,
    key_rows: Lk,
    history_rows: R,
    q_stride_b: stride(q, 0),
    q_stride_h: stride(q, 1),
    q_stride_l: stride(q, 2),
    q_history_stride_b: stride(qHistory, 0),
    q_history_stride_h: stride(qHistory, 1),
    q_history_stride_l: stride(qHistory, 2),
    k_stride_b: stride(k, 0),
    k_stride_h: stride(k, 1),
    k_stride_l: stride(k, 2),
    v_stride_b: stride(v, 0),
    v_stride_h: stride(v, 1),
    v_stride_l: stride(v, 2),
    o_stride_b: stride(o, 0),
    o_stride_h: stride(o, 1),
    o_stride_l: stride(o, 2),
    bias_stride_b: stride(bias, 0),
    bias_stride_h: stride(bias, 1),
    bias_stride_l: stride(bias, 2),
    has_positions: positions ? 1 : 0,
    positions_at: at("positions"),
    lengths_at: at("lengths"),
    documents_at: at("documents"),
    depth_scale: scaled && layer !== undefined ? depthScale(layer) : 1,
  };
}
