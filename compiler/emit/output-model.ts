import type { Epilogue, Plan } from "../../runtime/contract/index.ts";
import { type ConstantTable, f32, parameterAt, stageLabel, times, u32 } from "./model.ts";
import { type TensorModel, tensorModel } from "./tensor-rows.ts";

const LANES = ["x", "y", "z", "w"] as const;

/** Registers and geometry of the output, shared by the kernels that write it. */
export interface OutputModel {
  readonly blocks: readonly BlockModel[];
  readonly outputUnits: string;
  readonly valueBlocks: string;
  readonly valueStride: string;
  readonly rowsTotal: string;
  readonly tileQ: string;
  readonly epilogue: ReturnType<typeof epilogueModel>;
  readonly valueTensors: { readonly v: TensorModel; readonly o: TensorModel };
}

export interface BlockModel {
  /** Added to the invocation's index to get the block's. */
  readonly first: string;
  /** Whether `first` is more than 0. */
  readonly more: boolean;
  /** Whether some invocations have no such block. */
  readonly guarded: boolean;
  readonly rows: readonly {
    readonly name: string;
    readonly index: number;
    /** What to write before a stride that is taken `index` times. */
    readonly times: string;
    readonly lane: string;
  }[];
}

export function outputModel(
  plan: Plan,
  geometry: { rows: number; tileQ: number; workgroup: number; blocks: number; epilogue: Epilogue },
  table: ConstantTable,
): OutputModel {
  const perRow = Math.ceil(plan.pipeline.valueDim / 4);
  const units = (geometry.rows / 4) * perRow;
  return {
    blocks: Array.from({ length: geometry.blocks }, (_, block) => ({
      first: u32(block * geometry.workgroup),
      more: block > 0,
      guarded: (block + 1) * geometry.workgroup > units,
      rows: LANES.map((lane, index) => ({ name: `o${block}_${index}`, index, times: times(index), lane })),
    })),
    outputUnits: table.u32(
      "OUTPUT_BLOCKS",
      units,
      "Blocks of four rows by four values of a workgroup's results.",
    ),
    valueBlocks: table.u32("VALUE_BLOCKS", perRow, "Blocks of four that cover a row of values."),
    valueStride: table.u32("VALUE_STRIDE", perRow * 4),
    rowsTotal: table.u32("ROWS", geometry.rows, "Rows of a workgroup's results, over all its heads."),
    tileQ: u32(geometry.tileQ),
    epilogue: epilogueModel(plan, geometry.epilogue, perRow, table),
    valueTensors: {
      v: tensorModel("v", plan.pipeline.valueDim, plan.alignment.v, plan.storage),
      o: tensorModel("o", plan.pipeline.valueDim, plan.alignment.o, plan.storage),
    },
  };
}

function epilogueModel(plan: Plan, epilogue: Epilogue, perRow: number, table: ConstantTable) {
  const copies = new Map([
    [
      epilogue.stageAt,
      table.u32(
        "STAGE_AT",
        epilogue.stageAt,
        "Arena words of the staged rows, of their second copy and of partial sums.",
      ),
    ],
  ]);
  if (!copies.has(epilogue.secondAt))
    copies.set(epilogue.secondAt, table.u32("SECOND_AT", epilogue.secondAt));
  const copy = (at: number): string => copies.get(at) ?? u32(at);
  const parameter = (name: string): string =>
    table.u32(
      `${name.replaceAll(".", "_").toUpperCase()}_AT`,
      parameterAt(plan, name),
      `${name} in parameters.`,
    );
  let from = epilogue.stageAt;
  const stages = plan.pipeline.output.map((stage) => {
    const at = { comment: stageLabel(stage), from: copy(from), weightAt: parameter(stage.weight) };
    if (stage.kind === "norm") {
      return { ...at, isNorm: true as const, eps: f32(stage.eps), depthScale: stage.depthScale };
    }
    const biasAt = parameter(stage.bias);
    if (stage.mode === "scalar") return { ...at, isScalarGate: true, biasAt };
    const to = from === epilogue.stageAt ? epilogue.secondAt : epilogue.stageAt;
    from = to;
    return { ...at, isChannelGate: true, biasAt, to: copy(to) };
  });
  return {
    stages,
    rows: epilogue.mode === "rows",
    staged: epilogue.mode === "staged",
    factorsAt: table.u32(
      "ROW_FACTORS_AT",
      epilogue.factorsAt,
      "Arena words of the factors of the output's rows, and of the sums that they are made of.",
    ),
    chunkRows: table.u32("CHUNK_ROWS", epilogue.chunkRows, "Rows of results that are staged at a time."),
    wholeBlocks: epilogue.chunkRows % 4 === 0,
    chunkUnits: u32(epilogue.chunkRows * perRow),
    team: table.u32("CHUNK_TEAM", epilogue.team, "Invocations that share a staged row."),
    stageAt: copy(epilogue.stageAt),
    partialsAt: table.u32("ROW_SUMS_AT", epilogue.partialsAt),
    resultAt: copy(from),
  };
}

/** Loading four values of a row: the row's last block may be shorter. */
export function loadValue(valueDim: number, value: string, element: string): string {
  const tail = valueDim % 4;
  if (tail === 0) return `load_v(${element})`;
  const last = valueDim - tail;
  if (last === 0) return `load_v_tail(${element})`;
  return `load_value(${element}, ${value} == ${last}u)`;
}
