import type { Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { type GradientOptions, referenceForward, referenceGradients } from "../../runtime/reference/index.ts";
import type { AttentionCall } from "./request.ts";

/**
 * What the float64 reference makes of a call, by the names in files: `o`, `lse`, and with a gradient of o those of everything else.
 * @throws MtacError MTA601 … MTA613 when inputs, parameters or dO do not fit the pipeline
 */
export function referenceTensors(
  pipeline: Pipeline,
  { inputs, parameters, dO }: AttentionCall,
  options: GradientOptions = {},
): ReadonlyMap<string, Float64Tensor> {
  const tensors = new Map<string, Float64Tensor>();
  const add = (name: string, tensor: Float64Tensor | null): void => {
    if (tensor !== null) tensors.set(name, tensor);
  };
  if (dO === null) {
    const { o, lse } = referenceForward(pipeline, parameters, inputs, options);
    add("o", o);
    add("lse", lse);
    return tensors;
  }
  const gradients = referenceGradients(pipeline, parameters, inputs, dO, options);
  add("o", gradients.o);
  add("lse", gradients.lse);
  add("d_q", gradients.dQ);
  add("d_q_history", gradients.dQHistory);
  add("d_k", gradients.dK);
  add("d_v", gradients.dV);
  add("d_bias", gradients.dBias);
  for (const [name, tensor] of gradients.parameters) add(`d_${name}`, tensor);
  return tensors;
}
