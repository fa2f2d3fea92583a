import {
  headsTogether,
  type Pipeline,
  type Schedule,
  type Step,
  totalReach,
} from "../../runtime/contract/index.ts";
import { keyRanges } from "../ir/index.ts";
import { type Candidate, candidateOf, dropped, type Lowerings } from "./candidate.ts";
import type { Kernel } from "./define.ts";
import { ceilTo } from "./layout.ts";
import { libraryWorkspace } from "./library-workspace.ts";
import type { CpuMachine, Task } from "./machine.ts";
import { predict } from "./predict.ts";
import { cpuRates } from "./rates.ts";
import { sumOverRows } from "./row-sums.ts";
import { type KernelWork, NO_COUNTS, workOf } from "./work.ts";

/** Schedules that the library does not have. */
export const NO_SCHEDULE = {
  single_pass: { options: () => [], candidates: () => [elsewhere("single_pass")] },
  two_pass: { options: () => [], candidates: () => [elsewhere("two_pass")] },
} as const satisfies Partial<Lowerings<CpuMachine>>;

/**
 * How the C library (`templates/c`) computes an attention: strips of rows, within which the keys go by in blocks. What the planner chooses is
 * their sizes; everything else the library does by itself.
 */
export const LIBRARY: Lowerings<CpuMachine> = {
  ...NO_SCHEDULE,
  staged: { options: () => ["stripRows"], candidates: stripCandidates },
};

function elsewhere(schedule: Schedule): Candidate {
  return dropped(
    schedule,
    {},
    "the processor computes strips of rows whose weights stay in its cache: staged",
  );
}

function stripCandidates(task: Task<CpuMachine>): readonly Candidate[] {
  const { machine, options = {} } = task;
  const { stripRows } = options;
  const strips = stripRows === undefined ? machine.strips : [ceilTo(stripRows, ROWS)];
  const menu = strips.flatMap((strip) => machine.blocks.map((block) => ({ strip, block })));
  return threadChoices(machine.threads).flatMap((threads) =>
    menu.map((sizes) => stripCandidate(withThreads(task, threads), { ...sizes, threads })),
  );
}

/** More memory than WebAssembly reaches is too much for whole maps. */
const MOST_BYTES = 2 ** 32;

/** The pipeline as most code computes it: one strip of all rows and one block of all keys, so that each stage goes over the whole map before the next. */
export function unfusedLibrary(task: Task<CpuMachine>): Candidate {
  const { pipeline, shape, machine } = task;
  const sizes: Sizes = { strip: ceilTo(shape.Lq, ROWS), block: ceilTo(shape.Lk, KEYS), threads: ALL_THREADS };
  const bytes = libraryWorkspace({ pipeline, knobs: { ...sizes } }, shape, machine);
  if (bytes <= MOST_BYTES) return stripCandidate(task, sizes);
  const reason = `whole maps take ${bytes} bytes with ${machine.threads} threads, more than ${MOST_BYTES}`;
  return dropped("staged", { ...sizes }, reason);
}

/** Sizes of strips and blocks, and how many threads a call may use: as many as the device has, or so many. */
export interface Sizes {
  readonly strip: number;
  readonly block: number;
  readonly threads: typeof ALL_THREADS | number;
}

export const ALL_THREADS = "all";

/** All first: a plan that was made for one processor computes on others. Then powers of two: for calls so short that threads cost more than they save. */
export function threadChoices(threads: number): readonly Sizes["threads"][] {
  const fewer: number[] = [];
  for (let count = 1; count < threads; count *= 2) fewer.unshift(count);
  return [ALL_THREADS, ...fewer];
}

export function withThreads(task: Task<CpuMachine>, threads: Sizes["threads"]): Task<CpuMachine> {
  if (threads === ALL_THREADS) return task;
  const { machine } = task;
  return { ...task, machine: { ...machine, threads, rates: cpuRates({ lanes: machine.lanes, threads }) } };
}

/** Rows that the library computes at a time, at least; keys of which blocks are multiples. */
export const ROWS = 4;
const KEYS = 32;

function stripCandidate(task: Task<CpuMachine>, sizes: Sizes): Candidate {
  const { pipeline } = task;
  const { strip, block } = sizes;
  const kernel: Kernel = {
    name: "attention",
    program: { kind: "library", strip, block },
    source: pipeline.source,
    workgroup: 1,
    workgroupBytes: 0,
    registers: 0,
    read: ["q", "q_history", "k", "v", "bias", "parameters", "integers"],
    written: ["o", ...(pipeline.normalize === "softmax" ? ["lse"] : [])],
  };
  const dispatch: Step = {
    kind: "dispatch",
    kernel: kernel.name,
    grid: [1, 1, "B"],
    launch: {},
    multiplyAdds: ["mul", "B", "Lq", "Lk", multiplyAddsOfPair(pipeline)],
  };
  const predicted = predict(task, kernel, stripWork(task, kernel, strip));
  return candidateOf(
    task,
    "staged",
    { ...sizes },
    {
      fits: true,
      value: {
        kernels: [predicted],
        write: () => ({ definitions: [], workspace: [], kernels: [kernel], steps: [dispatch] }),
      },
    },
  );
}

/** Multiply-adds that a visible pair of all heads takes. */
function multiplyAddsOfPair({ heads, headDim, valueDim, scores, weights }: Pipeline): number {
  const stages = [...scores, ...weights].map((stage) => {
    if (stage.kind === "conv") return stage.across * stage.kernel.query * stage.kernel.key;
    return stage.kind === "mix" ? stage.group : 1;
  });
  return heads * stages.reduce((sum, each) => sum + each, headDim + valueDim);
}

/** Entries of a map: rows and keys of all strips, whole vectors of keys, and the rows that each thread repeats. */
function stripWork(task: Task<CpuMachine>, kernel: Kernel, strip: number): KernelWork {
  const { pipeline, shape, machine } = task;
  const { B, Lq, Lk, R } = shape;
  const { heads, kvHeads, headDim, valueDim } = pipeline;
  const reach = totalReach([...pipeline.scores, ...pipeline.weights]);
  const around = reach.past + reach.future;
  const range = keyRanges(pipeline, shape);
  const panel = 2 * machine.lanes;
  const first = -Math.min(R, around);
  const keysOf = (row: number): number => {
    const [low, high] = range(row - around, Math.min(row + strip, Lq) - 1 + reach.future);
    return ceilTo(high, panel) - Math.floor(low / panel) * panel;
  };
  const strips = sumOverRows(first, Lq, strip, keysOf);
  const own = sumOverRows(first, Lq, strip, (row) => keysOf(row) * ceilTo(Math.min(strip, Lq - row), ROWS));
  const pairs = own + ((machine.threads - 1) * around * Lk) / 2;
  const group = headsTogether(pipeline);
  const map = group * (strip + reach.past) * ceilTo(Lk, panel) * 4;
  const doublings = Math.max(0, Math.log2(map / machine.cacheBytes));
  const counts = {
    ...NO_COUNTS,
    f32MultiplyAdds: B * pairs * multiplyAddsOfPair(pipeline),
    specialFunctions: B * heads * pairs,
    // K and V once a strip, and what a map too large for the cache takes on its way to memory and back.
    cacheBytes: B * 4 * (strips * kvHeads * (headDim + valueDim) + doublings * heads * pairs * MAP_PASSES),
  };
  return workOf(kernel, counts, { blocks: machine.threads, copiesAhead: true });
}

/**
 * How often an entry goes to the next cache and comes back, for each time that the map is twice too large for the thread's own: fitted to measured
 * times.
 */
const MAP_PASSES = 4;
