import { type BackwardStep, mapsOf } from "./graph.ts";
import { type BackwardKernel, type BackwardTask, D_VALUES, f32, KEPT } from "./kernel.ts";
import { dropped, normalizeAdjoint, normalized, pointwiseKernel } from "./maps.ts";
import { outputAdjoint } from "./output.ts";
import type { Products } from "./products.ts";
import { biasGradient } from "./sums.ts";

/** The buffers of steps' maps, by the maps' numbers. */
export type Slots = ReadonlyMap<number, string>;

/** The kernels of a step. */
export function backwardKernels(
  task: BackwardTask,
  step: BackwardStep,
  slots: Slots,
  products: Products,
): readonly BackwardKernel[] {
  const written = mapsOf(step).writes;
  const map = written === null ? "" : (slots.get(written) ?? "");
  return products.recorded(task, step, backwardKernel(task, step, slots, products), map);
}

function backwardKernel(
  task: BackwardTask,
  step: BackwardStep,
  slots: Slots,
  products: Products,
): BackwardKernel {
  const slot = (map: number): string => slots.get(map) ?? "";
  const { rows } = step;
  switch (step.kind) {
    case "scores":
      return products.scores(task, step, slot(step.to));
    case "conv":
      return products.conv(task, step, slot(step.from), slot(step.to));
    case "conv_adjoint":
      return products.conv(task, step, slot(step.d), slot(step.to));
    case "mix":
      return products.mix(task, step, slot(step.from), slot(step.to));
    case "mix_adjoint":
      return products.mix(task, step, slot(step.d), slot(step.to));
    case "normalize":
      return normalized(task, step, slot(step.map));
    case "pointwise":
    case "pointwise_adjoint":
      return pointwiseKernel(task, step, slot);
    case "dropout":
      return dropped(task, step.op, step.rows, { from: slot(step.from), to: slot(step.to) });
    case "dropout_adjoint":
      return dropped(task, step.op, step.rows, { adjoint: true, from: slot(step.d), to: slot(step.d) });
    case "normalize_adjoint":
      return normalizeAdjoint(task, step, slot(step.weights), slot(step.d));
    case "output_adjoint":
      return outputAdjoint(task, step);
    case "bias_gradient":
      return biasGradient(task, step, slot(step.d));
    case "values":
      return products.rowProduct(task, {
        of: "v",
        name: "values",
        map: slot(step.from),
        rows,
        written: [KEPT],
      });
    case "weights_gradient":
      return products.weightsGradient(task, step, slot(step.d));
    case "value_gradient":
      return products.keyProduct(task, {
        of: "v",
        map: slot(step.from),
        read: [D_VALUES],
        written: [f32("d_v")],
      });
    case "query_gradient": {
      const written = [f32("d_q"), f32("d_q_history")];
      const { d } = step;
      return products.rowProduct(task, { of: "k", name: "query_gradient", map: slot(d), d, rows, written });
    }
    case "key_gradient": {
      const read = ["q", "q_history"];
      const { d } = step;
      return products.keyProduct(task, { of: "k", map: slot(d), d, read, written: [f32("d_k")] });
    }
    case "conv_gradient":
      return products.convGradient(task, step, slot(step.from), slot(step.d));
    case "mix_gradient":
      return products.mixGradient(task, step, slot(step.from), slot(step.d));
  }
}
