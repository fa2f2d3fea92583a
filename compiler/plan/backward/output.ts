import type { Expression } from "../../../runtime/contract/index.ts";
import { mapOperand } from "../bindings.ts";
import { ceilTo } from "../layout.ts";
import { NORMALIZE_REGISTERS } from "../schedule/registers.ts";
import { rowsOf } from "../schedule/strips.ts";
import type { BackwardStep } from "./graph.ts";
import {
  type BackwardKernel,
  type BackwardTask,
  D_VALUES,
  f32,
  KEPT,
  MAP_ROWS,
  placed,
  WORKGROUP,
} from "./kernel.ts";

/** Rows of o of a workgroup: more where each leaves a part of a matrix. */
const ROWS = 32;
const MATRIX_ROWS = 128;
const MATRIX_WORDS = 4096;

/** What passes back through the output's stages. */
export function outputAdjoint(
  task: BackwardTask,
  { rows }: Extract<BackwardStep, { kind: "output_adjoint" }>,
): BackwardKernel {
  const { pipeline, machine } = task;
  const { heads, valueDim, output } = pipeline;
  const names = new Set(
    output.flatMap((stage) => (stage.kind === "norm" ? [stage.weight] : [stage.weight, stage.bias])),
  );
  const parts = [...names].map((name) => placed(pipeline, name));
  const parameterWords = parts.reduce((sum, { length }) => sum + length, 0);
  const rowsOfGroup = parameterWords > MATRIX_WORDS ? MATRIX_ROWS : ROWS;
  const groupsOf = (count: Expression): Expression => ["mul", heads, ["ceilDiv", count, rowsOfGroup]];
  // Of each row what every stage is given, the gradient, a gate's logits; factors of the rows; what invocations sum up.
  const rowWords = (output.length + 2) * ceilTo(valueDim, 4);
  const wordsFor = (count: number): number => count * (rowWords + 1) + WORKGROUP;
  const room = Math.floor(machine.limits.workgroupBytes / 4);
  const rowsAtOnce = machine.staged.outputRows.find((count) => wordsFor(count) <= room) ?? 1;
  const arenaWords = output.length === 0 ? 0 : wordsFor(rowsAtOnce);
  const buffer = "parts_output";
  return {
    name: "output_adjoint",
    source: output[0]?.source ?? pipeline.source,
    halo: rows,
    program: { kind: "output_adjoint", rows: rowsOfGroup, rowsAtOnce, parameterWords, arenaWords },
    workgroup: WORKGROUP,
    workgroupBytes: 4 * arenaWords,
    registers: NORMALIZE_REGISTERS,
    read: [
      mapOperand("d_o", "d_o", 1, "storage"),
      ...(output.length === 0 ? [] : [KEPT, "parameters"]),
      "integers",
    ],
    written: [D_VALUES, ...(parameterWords === 0 ? [] : [f32(buffer, "parts")])],
    grid: machine.mapGrid.rows(["ceilDiv", rowsOf(rows), rowsOfGroup], heads),
    multiplyAdds: 0,
    sums:
      parameterWords === 0
        ? []
        : [
            {
              parameter: "output",
              buffer,
              at: Math.min(...parts.map(({ at }) => at)),
              length: parameterWords,
              pieces: ["mul", "batches", groupsOf(rowsOf(rows))],
              bytes: ["mul", 4 * parameterWords, "batch_step", groupsOf(MAP_ROWS)],
            },
          ],
  };
}
