import {
  checkTensorKind,
  checkTensors,
  TENSOR_KEYS,
  TENSOR_NAMES,
  type TensorKey,
} from "../contract/arguments.ts";
import { type CallSize, expandPlan } from "../contract/expand.ts";
import type { Layout } from "../contract/layout.ts";
import type { Plan } from "../contract/plan.ts";
import type { AttentionInputs } from "../contract/tensor.ts";
import {
  findOutputShapeFault,
  findTensorFault,
  type TensorFault,
  type TensorRules,
} from "../contract/tensor-faults.ts";
import { checkInputs } from "../contract/validate.ts";
import type { Backend, BackendTypes, CallOutputs, CheckedCall, TensorChecks } from "./backend.ts";
import { checkLimits } from "./limits.ts";

/**
 * Checks a call: its inputs and outputs (kind, shapes, storage, strides, places), and that it stays within the device's limits.
 *
 * @param planFor The plan for the call's inputs, of which nothing is checked yet but that they are tensors.
 * @throws MtacError MTA601 … MTA608, MTA614, MTA615; the target's errors.
 */
export function checkCall<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  backend: Backend<Tensor, Types>,
  inputs: AttentionInputs<Tensor>,
  outputs: CallOutputs<Tensor> | undefined,
  planFor: (inputs: AttentionInputs<Tensor>) => Plan,
): CheckedCall<Tensor> {
  checkTensors(inputs, backend.tensors);
  const plan = planFor(inputs);
  const shape = checkInputs(plan.pipeline, inputs);
  const size: CallSize = { ...shape, positions: inputs.positions !== undefined };
  const tensors = new Map<string, Tensor>();
  for (const key of TENSOR_KEYS) {
    const tensor = inputs[key];
    if (tensor === undefined || (key === "qHistory" && size.R === 0)) continue;
    checkTensor(backend, TENSOR_NAMES[key], tensor, inputRules(plan, key));
    tensors.set(TENSOR_NAMES[key], tensor);
  }
  const given =
    outputs === undefined ? new Map<string, Tensor>() : checkOutputs(backend, plan, size, outputs);
  const expanded = expandPlan(plan, size);
  checkLimits(backend, plan, size, expanded);
  return { plan, size, expanded, inputs, tensors, outputs: given };
}

/** What kernels expect of an input. */
function inputRules({ pipeline: { storage }, alignment }: Plan, key: TensorKey): TensorRules {
  switch (key) {
    case "q":
    case "k":
    case "v":
      return { storage, alignment: alignment[key] };
    case "qHistory":
      return { storage, alignment: alignment.q };
    case "bias":
      return { storage: "f32", alignment: 1 };
    case "documents":
    case "lengths":
    case "positions":
      return { storage: "i32", alignment: 1, contiguous: true };
  }
}

function checkOutputs<Tensor extends Layout>(
  backend: TensorChecks<Tensor>,
  { pipeline, alignment }: Plan,
  { B, Lq }: CallSize,
  outputs: CallOutputs<Tensor>,
): ReadonlyMap<string, Tensor> {
  const { heads, valueDim, storage } = pipeline;
  const checked = new Map<string, Tensor>();
  const check = (name: string, tensor: Tensor, shape: readonly number[], rules: TensorRules): void => {
    checkTensorKind(`output ${name}`, tensor, backend.tensors);
    refuse(backend, findOutputShapeFault(name, tensor, shape));
    checkTensor(backend, name, tensor, rules);
    checked.set(name, tensor);
  };
  // Whoever writes JavaScript may give null.
  check("o", outputs?.o, [B, heads, Lq, valueDim], { storage, alignment: alignment.o, written: true });
  if (outputs.lse !== undefined)
    check("lse", outputs.lse, [B, heads, Lq], { storage: "f32", alignment: 1, contiguous: true });
  return checked;
}

function checkTensor<Tensor extends Layout>(
  backend: TensorChecks<Tensor>,
  name: string,
  tensor: Tensor,
  rules: TensorRules,
): void {
  refuse(backend, findTensorFault(name, tensor, rules));
  backend.checkPlacement(name, tensor, rules);
}

function refuse<Tensor extends Layout>(backend: TensorChecks<Tensor>, fault: TensorFault | null): void {
  if (fault !== null) throw backend.error(fault.kind, fault.message, { remedy: fault.remedy });
}
