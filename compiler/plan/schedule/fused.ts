import { type FusedProgram, hasMask, type Plan } from "../../../runtime/contract/index.ts";
import type { KernelResources } from "../bindings.ts";
import { type Candidate, candidateOf, dropped } from "../candidate.ts";
import { buildChain, type Chain, type ChainRole, chainStages, fusedKernelName, headBlock } from "../chain.ts";
import { doesNotFit, type Fitted, fits, memoryFault, registerFault, whereFits } from "../fit.ts";
import { ceilTo, powerOfTwo, STATISTIC_WORDS, valueBlocks } from "../layout.ts";
import type { GpuMachine, GpuTask, Tile } from "../machine.ts";
import type { OptionName } from "../options.ts";
import { type Predicted, predict } from "../predict.ts";
import { fusedWork } from "../scalar-work.ts";
import { combining, PARTS } from "./combine-kernel.ts";
import { combinedParts } from "./combined.ts";
import { DIRECT, planEpilogue } from "./epilogue.ts";
import { passChoice, type RowKernel, singlePass, twoPass } from "./passes.ts";
import { fusedRegisters } from "./registers.ts";

/** What changes the dispatches of fused plans: see `passSteps`. */
export function fusedOptions({ dispatches }: GpuMachine): readonly OptionName[] {
  return dispatches.kind === "cut" ? ["dispatchBudget"] : [];
}

/** The same of kernels that may share keys. */
export function singlePassOptions(machine: GpuMachine): readonly OptionName[] {
  return [...fusedOptions(machine), ...(machine.fused.combine === null ? [] : (["splits"] as const))];
}

/** Knobs of one fused kernel. */
interface FusedKnobs extends Tile {
  readonly workgroup: number;
}

/** One fused kernel of a role, before it is known to fit. */
interface Wanted {
  readonly knobs: FusedKnobs;
  readonly role: ChainRole;
  readonly heads: number;
  readonly chain: Chain;
  /** Whether workgroups may share a tile's keys. */
  readonly splits: boolean;
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
function share({ pipeline, machine }: GpuTask, wanted: Wanted): Fitted<Sharing> {
  const { role, heads } = wanted;
  const { tileQ, tileK, workgroup } = wanted.knobs;
  const { terms, limits, fused } = machine;
  if (workgroup > limits.invocations)
    return doesNotFit(`needs ${workgroup} ${terms.invocation}s, ${terms.owner} has ${limits.invocations}`);
  const rows = heads * tileQ;
  const softmax = role !== "apply";
  if (softmax && rows > workgroup)
    return doesNotFit(
      `the softmax of ${tileQ} rows of ${heads} heads mixed together needs ${rows} ${terms.invocation}s, ${rows - workgroup} more than the ${terms.workgroup}'s ${workgroup}; smaller groups would fit`,
    );
  const teams = Math.min(workgroup / rows, tileK / fused.keysOfTeam, MOST_TEAM);
  const team = softmax ? powerOfTwo(teams) : 1;
  const outputBlocks =
    role === "statistics" ? 0 : Math.ceil(((rows / 4) * valueBlocks(pipeline)) / workgroup);
  const registers = fusedRegisters(pipeline, role, outputBlocks, softmax ? tileK / team : 0);
  const fault = registerFault(machine, { blocks: outputBlocks, words: registers });
  if (fault !== null) return doesNotFit(`${fault}; a smaller value_dim or smaller groups would fit`);
  return fits({ rows, team, outputBlocks, registers });
}

/** Where things lie in workgroup memory beside the chain's maps, and the bytes of it all. */
interface Arena {
  readonly places: Pick<
    FusedProgram,
    "factorsAt" | "partialsAt" | "statisticsAt" | "epilogue" | "arenaWords"
  >;
  readonly workgroupBytes: number;
}

/** Lays out what a fused kernel keeps beside its maps. */
function layArena(task: GpuTask, { knobs, role, heads, chain }: Wanted, rows: number): Fitted<Arena> {
  const { pipeline, machine } = task;
  const { workgroup } = knobs;
  const { limits, fused, rows: layout } = machine;
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
      ? fits({ epilogue: DIRECT, words: 0 })
      : planEpilogue(task, rows, workgroup, Math.min(left, Math.max(words, fused.epilogueWords)));
  if (!output.fits) return output;
  const { epilogue } = output.value;
  const arenaWords = ceilTo(Math.max(words, output.value.words), fused.arenaMultiple);
  const workgroupBytes = (arenaWords + documentWords) * 4;
  const fault = memoryFault(machine, workgroupBytes);
  if (fault !== null) return doesNotFit(fault);
  const partialsAt = fused.partialSums ? factorsEnd : 0;
  return fits({ places: { factorsAt, partialsAt, statisticsAt, epilogue, arenaWords }, workgroupBytes });
}

interface FusedKernel extends RowKernel {
  readonly program: FusedProgram;
}

/** One fused kernel with the given knobs, or the limit that it breaks and by how much. */
function fitFused(task: GpuTask, wanted: Wanted): Fitted<Predicted<FusedKernel>> {
  const { pipeline } = task;
  const { role, heads, chain } = wanted;
  const { tileQ, tileK, workgroup } = wanted.knobs;
  const shared = share(task, wanted);
  if (!shared.fits) return shared;
  const { rows, team, outputBlocks, registers } = shared.value;
  return whereFits(layArena(task, wanted, rows), ({ places, workgroupBytes }) => {
    const finalLag = chain.regions[chain.final]?.lag ?? 0;
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
      ...places,
      splits: wanted.splits,
      stepsBefore: wanted.splits ? Math.ceil((chain.reach.left + finalLag) / tileK) : 0,
    };
    const kernel: FusedKernel = {
      name: fusedKernelName(role),
      program,
      workgroup,
      workgroupBytes,
      registers,
      ...RESOURCES[role],
      ...(wanted.splits ? { written: [...RESOURCES[role].written, PARTS] } : {}),
      source: pipeline.source,
      tileRows: tileQ,
      headBlocks: pipeline.heads / heads,
    };
    return predict(task, kernel, fusedWork(task, kernel));
  });
}

const RESOURCES: Readonly<Record<ChainRole, KernelResources>> = {
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

/** A kernel with its knobs, as far as it fits. */
interface Tried {
  readonly knobs: FusedKnobs;
  readonly fitted: Fitted<Predicted<FusedKernel>>;
}

/** The kernels of a role, over the whole menu. */
function tryKernels(task: GpuTask, role: ChainRole, splits = false): readonly Tried[] {
  const { pipeline, machine } = task;
  const { tilesQ, tilesK, workgroups } = machine.fused;
  const heads = headBlock(chainStages(pipeline, role));
  return tilesQ.flatMap((tileQ) =>
    tilesK.flatMap((tileK) => {
      const chain = buildChain(pipeline, role, tileQ, tileK, machine.rows);
      return workgroups.map((workgroup) => {
        const knobs = { tileQ, tileK, workgroup };
        return { knobs, fitted: fitFused(task, { knobs, role, heads, chain, splits }) };
      });
    }),
  );
}

/** Candidates that walk each row's keys once; where there are few rows, workgroups share these. */
export function singlePassCandidates(task: GpuTask): readonly Candidate[] {
  const combine = combining(task, RESOURCES.single_pass);
  if (combine === null && task.options?.splits !== undefined)
    return [dropped("single_pass", {}, "a kernel that shares keys would bind too many buffers")];
  return tryKernels(task, "single_pass", combine !== null).map(({ knobs, fitted }) => {
    const choice = whereFits(fitted, (kernel) =>
      combine === null
        ? singlePass(task, kernel)
        : passChoice(task, [kernel], () => combinedParts(task, [kernel], combine)),
    );
    return candidateOf(task, "single_pass", knobNames(task, knobs), choice);
  });
}

/** Candidates that first compute the rows' statistics, then the weights and their product with v: of the best kernels for each. */
export function twoPassCandidates(task: GpuTask): readonly Candidate[] {
  const first = tryKernels(task, "statistics");
  const second = tryKernels(task, "apply");
  const [statistics, applied] = [best(task, first), best(task, second)];
  const plans = statistics.flatMap((one) =>
    applied.map((two) => {
      const knobs = { ...knobNames(task, one.knobs, "statistics_"), ...knobNames(task, two.knobs) };
      return candidateOf(task, "two_pass", knobs, fits(twoPass(task, one.kernel, two.kernel)));
    }),
  );
  const [pass, tried] =
    statistics.length === 0 ? (["pass 1", first] as const) : (["pass 2", second] as const);
  return [
    ...plans,
    ...tried.flatMap(({ knobs, fitted }) =>
      fitted.fits ? [] : dropped("two_pass", knobNames(task, knobs), `${pass}: ${fitted.reason}`),
    ),
  ];
}

/** The cheapest of the kernels that fit, so many as the machine combines with others. */
function best(
  { machine }: GpuTask,
  tried: readonly Tried[],
): readonly { readonly knobs: FusedKnobs; readonly kernel: Predicted<FusedKernel> }[] {
  return tried
    .flatMap(({ knobs, fitted }) => (fitted.fits ? [{ knobs, kernel: fitted.value }] : []))
    .sort((a, b) => a.kernel.estimate.time - b.kernel.estimate.time)
    .slice(0, machine.fused.best);
}

/** The knobs as a spec's `tune` block names them. */
function knobNames({ machine }: GpuTask, { tileQ, tileK, workgroup }: FusedKnobs, of = ""): Plan["knobs"] {
  return {
    ...machine.lowering,
    [`${of}tile_q`]: tileQ,
    [`${of}tile_k`]: tileK,
    [`${of}workgroup`]: workgroup,
  };
}
