import { checkTensorKind, checkTensors } from "../contract/arguments.ts";
import { type CallSize, expandPlan } from "../contract/expand.ts";
import type { Layout } from "../contract/layout.ts";
import type { Plan } from "../contract/plan.ts";
import { INPUT_TENSORS, OUTPUT_TENSORS, shapeOf, type TensorResource } from "../contract/resources.ts";
import type { AttentionInputs } from "../contract/tensor.ts";
import { findOutputShapeFault, findTensorFault, type TensorFault } from "../contract/tensor-faults.ts";
import { checkInputs } from "../contract/validate.ts";
import type { Backend, BackendTypes, CallOutputs, CheckedCall, TensorChecks } from "./backend.ts";

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
  for (const input of INPUT_TENSORS) {
    const tensor = inputs[input.key];
    // History without rows is not read.
    if (tensor === undefined || (input.key === "qHistory" && size.R === 0)) continue;
    checkTensor(backend, plan, input, tensor);
    tensors.set(input.name, tensor);
  }
  const given = new Map<string, Tensor>();
  for (const output of outputs === undefined ? [] : OUTPUT_TENSORS) {
    const { key, name, axes, optional } = output;
    // Whoever writes JavaScript may give null.
    const tensor = outputs?.[key];
    if (tensor === undefined && optional) continue;
    checkTensorKind(`output ${name}`, tensor, backend.tensors);
    refuse(backend, findOutputShapeFault(name, tensor, shapeOf(plan.pipeline, axes, size)));
    checkTensor(backend, plan, output, tensor);
    given.set(name, tensor);
  }
  const expanded = expandPlan(plan, size);
  backend.sizes?.checkCall(plan, size, expanded);
  return { plan, size, expanded, inputs, tensors, outputs: given };
}

function checkTensor<Tensor extends Layout>(
  backend: TensorChecks<Tensor>,
  { pipeline, alignment }: Plan,
  { name, role, element, strided }: TensorResource,
  tensor: Tensor,
): void {
  const storage = element === "storage" ? pipeline.storage : element;
  const alignments: Readonly<Partial<Record<string, number>>> = alignment;
  const rules = {
    storage,
    // History's rows are read as those of q.
    alignment: alignments[name === "q_history" ? "q" : name] ?? 1,
    contiguous: !strided,
    written: role === "output",
  };
  refuse(backend, findTensorFault(name, tensor, rules));
  backend.checkPlacement(name, tensor, rules);
}

function refuse<Tensor extends Layout>(backend: TensorChecks<Tensor>, fault: TensorFault | null): void {
  if (fault !== null) throw backend.error(fault.kind, fault.message, { remedy: fault.remedy });
}
