import type { Epilogue, Pipeline } from "../../runtime/contract/index.ts";
import { powerOfTwo, valueBlocks } from "./layout.ts";

/** Results are stored as they are. */
export const DIRECT: Epilogue = {
  mode: "direct",
  chunkRows: 0,
  team: 1,
  stageAt: 0,
  secondAt: 0,
  partialsAt: 0,
  factorsAt: 0,
};

/**
 * Spreads norm, gate and store over a workgroup: `rows` rows of output, as many at a time as `words` of workgroup memory hold.
 * Null where not even one row fits.
 */
export function planEpilogue(
  pipeline: Pipeline,
  rows: number,
  workgroup: number,
  words: number,
): { epilogue: Epilogue; words: number } | null {
  if (pipeline.output.length === 0) return { epilogue: DIRECT, words: 0 };
  const blocks = valueBlocks(pipeline);
  const stride = blocks * 4;
  const gate = pipeline.output.find((stage) => stage.kind === "gate");
  // A channel gate reads the whole row while writing it: it needs a second copy.
  const sums = rows * (blocks + 1);
  if (gate?.mode !== "channel" && sums <= words) {
    return { epilogue: { ...DIRECT, mode: "rows", factorsAt: rows * blocks }, words: sums };
  }
  const copies = gate?.mode === "channel" ? 2 : 1;
  const chunkRows = Math.min(
    rows,
    workgroup,
    powerOfTwo(Math.floor((words - workgroup) / (stride * copies))),
  );
  if (words - workgroup < stride * copies) return null;
  const secondAt = chunkRows * stride;
  const partialsAt = secondAt * copies;
  return {
    epilogue: {
      ...DIRECT,
      mode: "staged",
      chunkRows,
      team: powerOfTwo(Math.min(workgroup / chunkRows, 16)),
      stageAt: 0,
      secondAt: copies === 2 ? secondAt : 0,
      partialsAt,
    },
    words: partialsAt + workgroup,
  };
}

/** The reason where `planEpilogue` finds no room in so many bytes. */
export function tooLongRow({ valueDim }: Pipeline, bytes: number, memory: string): string {
  return `a row of ${valueDim} values does not fit into ${bytes} bytes of ${memory}`;
}
