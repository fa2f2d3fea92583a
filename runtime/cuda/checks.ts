import { checkTensorKind } from "../contract/arguments.ts";
import { INTEGER_INPUTS } from "../contract/call.ts";
import type { CallSize } from "../contract/expand.ts";
import { bytesPerElement, spanBytes } from "../contract/layout.ts";
import type { Plan } from "../contract/plan.ts";
import type { AttentionInputs } from "../contract/tensor.ts";
import {
  findOutputShapeFault,
  findTensorFault,
  type TensorFault,
  type TensorRules,
} from "../contract/tensor-faults.ts";
import { checkInputs } from "../contract/validate.ts";
import type { CudaBackend } from "./backend.ts";
import { CudaError, type CudaErrorCode, hex } from "./errors.ts";
import { CUDA_TENSORS, type CudaTensor, elementAddress } from "./tensors.ts";

/** Where a call's results go. */
export interface CudaOutputs {
  /** [B, H, Lq, Dv] in the pipeline's storage type; any strides, the last one 1. */
  readonly o: CudaTensor;
  /** f32 [B, H, Lq], contiguous: log of the softmax's sum, −∞ for a row that sees no key. Unused with sparsemax. */
  readonly lse?: CudaTensor;
}

/** A call whose tensors are checked. */
export interface CudaCall {
  readonly size: CallSize;
  readonly inputs: AttentionInputs<CudaTensor>;
}

/** Widest access of the kernels (`ld.global.v4`, `cp.async` of 16 bytes). */
const WIDEST_ACCESS = 16;

const FAULT_CODES = {
  storage: "MTA820",
  strides: "MTA821",
  alignment: "MTA822",
  shape: "MTA827",
} as const satisfies Record<TensorFault["kind"], CudaErrorCode>;

/**
 * Checks the inputs' shapes, storage, strides, alignment and bounds.
 *
 * @throws MtacError MTA601 … MTA608 (shapes), CudaError MTA820 … MTA825.
 */
export function describeCall(
  backend: CudaBackend,
  plan: Plan,
  inputs: AttentionInputs<CudaTensor>,
): CudaCall {
  const { pipeline, alignment } = plan;
  const shape = checkInputs(pipeline, inputs);
  const { storage } = pipeline;
  checkTensor(backend, "q", inputs.q, { storage, alignment: alignment.q });
  checkTensor(backend, "k", inputs.k, { storage, alignment: alignment.k });
  checkTensor(backend, "v", inputs.v, { storage, alignment: alignment.v });
  if (inputs.qHistory !== undefined && shape.R > 0)
    checkTensor(backend, "q_history", inputs.qHistory, { storage, alignment: alignment.q });
  if (inputs.bias !== undefined) checkTensor(backend, "bias", inputs.bias, { storage: "f32", alignment: 1 });
  for (const name of INTEGER_INPUTS) {
    const tensor = inputs[name];
    if (tensor !== undefined)
      checkTensor(backend, name, tensor, { storage: "i32", alignment: 1, contiguous: true });
  }
  return { size: { ...shape, positions: inputs.positions !== undefined }, inputs };
}

/**
 * Checks tensors that the caller gives for the results.
 *
 * @throws CudaError MTA820 … MTA827.
 */
export function checkOutputs(backend: CudaBackend, plan: Plan, call: CudaCall, outputs: CudaOutputs): void {
  const { heads, valueDim, storage } = plan.pipeline;
  const { B, Lq } = call.size;
  checkTensorKind("output o", outputs?.o, CUDA_TENSORS);
  refuse(findOutputShapeFault("o", outputs.o, [B, heads, Lq, valueDim]));
  checkTensor(backend, "o", outputs.o, { storage, alignment: plan.alignment.o, written: true });
  if (outputs.lse !== undefined) {
    checkTensorKind("output lse", outputs.lse, CUDA_TENSORS);
    refuse(findOutputShapeFault("lse", outputs.lse, [B, heads, Lq]));
    checkTensor(backend, "lse", outputs.lse, { storage: "f32", alignment: 1, contiguous: true });
  }
  checkOverlaps(call, outputs);
}

function refuse(fault: TensorFault | null): void {
  if (fault !== null) throw new CudaError(FAULT_CODES[fault.kind], fault.message, { remedy: fault.remedy });
}

function checkTensor(backend: CudaBackend, name: string, tensor: CudaTensor, rules: TensorRules): void {
  refuse(findTensorFault(name, tensor, rules));
  const { address, offset = 0, shape, strides, storage } = tensor;
  const alignment = Math.min(rules.alignment * bytesPerElement(storage), WIDEST_ACCESS);
  if (!Number.isSafeInteger(offset) || offset < 0 || elementAddress(tensor) % BigInt(alignment) !== 0n) {
    throw new CudaError(
      "MTA823",
      `the tensor ${name} starts at address ${hex(address)} + ${offset}; the kernels need a multiple of ${alignment}`,
      { remedy: `place it at a multiple of ${alignment} bytes, or copy it to memory of its own` },
    );
  }
  const found = backend.locate(elementAddress(tensor));
  if (found === undefined) return;
  if (found === null) {
    throw new CudaError(
      "MTA825",
      `the tensor ${name} starts at address ${hex(elementAddress(tensor))}, which is not memory of this device`,
    );
  }
  const end = Number(elementAddress(tensor) - found.address) + spanBytes(tensor);
  if (end <= found.bytes) return;
  throw new CudaError(
    "MTA824",
    `the tensor ${name} (${storage} [${shape.join(", ")}], strides [${strides.join(", ")}], offset ${offset}) reaches ` +
      `to byte ${end}, ${end - found.bytes} past the end of its allocation (${found.bytes} bytes)`,
    { remedy: "check shape and strides" },
  );
}

/** Kernels read inputs through caches that see no writes of the same launch, so results may not lie among them. */
function checkOverlaps({ inputs }: CudaCall, { o, lse }: CudaOutputs): void {
  const { q, k, v, qHistory, documents, lengths, positions, bias } = inputs;
  const others = Object.entries({
    q,
    k,
    v,
    q_history: qHistory,
    documents,
    lengths,
    positions,
    bias,
    lse,
  });
  for (const [name, tensor] of others) if (tensor !== undefined) checkApart("o", o, name, tensor);
  if (lse === undefined) return;
  for (const [name, tensor] of others)
    if (tensor !== undefined && name !== "lse") checkApart("lse", lse, name, tensor);
}

function checkApart(output: string, a: CudaTensor, name: string, b: CudaTensor): void {
  const [startA, startB] = [elementAddress(a), elementAddress(b)];
  const apart = startA + BigInt(spanBytes(a)) <= startB || startB + BigInt(spanBytes(b)) <= startA;
  if (!apart) throw new CudaError("MTA826", `the output ${output} overlaps the tensor ${name} in memory`);
}
