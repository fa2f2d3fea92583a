import {
  adjointReach,
  type ConvProgram,
  convReach,
  type DropoutProgram,
  hasMask,
  type KernelPlan,
  type MixProgram,
  type NormalizeProgram,
  type Plan,
  type ProductProgram,
  type ScoresProgram,
} from "../../../runtime/contract/index.ts";
import { checkArena, checkEpilogue, checkOutputs } from "./arena.ts";
import { type Demand, demandIn } from "./rules.ts";
import { checkFinish, linearAt } from "./stages.ts";

type MapProgram =
  | DropoutProgram
  | ScoresProgram
  | ConvProgram
  | MixProgram
  | NormalizeProgram
  | ProductProgram;

/** Four rows by four keys an invocation. */
function checkTile(demand: Demand, tileQ: number, tileK: number, workgroup: number): void {
  demand(
    "workgroup",
    tileQ % 4 === 0 && tileK % 4 === 0 && workgroup * 16 === tileQ * tileK && workgroup > 0,
    () => `${workgroup} invocations for a tile of ${tileQ} × ${tileK}`,
  );
}

function checkConv(plan: Plan, kernel: KernelPlan, program: ConvProgram, demand: Demand): void {
  const { tileQ, tileK, haloRows, haloColumns, haloLeft, rowStride, source, arenaWords, documentRows } =
    program;
  const stage = linearAt(demand, plan.pipeline, program.stage, "conv");
  const reach = convReach(stage);
  const { past, future, left, right } = program.adjoint ? adjointReach(reach) : reach;
  // Pointwise stages have kernels of their own where gradients pass back through them.
  if (plan.direction === undefined)
    checkFinish(demand, plan.pipeline, program.stage, program.finish.pointwise);
  checkTile(demand, tileQ, tileK, kernel.workgroupSize);
  if (source === "storage") return;
  demand("halo", haloRows >= tileQ + past + future, () => `${haloRows} rows around ${tileQ}`);
  demand(
    "carry",
    haloLeft >= left && haloColumns - haloLeft >= tileK + right,
    () => `${haloColumns} columns, ${haloLeft} to the left, around ${tileK}`,
  );
  demand("regions", rowStride >= haloColumns, () => `rows of ${rowStride} words for ${haloColumns} columns`);
  demand(
    "regions",
    arenaWords >= haloRows * rowStride,
    () => `${haloRows} × ${rowStride} in ${arenaWords} words`,
  );
  const documents = hasMask(plan.pipeline, "documents") ? haloRows : 0;
  demand("halo", documentRows >= documents, () => `documents of ${documentRows} rows of ${documents}`);
  checkArena(demand, plan.pipeline, arenaWords, documentRows, kernel.workgroupBytes);
}

/** A kernel of the staged schedule on scalar units. */
export function verifyMapKernel(plan: Plan, kernel: KernelPlan, program: MapProgram): void {
  const demand = demandIn(plan, kernel.name);
  const { pipeline } = plan;
  const workgroup = kernel.workgroupSize;
  switch (program.kind) {
    case "scores":
      checkTile(demand, program.tileQ, program.tileK, workgroup);
      if (plan.direction === undefined) checkFinish(demand, pipeline, null, program.finish.pointwise);
      break;
    case "conv":
      checkConv(plan, kernel, program, demand);
      break;
    case "mix": {
      const { group } = linearAt(demand, pipeline, program.stage, "mix");
      if (plan.direction === undefined)
        checkFinish(demand, pipeline, program.stage, program.finish.pointwise);
      demand(
        "workgroup",
        program.tileQ > 0 && program.tileK > 0,
        () => `${program.tileQ} × ${program.tileK}`,
      );
      demand("heads", group % program.outputs === 0, () => `${program.outputs} of a group of ${group}`);
      break;
    }
    case "dropout": {
      const { stage, tileQ, tileK } = program;
      const found = pipeline[stage.section][stage.index];
      demand("stages", found?.kind === "dropout", () => `${stage.section}[${stage.index}] is no dropout`);
      demand("workgroup", workgroup * 4 === tileQ * tileK, () => `${workgroup} for ${tileQ} × ${tileK}`);
      break;
    }
    case "normalize":
      demand(
        "workgroup",
        program.team >= 1 && workgroup % program.team === 0,
        () => `${program.team} of ${workgroup} invocations a row`,
      );
      demand("arena", program.arenaWords * 4 <= kernel.workgroupBytes, () => `${program.arenaWords} words`);
      break;
    case "product": {
      const { tileQ, outputBlocks, epilogue, arenaWords } = program;
      demand("workgroup", tileQ >= 4 && tileQ % 4 === 0, () => `${tileQ} rows`);
      checkOutputs(demand, pipeline, tileQ, outputBlocks, workgroup);
      checkEpilogue(demand, pipeline, epilogue, tileQ, workgroup, arenaWords);
      demand("arena", arenaWords * 4 <= kernel.workgroupBytes, () => `${arenaWords} words`);
      break;
    }
  }
  if ("finish" in program)
    demand(
      "finish",
      program.finish.mask === "zero",
      () => `maps hold 0 where nothing is visible, not ${program.finish.mask}`,
    );
}
