import { type Epilogue, hasMask, type Pipeline } from "../../../runtime/contract/index.ts";
import type { Demand, PlanRule } from "./rules.ts";

/** A stretch of workgroup memory. */
export interface Span {
  readonly name: string;
  readonly at: number;
  readonly length: number;
}

/** Wants spans inside [0, total), none over another. */
export function checkApart(demand: Demand, rule: PlanRule, spans: readonly Span[], total: number): void {
  const sorted = [...spans].filter(({ length }) => length > 0).sort((a, b) => a.at - b.at);
  let end = 0;
  let before = "the begin";
  for (const { name, at, length } of sorted) {
    demand(rule, at >= end, () => `${name} at ${at} lies over ${before}, which ends at ${end}`);
    end = at + length;
    before = name;
  }
  demand(rule, end <= total, () => `${before} ends at ${end} of ${total}`);
}

/** Wants the arena, and a word for each of the `rows` whose documents are kept, to be the workgroup memory. */
export function checkArena(
  demand: Demand,
  pipeline: Pipeline,
  arenaWords: number,
  rows: number,
  workgroupBytes: number,
): void {
  const documents = hasMask(pipeline, "documents") ? rows : 0;
  demand(
    "arena",
    (arenaWords + documents) * 4 <= workgroupBytes,
    () => `${arenaWords} words and ${documents} documents in ${workgroupBytes} bytes`,
  );
}

/** Values of a row in blocks of four. */
export function valueBlocksOf({ valueDim }: Pipeline): number {
  return Math.ceil(valueDim / 4);
}

/** Wants results of `rows` rows to fit an invocation's blocks. */
export function checkOutputs(
  demand: Demand,
  pipeline: Pipeline,
  rows: number,
  outputBlocks: number,
  workgroup: number,
): void {
  const blocks = (rows / 4) * valueBlocksOf(pipeline);
  demand(
    "workgroup",
    outputBlocks * workgroup >= blocks,
    () => `${workgroup} invocations keep ${outputBlocks} blocks each, of ${blocks}`,
  );
}

/** Wants the places that an epilogue over `rows` rows takes to lie in the arena. */
export function checkEpilogue(
  demand: Demand,
  pipeline: Pipeline,
  epilogue: Epilogue,
  rows: number,
  workgroup: number,
  arenaWords: number,
): void {
  const { mode, chunkRows, team, stageAt, secondAt, partialsAt, factorsAt } = epilogue;
  const blocks = valueBlocksOf(pipeline);
  const channel = pipeline.output.some((stage) => stage.kind === "gate" && stage.mode === "channel");
  demand(
    "epilogue",
    (mode === "direct") === (pipeline.output.length === 0),
    () => `${pipeline.output.length} stages of the output, epilogue ${mode}`,
  );
  switch (mode) {
    case "direct":
      break;
    case "rows":
      demand("epilogue", !channel, () => "a gate of all channels reads whole rows");
      checkApart(
        demand,
        "epilogue",
        [
          { name: "sums", at: partialsAt, length: rows * blocks },
          { name: "factors", at: factorsAt, length: rows },
        ],
        arenaWords,
      );
      break;
    case "staged": {
      const staged = chunkRows * blocks * 4;
      demand(
        "epilogue",
        chunkRows >= 1 && team >= 1 && chunkRows * team <= workgroup,
        () => `${chunkRows} rows of ${team} invocations`,
      );
      checkApart(
        demand,
        "epilogue",
        [
          { name: "rows", at: stageAt, length: staged },
          { name: "gated rows", at: secondAt, length: channel ? staged : 0 },
          { name: "sums", at: partialsAt, length: workgroup },
        ],
        arenaWords,
      );
      break;
    }
  }
}
