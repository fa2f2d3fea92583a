import type { TensorCombineProgram, TensorTileProgram } from "../../../runtime/contract/index.ts";
import type { GpuTask } from "../machine.ts";
import { type Predicted, predict } from "../predict.ts";
import { combinedParts } from "../schedule/combined.ts";
import type { PassParts, RowKernel } from "../schedule/passes.ts";
import { tensorRowKernel } from "./kernel.ts";
import { tileRows } from "./support.ts";
import { tensorRowWork } from "./work.ts";

/** Twice over a large device, but not too finely. */
const WIDELY = { blocks: 256, keys: 256 } as const;
const COMBINE: TensorCombineProgram = { kind: "tensor_combine", warps: 4 };

/** A kernel over the call's rows that does what a tile's program says. */
export function predictTile(task: GpuTask, name: string, program: TensorTileProgram): Predicted<RowKernel> {
  const kernel = tensorRowKernel(task.pipeline, name, program, tileRows(program));
  return predict(task, kernel, tensorRowWork(task, kernel));
}

/** The same of kernels that each attend to a part of the keys: all of them, or the inner ones and the border's. */
export function predictAttention(
  task: GpuTask,
  programs: readonly TensorTileProgram[],
): readonly Predicted<RowKernel>[] {
  return programs.map((program) =>
    predictTile(task, program.keys === "border" ? "border" : "attention", program),
  );
}

/** A plan of kernels that each attend to a part of the keys, the inner ones first, and of one that combines what they find. */
export function attentionParts(task: GpuTask, parts: readonly Predicted<RowKernel>[]): PassParts {
  const { pipeline } = task;
  return combinedParts(task, parts, {
    widely: WIDELY,
    kernel: tensorRowKernel(pipeline, "combine", COMBINE, COMBINE.warps),
    workspace: (rows) => [
      { name: "partial_values", bytes: ["max", 16, ["mul", 4, pipeline.valueDim, rows]] },
      { name: "partial_sums", bytes: ["max", 16, ["mul", 8, rows]] },
    ],
  });
}
