import {
  type ConvStage,
  type DropoutStage,
  isPointwise,
  type LinearStage,
  type MixStage,
  type Pipeline,
  type Pointwise,
  pointwiseOf,
  type Reach,
  type ScoreStage,
  type SourceLine,
  type StageIndex,
  totalReach,
  type WeightStage,
} from "../../runtime/contract/index.ts";

/** No rows and keys beyond an entry's own. */
export const NO_REACH: Reach = { past: 0, future: 0, left: 0, right: 0 };

interface AnyOp {
  /** Unique in the graph, and what a kernel that computes nothing else is called. */
  readonly name: string;
  /** The spec line that it computes. */
  readonly source: SourceLine | null;
  /** Rows and keys around an entry of its result that later operations read. */
  readonly halo: Reach;
}

/** What changes each entry by itself goes along with the operation before it. */
interface Finished {
  readonly pointwise: readonly Pointwise[];
}

/** The scores: scale · q·kᵀ. */
export interface DotOp extends AnyOp, Finished {
  readonly kind: "dot";
}

/** A convolution of a map. */
export interface ConvOp extends AnyOp, Finished {
  readonly kind: "conv";
  readonly stage: ConvStage;
  readonly index: StageIndex;
}

/** A mix of a map's heads. */
export interface MixOp extends AnyOp, Finished {
  readonly kind: "mix";
  readonly stage: MixStage;
  readonly index: StageIndex;
}

/** An operation whose entries are sums over entries of the map before it. */
export type LinearOp = ConvOp | MixOp;

/** A dropout of a map, in place. */
export interface DropoutOp extends AnyOp {
  readonly kind: "dropout";
  readonly stage: DropoutStage;
}

/** Softmax or sparsemax of each row, in place. */
export interface NormalizeOp extends AnyOp {
  readonly kind: "normalize";
}

/** The weights times v, with the stages on the output. */
export interface ProductOp extends AnyOp {
  readonly kind: "product";
}

export type Op = DotOp | LinearOp | DropoutOp | NormalizeOp | ProductOp;

/** What an attention computes, in order: dot, the scores' operations, normalize, the weights' operations, product. */
export interface Graph {
  readonly dot: DotOp;
  readonly scores: readonly LinearOp[];
  readonly normalize: NormalizeOp;
  readonly weights: readonly (LinearOp | DropoutOp)[];
  readonly product: ProductOp;
  /** All of them. */
  readonly ops: readonly Op[];
  /** How far all of them together reach from an entry of o. */
  readonly reach: Reach;
}

const known = new WeakMap<Pipeline, Graph>();

/** The graph of a pipeline; the same one for the same pipeline. */
export function graphOf(pipeline: Pipeline): Graph {
  let graph = known.get(pipeline);
  if (graph === undefined) {
    graph = buildGraph(pipeline);
    known.set(pipeline, graph);
  }
  return graph;
}

function buildGraph(pipeline: Pipeline): Graph {
  const stages = [...pipeline.scores, ...pipeline.weights];
  const scores = scoreOps(pipeline.scores, stages);
  const weights = weightOps(pipeline);
  const reach = totalReach(stages);
  const { source } = pipeline;
  const dot: DotOp = { kind: "dot", name: "scores", source, halo: reach, pointwise: scores.first };
  const normalize: NormalizeOp = {
    kind: "normalize",
    name: "normalize",
    source,
    halo: totalReach(pipeline.weights),
  };
  const product: ProductOp = {
    kind: "product",
    name: "product",
    source: pipeline.output[0]?.source ?? source,
    halo: NO_REACH,
  };
  return {
    dot,
    scores: scores.linear,
    normalize,
    weights,
    product,
    ops: [dot, ...scores.linear, normalize, ...weights, product],
    reach,
  };
}

/** The linear operations on the scores with the pointwise stages that follow each, and the pointwise ones before the first of them. */
function scoreOps(
  stages: readonly ScoreStage[],
  all: readonly (ScoreStage | WeightStage)[],
): { readonly first: readonly Pointwise[]; readonly linear: readonly LinearOp[] } {
  const first: Pointwise[] = [];
  let following = first;
  const linear: LinearOp[] = [];
  stages.forEach((stage, index) => {
    if (isPointwise(stage)) {
      following.push(pointwiseOf(stage));
      return;
    }
    following = [];
    linear.push(linearOp(stage, { section: "scores", index }, following, totalReach(all.slice(index + 1))));
  });
  return { first, linear };
}

function weightOps({ weights }: Pipeline): readonly (LinearOp | DropoutOp)[] {
  return weights.map((stage, index) => {
    const halo = totalReach(weights.slice(index + 1));
    if (stage.kind !== "dropout") return linearOp(stage, { section: "weights", index }, [], halo);
    return { kind: "dropout", name: operationName(stage), source: stage.source, stage, halo };
  });
}

/** What a stage's operation, and a kernel of it, is called. */
function operationName({ name }: LinearStage | DropoutStage): string {
  return name.replaceAll(".", "_");
}

function linearOp(
  stage: LinearStage,
  index: StageIndex,
  pointwise: readonly Pointwise[],
  halo: Reach,
): LinearOp {
  const op = { name: operationName(stage), source: stage.source, index, pointwise, halo };
  return stage.kind === "conv" ? { ...op, kind: "conv", stage } : { ...op, kind: "mix", stage };
}

/** A kernel as the allocation of maps sees it: the maps that it reads and the one that it writes, by any numbers. */
export interface MapUse {
  readonly reads: readonly number[];
  /** A map that it reads, too, is left or changed in place; null where it writes none. */
  readonly writes: number | null;
}

/**
 * The buffers of a plan's maps, by the maps' numbers: `map_0`, `map_1`, …, no more than are alive at a time. A kernel's result never
 * takes the place of a map that the kernel or a later one reads.
 */
export function mapSlots(uses: readonly MapUse[]): ReadonlyMap<number, string> {
  const slots = new Map<number, number>();
  const lastReader = new Map<number, number>();
  uses.forEach(({ reads }, at) => {
    for (const map of reads) lastReader.set(map, at);
  });
  uses.forEach(({ writes }, at) => {
    if (writes === null || slots.has(writes)) return;
    const taken = new Set<number>();
    for (const [map, slot] of slots) if ((lastReader.get(map) ?? -1) >= at) taken.add(slot);
    let free = 0;
    while (taken.has(free)) free += 1;
    slots.set(writes, free);
  });
  return new Map([...slots].map(([map, slot]) => [map, `map_${slot}`]));
}

/** The convolution that a program names. @throws RangeError where the pipeline has none there: a defect of the planner */
export function convAt(pipeline: Pipeline, { section, index }: StageIndex): ConvStage {
  const stage = pipeline[section][index];
  if (stage?.kind === "conv") return stage;
  throw new RangeError(`the plan names ${section} ${index}, which is no convolution`);
}

/** The same for a mix. */
export function mixAt(pipeline: Pipeline, { section, index }: StageIndex): MixStage {
  const stage = pipeline[section][index];
  if (stage?.kind === "mix") return stage;
  throw new RangeError(`the plan names ${section} ${index}, which is no mix`);
}
