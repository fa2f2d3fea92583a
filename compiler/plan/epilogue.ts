import type { Epilogue, Pipeline } from "../../runtime/contract/index.ts";
import { powerOfTwo, valueBlocks } from "./layout.ts";

/** Most output blocks of 4x4 that one invocation may keep: 128 registers. */
export const MAX_OUTPUT_BLOCKS = 8;

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
  if (pipeline.output.length === 0) {
    return { epilogue: { chunkRows: 0, team: 1, stageAt: 0, secondAt: 0, partialsAt: 0 }, words: 0 };
  }
  const stride = valueBlocks(pipeline) * 4;
  const gate = pipeline.output.find((stage) => stage.kind === "gate");
  // A channel gate reads the whole row while writing it: it needs a second copy.
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
      chunkRows,
      team: powerOfTwo(Math.min(workgroup / chunkRows, 16)),
      stageAt: 0,
      secondAt: copies === 2 ? secondAt : 0,
      partialsAt,
    },
    words: partialsAt + workgroup,
  };
}
