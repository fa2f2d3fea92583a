import type { Epilogue, Plan } from "../../../../runtime/contract/index.ts";
import { parameterAt } from "../../model.ts";
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
export function outputModel(plan: Plan, geometry: OutputGeometry, constants: Constants): object {
  const perRow = Math.ceil(plan.pipeline.valueDim / 4);
  const units = (geometry.rows / 4) * perRow;
  constants.int("ROWS", geometry.rows, "Rows of a block's results, over all its heads.");
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

function epilogueModel(plan: Plan, epilogue: Epilogue, constants: Constants): object {
  const copies = new Map([
    [
      epilogue.stageAt,
      constants.int(
        "STAGE_AT",
        epilogue.stageAt,
        "Words of shared memory of the staged rows, and of their second copy.",
      ),
    ],
  ]);
  if (!copies.has(epilogue.secondAt))
    copies.set(epilogue.secondAt, constants.int("SECOND_AT", epilogue.secondAt));
  const copy = (at: number): string => copies.get(at) ?? String(at);
  const parameter = (name: string): string =>
    constants.int(
      `${name.replaceAll(".", "_").toUpperCase()}_AT`,
      parameterAt(plan, name),
      `${name} in parameters.`,
    );
  let from = epilogue.stageAt;
  const stages = plan.pipeline.output.map((stage) => {
    const comment = stage.source === null ? stage.name : `${stage.name} (line ${stage.source.line})`;
    const at = { comment, from: copy(from), weightAt: parameter(stage.weight) };
    if (stage.kind === "norm")
      return { ...at, isNorm: true, eps: cudaFloat(stage.eps), depthScale: stage.depthScale };
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
    factorsAt: constants.int(
      "ROW_FACTORS_AT",
      epilogue.factorsAt,
      "Words of shared memory of the factors of the results' rows, and of the sums that they are made of.",
    ),
    partialsAt: constants.int("ROW_SUMS_AT", epilogue.partialsAt),
    chunkRows: constants.int("CHUNK_ROWS", epilogue.chunkRows, "Rows of results that are staged at a time."),
    team: constants.int("CHUNK_TEAM", epilogue.team, "Neighbouring lanes that share a staged row."),
    stageAt: copy(epilogue.stageAt),
    resultAt: copy(from),
  };
}
