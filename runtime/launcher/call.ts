import { checkTensorKind, checkTensors } from "../contract/arguments.ts";
import { MtacError } from "../contract/errors.ts";
import { type CallSize, expandPlan } from "../contract/expand.ts";
import type { Layout } from "../contract/layout.ts";
import { hasDropout } from "../contract/pipeline.ts";
import type { Plan } from "../contract/plan.ts";
import { D_O, INPUT_TENSORS, type TensorResource, VALUES } from "../contract/resources.ts";
import { type ResultTensor, resultsOf } from "../contract/results.ts";
import type { AttentionInputs } from "../contract/tensor.ts";
import { findOutputShapeFault, findTensorFault, type TensorFault } from "../contract/tensor-faults.ts";
import { checkInputs, checkShape, INPUT_CODES } from "../contract/validate.ts";
import type { Backend, BackendTypes, CheckedCall, TensorChecks } from "./backend.ts";

/** What is asked of a launcher. */
export interface AskedCall<Tensor> {
  readonly inputs: AttentionInputs<Tensor>;
  /** The gradient of o, where gradients are asked for. */
  readonly dO?: Tensor;
  /** What the output's stages were given, where gradients are asked for and the forward pass has kept it. */
  readonly values?: Tensor | undefined;
  /** The caller's tensors for results, by their keys. */
  readonly outputs: Readonly<Record<string, Tensor | undefined>>;
  /** Whether a result is to be given, by its key. */
  wants(key: string): boolean;
}

/**
 * Checks a call: its inputs and outputs (kind, shapes, storage, strides, places), and that it stays within the device's limits.
 *
 * @param planFor The plan for the call's inputs, of which nothing is checked yet but that they are tensors.
 * @throws MtacError MTA601 … MTA608, MTA614, MTA615; the target's errors.
 */
export function checkCall<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  backend: Backend<Tensor, Types>,
  { inputs, dO, values, outputs, wants }: AskedCall<Tensor>,
  planFor: (inputs: AttentionInputs<Tensor>) => Plan,
): CheckedCall<Tensor> {
  checkTensors(inputs, backend.tensors);
  const plan = planFor(inputs);
  const shape = checkInputs(plan.pipeline, inputs);
  if (hasDropout(plan.pipeline) && inputs.dropoutSeed === undefined)
    throw new MtacError(
      INPUT_CODES.missingInput,
      "input",
      "the input dropout_seed is missing: the plan drops weights",
      {
        remedy: "pass the tensor dropout_seed, or leave the choice of the plan to the launcher",
      },
    );
  const { positions, bias } = inputs;
  const dBias = wants("dBias") ? bias?.shape : undefined;
  const valuesKept = values !== undefined || (plan.keepsValues === true && wants(VALUES.key));
  const size: CallSize = { ...shape, positions: positions !== undefined, dBias, valuesKept };
  const tensors = new Map<string, Tensor>();
  for (const input of INPUT_TENSORS) {
    const tensor = inputs[input.key];
    // History without rows is not read.
    if (tensor === undefined || (input.key === "qHistory" && size.R === 0)) continue;
    checkInput(backend, plan, input, tensor);
    tensors.set(input.name, tensor);
  }
  if (plan.direction === "backward") {
    checkTensorKind(`input ${D_O.name}`, dO, backend.tensors);
    checkShape(plan.pipeline, D_O, dO, size);
    checkInput(backend, plan, D_O, dO);
    tensors.set(D_O.name, dO);
    if (values !== undefined) tensors.set(VALUES.name, values);
  }
  const all = resultsOf(plan, size, inputs.qHistory !== undefined);
  const results = all.filter(({ key }) => wants(key));
  const given = new Map<string, Tensor>();
  for (const result of results) {
    const tensor = outputs[result.key];
    if (tensor === undefined) continue;
    checkOutput(backend, plan, result, tensor);
    given.set(result.name, tensor);
  }
  const expanded = expandPlan(plan, size);
  backend.sizes?.checkCall(plan, size, expanded);
  const unwanted = all.filter(({ key }) => !wants(key));
  return { plan, size, expanded, inputs, tensors, outputs: given, results, unwanted };
}

function checkInput<Tensor extends Layout>(
  backend: TensorChecks<Tensor>,
  { pipeline, alignment }: Plan,
  { name, element, strided }: TensorResource,
  tensor: Tensor,
): void {
  const storage = element === "storage" ? pipeline.storage : element;
  const rules = { storage, alignment: alignmentOf(name, alignment), contiguous: !strided };
  refuse(backend, findTensorFault(name, tensor, rules));
  backend.checkPlacement(name, tensor, rules);
}

/** Elements that strides are multiples of. History's rows are read as those of q, those of d_o as o's are written. */
function alignmentOf(name: string, alignment: Plan["alignment"]): number {
  const alignments: Readonly<Partial<Record<string, number>>> = alignment;
  const alike: Readonly<Partial<Record<string, string>>> = { q_history: "q", d_o: "o" };
  return alignments[alike[name] ?? name] ?? 1;
}

function checkOutput<Tensor extends Layout>(
  backend: TensorChecks<Tensor>,
  { alignment }: Plan,
  { name, shape, storage, strided }: ResultTensor,
  tensor: Tensor,
): void {
  // Whoever writes JavaScript may give null.
  checkTensorKind(`output ${name}`, tensor, backend.tensors);
  refuse(backend, findOutputShapeFault(name, tensor, shape));
  const rules = { storage, alignment: alignmentOf(name, alignment), contiguous: !strided, written: true };
  refuse(backend, findTensorFault(name, tensor, rules));
  backend.checkPlacement(name, tensor, rules);
}

function refuse<Tensor extends Layout>(backend: TensorChecks<Tensor>, fault: TensorFault | null): void {
  if (fault !== null) throw backend.error(fault.kind, fault.message, { remedy: fault.remedy });
}
