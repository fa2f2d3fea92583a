import type { Epilogue, Plan } from "../../runtime/contract/index.ts";
import { f32, parameterAt, type TensorModel, tensorModel, u32 } from "./model.ts";

const LANES = ["x", "y", "z", "w"] as const;

/** Registers and geometry of the output, shared by the kernels that write it. */
export interface OutputModel {
  readonly blocks: readonly BlockModel[];
  readonly outputUnits: string;
  readonly valueBlocks: string;
  readonly valueStride: string;
  readonly rowsTotal: string;
  readonly tileQ: string;
  readonly epilogue: object;
  readonly valueTensors: { readonly v: TensorModel; readonly o: TensorModel };
}

export interface BlockModel {
  /** Added to the invocation's index to get the block's. */
  readonly first: string;
  /** Whether some invocations have no such block. */
  readonly guarded: boolean;
  readonly rows: readonly { readonly name: string; readonly index: number; readonly lane: string }[];
}

export function outputModel(
  plan: Plan,
  geometry: { rows: number; tileQ: number; workgroup: number; blocks: number; epilogue: Epilogue },
): OutputModel {
  const perRow = Math.ceil(plan.pipeline.valueDim / 4);
  const units = (geometry.rows / 4) * perRow;
  return {
    blocks: Array.from({ length: geometry.blocks }, (_, block) => ({
      first: u32(block * geometry.workgroup),
      guarded: (block + 1) * geometry.workgroup > units,
      rows: LANES.map((lane, index) => ({ name: `o${block}_${index}`, index, lane })),
    })),
    outputUnits: u32(units),
    valueBlocks: u32(perRow),
    valueStride: u32(perRow * 4),
    rowsTotal: u32(geometry.rows),
    tileQ: u32(geometry.tileQ),
    epilogue: epilogueModel(plan, geometry.epilogue, perRow),
    valueTensors: {
      v: tensorModel("v", plan.pipeline.valueDim, plan.alignment.v, plan.storage),
      o: tensorModel("o", plan.pipeline.valueDim, plan.alignment.o, plan.storage),
    },
  };
}

function epilogueModel(plan: Plan, epilogue: Epilogue, perRow: number): object {
  let from = epilogue.stageAt;
  const stages = plan.pipeline.output.map((stage) => {
    const comment = stage.source === null ? stage.name : `${stage.name} (line ${stage.source.line})`;
    const at = { comment, from: u32(from), weightAt: u32(parameterAt(plan, stage.weight)) };
    if (stage.kind === "norm") {
      return { ...at, isNorm: true, eps: f32(stage.eps), depthScale: stage.depthScale };
    }
    const biasAt = u32(parameterAt(plan, stage.bias));
    if (stage.mode === "scalar") return { ...at, isScalarGate: true, biasAt };
    const to = from === epilogue.stageAt ? epilogue.secondAt : epilogue.stageAt;
    from = to;
    return { ...at, isChannelGate: true, biasAt, to: u32(to) };
  });
  return {
    stages: stages.length === 0 ? null : stages,
    chunkRows: u32(epilogue.chunkRows),
    wholeBlocks: epilogue.chunkRows % 4 === 0,
    chunkUnits: u32(epilogue.chunkRows * perRow),
    team: u32(epilogue.team),
    stageAt: u32(epilogue.stageAt),
    partialsAt: u32(epilogue.partialsAt),
    resultAt: u32(from),
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
