import { hasMask, type Pipeline, type Step } from "../../runtime/contract/index.ts";
import { keyRanges } from "../ir/index.ts";
import { type Candidate, candidateOf, dropped, type Lowerings } from "./candidate.ts";
import type { Kernel } from "./define.ts";
import { ceilTo, layoutParameters } from "./layout.ts";
import { ALL_THREADS, NO_SCHEDULE, ROWS, type Sizes, threadChoices, withThreads } from "./library.ts";
import { backwardBands, backwardWorkspace, KEY_BLOCK } from "./library-backward-workspace.ts";
import type { CpuMachine, Task } from "./machine.ts";
import { predict } from "./predict.ts";
import { sumOverRows } from "./row-sums.ts";
import { type KernelWork, NO_COUNTS, workOf } from "./work.ts";

/**
 * How the C library (`templates/c/backward.h`) computes gradients: strips of rows, from the last to the first. What the planner chooses is how
 * many rows a strip has.
 */
export const LIBRARY_BACKWARD: Lowerings<CpuMachine> = {
  ...NO_SCHEDULE,
  staged: { options: () => ["stripRows"], candidates: stripCandidates },
};

/** Memory that strips may take for calls of so many keys: low strips are little slower. */
const MOST_BYTES = 48 * 2 ** 20;
const LONG = { B: 1, Lq: 2048, Lk: 2048, R: 0 } as const;

function stripCandidates(task: Task<CpuMachine>): readonly Candidate[] {
  const { pipeline, machine, options = {} } = task;
  const { stripRows } = options;
  if (stripRows !== undefined) return [stripCandidate(task, ceilTo(stripRows, ROWS), ALL_THREADS)];
  const { parameterWords } = layoutParameters(pipeline);
  const least = Math.min(...machine.strips);
  return machine.strips.flatMap((strip) => {
    const knobs = knobsOf(strip, ALL_THREADS);
    const bytes = backwardWorkspace({ pipeline, knobs, parameterWords }, LONG, machine);
    if (bytes <= MOST_BYTES || strip === least)
      return threadChoices(machine.threads).map((threads) =>
        stripCandidate(withThreads(task, threads), strip, threads),
      );
    const reason = `${bytes} bytes of workspace for ${LONG.Lk} keys, more than ${MOST_BYTES}`;
    return [dropped("staged", knobs, reason)];
  });
}

function knobsOf(strip: number, threads: Sizes["threads"]): Candidate["knobs"] {
  return { strip, block: KEY_BLOCK, threads };
}

function stripCandidate(task: Task<CpuMachine>, strip: number, threads: Sizes["threads"]): Candidate {
  const { pipeline } = task;
  const kernel: Kernel = {
    name: "backward",
    program: { kind: "library", strip, block: KEY_BLOCK },
    source: pipeline.source,
    workgroup: 1,
    workgroupBytes: 0,
    registers: 0,
    read: ["q", "q_history", "k", "v", "bias", "parameters", "integers", "d_o"],
    written: [
      "d_q",
      "d_q_history",
      "d_k",
      "d_v",
      ...(pipeline.parameters.length > 0 ? ["d_parameters"] : []),
      ...(hasMask(pipeline, "bias") ? ["d_bias"] : []),
    ],
  };
  const dispatch: Step = {
    kind: "dispatch",
    kernel: kernel.name,
    grid: [1, 1, "B"],
    launch: {},
    multiplyAdds: ["mul", "B", "Lq", "Lk", multiplyAddsOfPair(pipeline)],
  };
  const predicted = predict(task, kernel, backwardWork(task, kernel, strip));
  return candidateOf(task, "staged", knobsOf(strip, threads), {
    fits: true,
    value: {
      kernels: [predicted],
      write: () => ({ definitions: [], workspace: [], kernels: [kernel], steps: [dispatch] }),
    },
  });
}

/**
 * Multiply-adds that a visible pair of all heads takes: scores again, gradients of weights, q, k and v (what stages of `output` are given the
 * forward pass has kept); each convolution and each mix forward, backward, and for its weights.
 */
function multiplyAddsOfPair({ heads, headDim, valueDim, scores, weights }: Pipeline): number {
  const stages = [...scores, ...weights].map((stage) => {
    if (stage.kind === "conv") return 3 * stage.across * stage.kernel.query * stage.kernel.key;
    return stage.kind === "mix" ? 3 * stage.group : 2;
  });
  const products = 3 * headDim + 2 * valueDim;
  return heads * stages.reduce((sum, each) => sum + each, products);
}

/** Reads of K and V, reads and writes of their gradients. */
const KEY_PASSES = 4;

/** Entries of maps by strips, from the last to the first; and rows of maps that are moved on because they are still read. */
function backwardWork(task: Task<CpuMachine>, kernel: Kernel, strip: number): KernelWork {
  const { pipeline, shape, machine } = task;
  const { B, Lq, Lk, R } = shape;
  const { heads, headDim, valueDim } = pipeline;
  const bands = backwardBands(pipeline);
  const lead = Math.max(...bands.map((band) => band.lead));
  const range = keyRanges(pipeline, shape);
  const panel = 2 * machine.lanes;
  const keysOf = (row: number): number => {
    const [low, high] = range(Math.max(row, -R), Math.min(row + strip, Lq) - 1);
    return Math.max(0, ceilTo(high, panel) - Math.floor(low / panel) * panel) * strip;
  };
  const pairs = sumOverRows(-R, Lq + lead, strip, keysOf);
  const strips = Math.ceil((R + Lq + lead) / strip);
  const kept = bands.reduce((sum, { keep }) => sum + keep, 0);
  const rows = bands.length * strip + 2 * kept;
  // K and V are read, their gradients added to, once a strip and product.
  const columns = KEY_PASSES * (headDim + valueDim);
  const counts = {
    ...NO_COUNTS,
    f32MultiplyAdds: B * pairs * multiplyAddsOfPair(pipeline),
    specialFunctions: B * heads * pairs,
    cacheBytes: B * heads * strips * (rows + columns) * Lk * 4,
  };
  return workOf(kernel, counts, { blocks: machine.threads, copiesAhead: true });
}
