import type { Epilogue } from "../../../runtime/contract/index.ts";
import { doesNotFit, type Fitted, fits } from "../fit.ts";
import { powerOfTwo, valueBlocks } from "../layout.ts";
import type { GpuTask } from "../machine.ts";

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

/** How the output's stages are computed, and the words of workgroup memory that they take. */
interface PlacedEpilogue {
  readonly epilogue: Epilogue;
  readonly words: number;
}

/** Spreads norm, gate and store over a workgroup: `rows` rows of output, as many at a time as `words` of workgroup memory hold. */
export function planEpilogue(
  { pipeline, machine }: GpuTask,
  rows: number,
  workgroup: number,
  words: number,
): Fitted<PlacedEpilogue> {
  if (pipeline.output.length === 0) return fits({ epilogue: DIRECT, words: 0 });
  const blocks = valueBlocks(pipeline);
  // A channel gate reads the whole row while writing it: it needs a second copy.
  const channels = pipeline.output.some((stage) => stage.kind === "gate" && stage.mode === "channel");
  const sums = rows * (blocks + 1);
  if (!channels && sums <= words)
    return fits({ epilogue: { ...DIRECT, mode: "rows", factorsAt: rows * blocks }, words: sums });
  const stride = blocks * 4;
  const copies = channels ? 2 : 1;
  const room = Math.floor((words - workgroup) / (stride * copies));
  if (room < 1) {
    const { limits, terms } = machine;
    return doesNotFit(
      `a row of ${pipeline.valueDim} values does not fit into ${limits.workgroupBytes} bytes of ${terms.memory}`,
    );
  }
  const chunkRows = Math.min(rows, workgroup, powerOfTwo(room));
  const secondAt = chunkRows * stride;
  const partialsAt = secondAt * copies;
  const epilogue: Epilogue = {
    ...DIRECT,
    mode: "staged",
    chunkRows,
    team: powerOfTwo(Math.min(workgroup / chunkRows, 16)),
    secondAt: channels ? secondAt : 0,
    partialsAt,
  };
  return fits({ epilogue, words: partialsAt + workgroup });
}
