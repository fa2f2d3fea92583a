import type { Epilogue, Plan } from "../../../../runtime/contract/index.ts";
import { parameterAt, stageLabel } from "../../model.ts";
import { cudaFloat } from "../source-model.ts";
import type { Constants } from "./model.ts";

/** Geometry of a block's results, for the kernels that write the output. */
export interface OutputGeometry {
  /** Rows over all heads of the block. */
  readonly rows: number;
  readonly tileQ: number;
  readonly threads: number;
  /** 4x4 blocks of results a thread. */
  readonly blocks: number;
  readonly heads: number;
  readonly epilogue: Epilogue;
}

/** Adds the constants of the results and returns the model of `partials/direct-epilogue`. */
export function outputModel(plan: Plan, geometry: OutputGeometry, constants: Constants) {
  const perRow = Math.ceil(plan.pipeline.valueDim / 4);
  const units = (geometry.rows / 4) * perRow;
  constants.int("ROWS", geometry.rows, "Rows of a block's results over all its heads.");
  constants.int("VALUE_BLOCKS", perRow, "Blocks of four that cover a row of values.");
  constants.int("VALUE_STRIDE", perRow * 4);
  constants.int("OUTPUT_BLOCKS", units, "Blocks of four rows by four values of a block's results.");
  constants.int("BLOCKS", geometry.blocks, "How many of them a thread computes.");
  constants.bool(
    "SAME_VALUES",
    geometry.heads === 1 && geometry.threads % perRow === 0,
    "Whether all of a thread's blocks read the same values.",
  );
  return epilogueModel(plan, geometry.epilogue, constants);
}

function epilogueModel(plan: Plan, epilogue: Epilogue, constants: Constants) {
  const staged = epilogue.mode === "staged";
  const parameter = (name: string): string =>
    constants.int(
      `${name.replaceAll(".", "_").toUpperCase()}_AT`,
      parameterAt(plan, name),
      `${name} in parameters.`,
    );
  // Rows that a channel gate reads while it writes lie in two places by turns.
  const places = { first: "STAGE_AT", second: "SECOND_AT" } as const;
  let from: keyof typeof places = "first";
  const stages = plan.pipeline.output.map((stage) => {
    const comment = stageLabel(stage);
    const at = { comment, from: places[from], weightAt: parameter(stage.weight) };
    if (stage.kind === "norm")
      return { ...at, isNorm: true as const, eps: cudaFloat(stage.eps), depthScale: stage.depthScale };
    const biasAt = parameter(stage.bias);
    if (stage.mode === "scalar") return { ...at, isScalarGate: true, biasAt };
    from = from === "first" ? "second" : "first";
    return { ...at, isChannelGate: true, biasAt, to: places[from] };
  });
  if (staged) {
    constants.int(places.first, epilogue.stageAt, "Words of shared memory of the staged rows.");
    constants.int(places.second, epilogue.secondAt, "Their second copy.");
    constants.int("CHUNK_ROWS", epilogue.chunkRows, "Rows of results that are staged at a time.");
    constants.int("CHUNK_TEAM", epilogue.team, "Neighbouring lanes that share a staged row.");
  } else if (epilogue.mode === "rows") {
    constants.int("ROW_FACTORS_AT", epilogue.factorsAt, "Words of shared memory of the results' factors.");
    constants.int("ROW_SUMS_AT", epilogue.partialsAt, "The sums that they are made of.");
  }
  return {
    stages,
    rows: epilogue.mode === "rows",
    staged,
    padded: plan.pipeline.valueDim % 4 !== 0,
    factorsAt: "ROW_FACTORS_AT",
    partialsAt: "ROW_SUMS_AT",
    chunkRows: "CHUNK_ROWS",
    team: "CHUNK_TEAM",
    stageAt: places.first,
    resultAt: places[from],
  };
}
