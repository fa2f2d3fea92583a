import type { Expression, WorkspaceBuffer } from "../../../runtime/contract/index.ts";
import type { GpuTask, Widely } from "../machine.ts";
import type { Predicted } from "../predict.ts";
import { type PassParts, ROWS, type RowKernel, rowPass } from "./passes.ts";

/** The kernel that adds parts up, and where these lie until then. */
export interface Combining {
  readonly widely: Widely;
  readonly kernel: RowKernel;
  /** @param rows Rows of all parts of all heads and batch entries; 0 where there is one part. */
  workspace(rows: Expression): readonly WorkspaceBuffer[];
}

/**
 * A plan of kernels that each attend to a part of the keys, the first of which may share them between blocks, and of one that combines what
 * they find. Where a single part is not shared, its kernel writes the results itself.
 */
export function combinedParts(
  { pipeline, options = {} }: GpuTask,
  parts: readonly Predicted<RowKernel>[],
  { widely, kernel, workspace }: Combining,
): PassParts {
  const { tileRows = 0, headBlocks = 1 } = parts[0]?.kernel ?? {};
  // Keys are shared where one tile holds all rows: as widely as fills the device, but not too finely.
  const idle: Expression = ["floorDiv", widely.blocks, ["mul", "B", headBlocks]];
  const shared: Expression = options.splits ?? ["max", 1, ["min", idle, ["floorDiv", "Lk", widely.keys]]];
  const splits: Expression = ["select", ["max", 0, ["sub", "Lq", tileRows]], 1, shared];
  const several = parts.length > 1;
  const combined: Expression = several ? 1 : ["min", 1, ["sub", "splits", 1]];
  // The first kernel's blocks may share its keys; each of the others adds one part.
  const count: Expression = several ? ["add", "splits", parts.length - 1] : "splits";
  const launch = { parts: count, ...ROWS };
  return {
    definitions: [{ name: "splits", value: splits }],
    workspace: workspace(["mul", combined, "B", pipeline.heads, count, "Lq"]),
    passes: [
      ...parts.map((part, index) => ({
        ...rowPass(part, launch),
        ...(index === 0 ? { sharing: "splits" } : {}),
      })),
      { kernel, rows: "Lq", sharing: combined, launch, multiplyAdds: 0 },
    ],
  };
}
