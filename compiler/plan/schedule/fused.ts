import { type FusedProgram, hasMask, type Pipeline, type Plan } from "../../../runtime/contract/index.ts";
import { type Candidate, dropped, legal } from "../candidate.ts";
import { buildChain, type Chain, type ChainRole, chainStages, fusedKernelName, headBlock } from "../chain.ts";
import { fusedRegisters } from "../direct/registers.ts";
import { DIRECT, planEpilogue, tooLongRow } from "../epilogue.ts";
import { doesNotFit, type Fitted } from "../fit.ts";
import type { ScalarKernel } from "../kernel.ts";
import { ceilTo, powerOfTwo, STATISTIC_WORDS, valueBlocks } from "../layout.ts";
import type { Machine, PlanRequest } from "../machine.ts";
import type { OptionName } from "../options.ts";
import { addPredictions, predictFused } from "../predict.ts";
import { registerFault } from "../registers.ts";
import { type FusedKernel, type FusedKnobs, singlePassPlan, twoPassPlan } from "./fused-plan.ts";

/** What changes the dispatches of fused plans: see `passSteps`. */
export function fusedOptions({ dispatches }: Machine): readonly OptionName[] {
  return dispatches.kind === "cut" ? ["dispatchBudget"] : [];
}

/** Lanes that share a row of the softmax at most. */
const MOST_TEAM = 16;

/** Invocations that share a row of the softmax, and the blocks of results that one keeps. */
interface Sharing {
  readonly rows: number;
  readonly team: number;
  readonly outputBlocks: number;
  readonly registers: number;
}

/** Spreads a tile over a workgroup, or tells what there is too little of. */
function share(
  pipeline: Pipeline,
  role: ChainRole,
  { tileQ, tileK, workgroup }: FusedKnobs,
  machine: Machine,
  heads: number,
): Fitted<Sharing> {
  const { terms, limits } = machine;
  if (workgroup > limits.invocations)
    return doesNotFit(`needs ${workgroup} ${terms.invocation}s, ${terms.owner} has ${limits.invocations}`);
  const rows = heads * tileQ;
  const softmax = role !== "apply";
  if (softmax && rows > workgroup)
    return doesNotFit(
      `the softmax of ${tileQ} rows of ${heads} heads mixed together needs ${rows} ${terms.invocation}s, ${rows - workgroup} more than the ${terms.workgroup}'s ${workgroup}; smaller groups would fit`,
    );
  const teams = Math.min(workgroup / rows, tileK / machine.fused.keysOfTeam, MOST_TEAM);
  const team = softmax ? powerOfTwo(teams) : 1;
  const outputBlocks =
    role === "statistics" ? 0 : Math.ceil(((rows / 4) * valueBlocks(pipeline)) / workgroup);
  const registers = fusedRegisters(pipeline, role, outputBlocks, softmax ? tileK / team : 0);
  const fault = registerFault(machine, { blocks: outputBlocks, words: registers });
  if (fault !== null) return doesNotFit(`${fault}; a smaller value_dim or smaller groups would fit`);
  return { fits: true, value: { rows, team, outputBlocks, registers } };
}

/** Where things lie in workgroup memory beside the chain's maps. */
type Arena = Pick<FusedProgram, "factorsAt" | "partialsAt" | "statisticsAt" | "epilogue" | "arenaWords">;

interface ArenaRequest {
  readonly role: ChainRole;
  readonly workgroup: number;
  readonly heads: number;
  readonly rows: number;
  readonly chain: Chain;
}

/** Lays out what a fused kernel keeps beside its maps, and the bytes of it all. */
function layArena(
  pipeline: Pipeline,
  { role, workgroup, heads, rows, chain }: ArenaRequest,
  { limits, terms, fused, rows: layout }: Machine,
): Fitted<{ readonly arena: Arena; readonly workgroupBytes: number }> {
  const softmax = role !== "apply";
  const factorsAt = chain.words;
  const factorsEnd = factorsAt + ((fused.partialSums ? softmax : role === "single_pass") ? rows : 0);
  const statisticsAt = factorsEnd + (fused.partialSums && softmax ? workgroup : 0);
  const statisticsRows = chain.regions[chain.normalized]?.rows ?? 0;
  const words = statisticsAt + STATISTIC_WORDS * heads * statisticsRows;
  // Documents of the rows take a word each beside the arena.
  const documentWords = hasMask(pipeline, "documents")
    ? ceilTo(chain.regions[0]?.rows ?? 0, layout.carryMultiple)
    : 0;
  const left = Math.floor(limits.workgroupBytes / 4) - documentWords;
  const output =
    role === "statistics"
      ? { epilogue: DIRECT, words: 0 }
      : planEpilogue(pipeline, rows, workgroup, Math.min(left, Math.max(words, fused.epilogueWords)));
  if (output === null) return doesNotFit(tooLongRow(pipeline, limits.workgroupBytes, terms.memory));
  const arenaWords = ceilTo(Math.max(words, output.words), fused.arenaMultiple);
  const workgroupBytes = (arenaWords + documentWords) * 4;
  if (workgroupBytes > limits.workgroupBytes)
    return doesNotFit(
      `needs ${workgroupBytes} bytes of ${terms.memory}, ${workgroupBytes - limits.workgroupBytes} more than ${terms.owner} has`,
    );
  const partialsAt = fused.partialSums ? factorsEnd : 0;
  const arena = { factorsAt, partialsAt, statisticsAt, epilogue: output.epilogue, arenaWords };
  return { fits: true, value: { arena, workgroupBytes } };
}

/** One fused kernel with the given knobs, or the limit that it breaks and by how much. */
function fitFused(
  pipeline: Pipeline,
  role: ChainRole,
  knobs: FusedKnobs,
  request: PlanRequest,
  chain: Chain,
): Fitted<FusedKernel> {
  const { machine } = request;
  const { tileQ, tileK, workgroup } = knobs;
  const heads = headBlock(chainStages(pipeline, role));
  const shared = share(pipeline, role, knobs, machine, heads);
  if (!shared.fits) return shared;
  const { rows, team, outputBlocks, registers } = shared.value;
  const placed = layArena(pipeline, { role, workgroup, heads, rows, chain }, machine);
  if (!placed.fits) return placed;
  const program: FusedProgram = {
    kind: "fused",
    role,
    headBlock: heads,
    tileQ,
    tileK,
    reachLeft: chain.reach.left,
    regions: chain.regions,
    chain: chain.steps,
    final: chain.final,
    team,
    statisticsRegion: chain.normalized,
    outputBlocks,
    ...placed.value.arena,
  };
  const kernel: ScalarKernel<FusedProgram> = {
    name: fusedKernelName(role),
    program,
    workgroup,
    workgroupBytes: placed.value.workgroupBytes,
    ...RESOURCES[role],
    source: pipeline.source,
  };
  const prediction = predictFused(pipeline, request, kernel, registers);
  return { fits: true, value: { ...kernel, knobs, prediction } };
}

const RESOURCES: Readonly<Record<ChainRole, Pick<ScalarKernel, "read" | "written">>> = {
  single_pass: {
    read: ["q", "q_history", "k", "v", "parameters", "integers", "bias"],
    written: ["o", "lse"],
  },
  statistics: {
    read: ["q", "q_history", "k", "parameters", "integers", "bias"],
    written: ["statistics", "lse"],
  },
  apply: {
    read: ["q", "q_history", "k", "v", "parameters", "integers", "bias", "statistics"],
    written: ["o"],
  },
};

interface FusedKernels {
  /** The cheapest first. */
  readonly fitting: readonly FusedKernel[];
  readonly dropped: readonly { readonly knobs: FusedKnobs; readonly reason: string }[];
}

function fusedKernels(pipeline: Pipeline, request: PlanRequest, role: ChainRole): FusedKernels {
  const { fused, rows } = request.machine;
  const fitting: FusedKernel[] = [];
  const without: { knobs: FusedKnobs; reason: string }[] = [];
  for (const tileQ of fused.tilesQ) {
    for (const tileK of fused.tilesK) {
      const chain = buildChain(pipeline, role, tileQ, tileK, rows);
      for (const workgroup of fused.workgroups) {
        const knobs = { tileQ, tileK, workgroup };
        const fitted = fitFused(pipeline, role, knobs, request, chain);
        if (fitted.fits) fitting.push(fitted.value);
        else without.push({ knobs, reason: fitted.reason });
      }
    }
  }
  fitting.sort((a, b) => a.prediction.cost.time - b.prediction.cost.time);
  return { fitting, dropped: without };
}

/** Candidates that walk each row's keys once. */
export function singlePassCandidates(pipeline: Pipeline, request: PlanRequest): readonly Candidate[] {
  const kernels = fusedKernels(pipeline, request, "single_pass");
  return [
    ...kernels.fitting.map((kernel) => {
      const knobs = knobNames(request, kernel.knobs);
      return legal("single_pass", knobs, kernel.prediction, () =>
        singlePassPlan(pipeline, request, knobs, kernel),
      );
    }),
    ...kernels.dropped.map(({ knobs, reason }) => dropped("single_pass", knobNames(request, knobs), reason)),
  ];
}

/** Candidates that first compute the rows' statistics, then the weights and their product with v. */
export function twoPassCandidates(pipeline: Pipeline, request: PlanRequest): readonly Candidate[] {
  const { best } = request.machine.fused;
  const first = fusedKernels(pipeline, request, "statistics");
  const second = fusedKernels(pipeline, request, "apply");
  const plans = first.fitting.slice(0, best).flatMap((statistics) =>
    second.fitting.slice(0, best).map((apply) => {
      const knobs = twoPassKnobNames(request, statistics.knobs, apply.knobs);
      const prediction = addPredictions([statistics.prediction, apply.prediction]);
      return legal("two_pass", knobs, prediction, () =>
        twoPassPlan(pipeline, request, knobs, { statistics, apply }, prediction.cost),
      );
    }),
  );
  const [pass, without] =
    first.fitting.length === 0 ? (["pass 1", first.dropped] as const) : (["pass 2", second.dropped] as const);
  return [
    ...plans,
    ...without.map(({ knobs, reason }) =>
      dropped("two_pass", knobNames(request, knobs), `${pass}: ${reason}`),
    ),
  ];
}

/** The knobs as a spec's `tune` block names them. */
function knobNames({ machine }: PlanRequest, knobs: FusedKnobs): Plan["knobs"] {
  return {
    ...machine.lowering,
    tile_q: knobs.tileQ,
    tile_k: knobs.tileK,
    workgroup: knobs.workgroup,
  };
}

function twoPassKnobNames(request: PlanRequest, statistics: FusedKnobs, apply: FusedKnobs): Plan["knobs"] {
  return {
    ...request.machine.lowering,
    statistics_tile_q: statistics.tileQ,
    statistics_tile_k: statistics.tileK,
    statistics_workgroup: statistics.workgroup,
    ...knobNames(request, apply),
  };
}
