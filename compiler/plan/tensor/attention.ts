import type { Expression, TensorCombineProgram, TensorTileProgram } from "../../../runtime/contract/index.ts";
import type { GpuTask } from "../machine.ts";
import { type Predicted, predict } from "../predict.ts";
import { type PassParts, ROWS, type RowKernel, rowPass } from "../schedule/passes.ts";
import { tensorRowKernel } from "./kernel.ts";
import { tileRows } from "./support.ts";
import { tensorRowWork } from "./work.ts";

/** Blocks that fill a large device twice over, and the fewest keys that one of them is worth. */
const SPLIT_BLOCKS = 256;
const SPLIT_KEYS = 256;
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

/**
 * A plan of kernels that each attend to a part of the keys, the inner ones first, and of one that combines what they find.
 * Where a single part is not shared between blocks, its kernel writes the results itself.
 */
export function attentionParts(
  { pipeline, options = {} }: GpuTask,
  parts: readonly Predicted<RowKernel>[],
): PassParts {
  const { heads, valueDim } = pipeline;
  const tileQ = parts[0]?.kernel.tileRows ?? 0;
  // Keys are shared where one tile holds all rows: as widely as fills the device, but not too finely.
  const idle: Expression = ["floorDiv", SPLIT_BLOCKS, ["mul", "B", heads]];
  const shared: Expression = options.splits ?? ["max", 1, ["min", idle, ["floorDiv", "Lk", SPLIT_KEYS]]];
  const splits: Expression = ["select", ["max", 0, ["sub", "Lq", tileQ]], 1, shared];
  const several = parts.length > 1;
  const combined: Expression = several ? 1 : ["min", 1, ["sub", "splits", 1]];
  // The first kernel's blocks may share its keys; each of the others adds one part.
  const count: Expression = several ? ["add", "splits", parts.length - 1] : "splits";
  const rows: Expression = ["mul", combined, "B", heads, count, "Lq"];
  const launch = { parts: count, ...ROWS };
  const combine = tensorRowKernel(pipeline, "combine", COMBINE, COMBINE.warps);
  return {
    definitions: [{ name: "splits", value: splits }],
    workspace: [
      { name: "partial_values", bytes: ["max", 16, ["mul", 4, valueDim, rows]] },
      { name: "partial_sums", bytes: ["max", 16, ["mul", 8, rows]] },
    ],
    passes: [
      ...parts.map((part, index) => ({
        ...rowPass(part, launch),
        ...(index === 0 ? { sharing: "splits" } : {}),
      })),
      { kernel: combine, rows: "Lq", sharing: combined, launch, multiplyAdds: 0 },
    ],
  };
}
