import {
  type ChainStep,
  type CombineProgram,
  convReach,
  type FusedProgram,
  type KernelPlan,
  type Pipeline,
  type Plan,
  type Region,
  type StageIndex,
  totalReach,
} from "../../../runtime/contract/index.ts";
import { checkApart, checkArena, checkEpilogue, checkOutputs, type Span } from "./arena.ts";
import { type Demand, demandIn } from "./rules.ts";
import { checkFinish, linearAt, linearIndexes } from "./stages.ts";

/** Words of a row's softmax: its maximum, and the reciprocal of its sum. */
const STATISTIC_WORDS = 2;

/** A fused kernel and where it is looked at. */
interface Fused {
  readonly demand: Demand;
  readonly pipeline: Pipeline;
  readonly kernel: KernelPlan;
  readonly program: FusedProgram;
}

function regionAt({ demand, program }: Fused, index: number): Region {
  const region = program.regions[index];
  const none = { name: "", offset: 0, rows: 0, above: 0, carry: 0, rowStride: 0, headStride: 0, lag: 0 };
  demand("chain", region !== undefined, () => `there is no region ${index}`);
  return region ?? none;
}

/** Steps in the order of the pipeline's stages, each on what the one before it wrote. */
function checkChain(fused: Fused): void {
  const { demand, pipeline, program } = fused;
  const [first, ...rest] = program.chain;
  demand(
    "chain",
    first?.kind === "dot" && first.to === 0,
    () => "the scores are not made first, in the first region",
  );
  const wanted = linearIndexes(pipeline).filter(
    ({ section }) => section === "scores" || program.role === "apply",
  );
  demand(
    "chain",
    rest.length === wanted.length,
    () => `${rest.length} steps after the scores, of ${wanted.length}`,
  );
  let region = 0;
  let last: StageIndex | null = null;
  const normalizedAt = wanted.filter(({ section }) => section === "scores").length;
  program.chain.forEach((step, index) => {
    const at: StageIndex | null = index === 0 ? null : (wanted[index - 1] ?? null);
    if (step.kind !== "dot") {
      demand(
        "chain",
        step.stage.section === at?.section && step.stage.index === at.index,
        () => `step ${index} computes ${step.stage.section}[${step.stage.index}] out of turn`,
      );
      region = checkStep(fused, step, region);
    }
    last = at;
    checkFinish(demand, pipeline, last, step.finish.pointwise);
    const end = program.role === "apply" ? "normalize" : "hide";
    const mask = index === normalizedAt ? end : "zero";
    demand(
      "finish",
      step.finish.mask === mask,
      () => `step ${index} has the mask ${step.finish.mask}, not ${mask}`,
    );
    if (index === normalizedAt)
      demand(
        "chain",
        program.statisticsRegion === (program.role === "apply" ? region : -1),
        () => `statistics follow region ${program.statisticsRegion}`,
      );
  });
  demand(
    "chain",
    program.final === region && program.regions.length === region + 1,
    () => `${program.regions.length} regions, the last of them ${program.final}`,
  );
}

/** One step's geometry; gives the region that it writes. */
function checkStep(fused: Fused, step: Exclude<ChainStep, { kind: "dot" }>, region: number): number {
  const { demand, pipeline, program } = fused;
  if (step.kind === "mix") {
    const { group } = linearAt(demand, pipeline, step.stage, "mix");
    demand("chain", step.in === region, () => `a mix in region ${step.in}, not ${region}`);
    demand("heads", program.headBlock % group === 0, () => `${program.headBlock} heads, groups of ${group}`);
    return region;
  }
  const stage = linearAt(demand, pipeline, step.stage, "conv");
  const { past, future, left, right } = convReach(stage);
  demand(
    "chain",
    step.from === region && step.to === region + 1,
    () => `a convolution from region ${step.from} to ${step.to}, not from ${region}`,
  );
  demand(
    "heads",
    program.headBlock % stage.across === 0,
    () => `${program.headBlock} heads, ${stage.across} across`,
  );
  const from = regionAt(fused, step.from);
  const to = regionAt(fused, step.to);
  demand(
    "halo",
    from.above >= to.above + past && from.rows - from.above >= to.rows - to.above + future,
    () =>
      `"${from.name}" holds ${from.above} rows above of ${from.rows}; ${stage.name} reads ${past} up, ${future} down`,
  );
  demand(
    "carry",
    from.carry >= left + right,
    () => `"${from.name}" keeps ${from.carry} columns; ${stage.name} reads ${left} left, ${right} right`,
  );
  demand(
    "lag",
    to.lag === from.lag + right,
    () => `"${to.name}" trails by ${to.lag}, "${from.name}" by ${from.lag}`,
  );
  return step.to;
}

function checkRegions({ demand, pipeline, kernel, program }: Fused): void {
  const { regions, headBlock, tileQ, tileK, role, arenaWords } = program;
  const rows = headBlock * tileQ;
  demand(
    "carry",
    program.reachLeft >=
      totalReach(role === "apply" ? [...pipeline.scores, ...pipeline.weights] : pipeline.scores).left,
    () => `it begins ${program.reachLeft} keys before those that it finishes`,
  );
  demand("lag", regions[0]?.lag === 0, () => `scores trail by ${regions[0]?.lag}`);
  const last = regions[program.final];
  demand(
    "halo",
    last !== undefined && last.above === 0 && last.rows >= tileQ,
    () => `the last region's ${last?.rows} rows`,
  );
  for (const { name, rows: held, carry, rowStride, headStride, above } of regions) {
    demand(
      "regions",
      held % 4 === 0 && above >= 0 && above < held,
      () => `"${name}" has ${held} rows, ${above} above`,
    );
    demand(
      "regions",
      rowStride >= tileK + carry,
      () => `"${name}" has rows of ${rowStride}, of ${tileK} + ${carry}`,
    );
    demand("regions", headStride >= held * rowStride, () => `"${name}" has heads of ${headStride} words`);
  }
  const statistics = regions[program.statisticsRegion]?.rows ?? 0;
  const shuffled = program.partialsAt === 0;
  const spans: Span[] = [
    ...regions.map(({ name, offset, headStride }) => ({ name, at: offset, length: headBlock * headStride })),
    { name: "factors", at: program.factorsAt, length: role === "single_pass" ? rows : 0 },
    // Where sums go through shuffles, there are none in memory.
    { name: "sums", at: program.partialsAt, length: role === "apply" || shuffled ? 0 : kernel.workgroupSize },
    { name: "statistics", at: program.statisticsAt, length: STATISTIC_WORDS * headBlock * statistics },
  ];
  checkApart(demand, "regions", spans, arenaWords);
}

/** A kernel that walks along the keys with all stages in workgroup memory. */
export function verifyFused(plan: Plan, kernel: KernelPlan, program: FusedProgram): void {
  const { pipeline } = plan;
  const demand = demandIn(plan, kernel.name);
  const fused: Fused = { demand, pipeline, kernel, program };
  const { headBlock, tileQ, tileK, team, role, outputBlocks, epilogue, arenaWords } = program;
  const rows = headBlock * tileQ;
  const workgroup = kernel.workgroupSize;
  demand("heads", pipeline.heads % headBlock === 0, () => `${headBlock} of ${pipeline.heads} heads`);
  demand(
    "workgroup",
    tileQ >= 4 && tileQ % 4 === 0 && tileK >= 4 && tileK % 4 === 0,
    () => `a tile of ${tileQ} × ${tileK}`,
  );
  checkChain(fused);
  checkRegions(fused);
  if (role !== "apply")
    demand(
      "workgroup",
      team >= 1 && (team & (team - 1)) === 0 && tileK % team === 0 && rows * team <= workgroup,
      () => `${team} of ${workgroup} invocations for each of ${rows} rows of ${tileK} keys`,
    );
  const lag = program.regions[program.final]?.lag ?? 0;
  demand(
    "carry",
    !program.splits || program.stepsBefore * tileK >= program.reachLeft + lag,
    () => `a part begins ${program.stepsBefore} steps of ${tileK} keys before its own`,
  );
  checkArena(demand, pipeline, arenaWords, program.regions[0]?.rows ?? 0, kernel.workgroupBytes);
  if (role === "statistics") return;
  checkOutputs(demand, pipeline, rows, outputBlocks, workgroup);
  checkEpilogue(demand, pipeline, epilogue, rows, workgroup, arenaWords);
}

/** A kernel that adds up what others have left that share keys. */
export function verifyCombine(plan: Plan, kernel: KernelPlan, program: CombineProgram): void {
  const demand = demandIn(plan, kernel.name);
  const { tileQ, outputBlocks, epilogue, arenaWords } = program;
  demand("workgroup", tileQ >= 4 && tileQ % 4 === 0, () => `${tileQ} rows`);
  checkOutputs(demand, plan.pipeline, tileQ, outputBlocks, kernel.workgroupSize);
  checkEpilogue(demand, plan.pipeline, epilogue, tileQ, kernel.workgroupSize, arenaWords);
  demand("arena", arenaWords * 4 <= kernel.workgroupBytes, () => `${arenaWords} words`);
}
