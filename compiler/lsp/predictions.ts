import {
  type CallShape,
  MtacError,
  type Pipeline,
  type Target,
  withoutDropout,
} from "../../runtime/contract/index.ts";
import { type Candidate, type Machine, machinesOf, planCandidates } from "../plan/index.ts";
import { EMITTED_TARGETS, emissionFacts } from "../targets.ts";

/** What the planner would take on one target. */
export interface Prediction {
  readonly target: Target;
  /** For people: `WebGPU` or `CUDA, sm_80`. */
  readonly device: string;
  /** The cheapest candidate; null where none is legal. */
  readonly best: Candidate | null;
  /** Why there is none. */
  readonly reason: string | null;
  /** Predicted time over that of the same attention without stages; null where one of the two has no plan. */
  readonly overPlain: number | null;
  /** The planner's knobs with every value that some legal candidate has. */
  readonly knobs: ReadonlyMap<string, readonly (number | string)[]>;
}

/** The shape that predictions are for. */
export const NOMINAL: CallShape = { B: 1, Lq: 1024, Lk: 1024, R: 0 };

interface Device {
  readonly name: string;
  readonly machine: Machine;
}

const DEVICES: readonly Device[] = EMITTED_TARGETS.flatMap((target): Device[] => {
  const machine = machinesOf(target).typical();
  if (machine === null) return [];
  const { title } = emissionFacts(target);
  const { architecture } = machine;
  return [{ name: architecture === null ? title : `${title}, ${architecture.name}`, machine }];
});

type Outcome = Pick<Prediction, "best" | "reason" | "knobs">;

/** Planning takes tens of milliseconds: what was planned is remembered, by what is computed and not by where it is written. */
export class Predictions {
  private readonly known = new Map<string, Outcome>();
  private readonly most: number;

  /** @param most outcomes to remember; those that were not asked for longest are forgotten first */
  constructor(most = 200) {
    this.most = most;
  }

  /** What the planner would take for a pipeline at `NOMINAL`, on each target. */
  of(pipeline: Pipeline): readonly Prediction[] {
    return DEVICES.map((device) => {
      const own = this.plan(pipeline, device);
      const time = own.best?.cost?.time;
      const plain =
        time === undefined ? undefined : this.plan(withoutStages(pipeline), device).best?.cost?.time;
      const overPlain = time === undefined || plain === undefined ? null : time / plain;
      return { target: device.machine.target, device: device.name, ...own, overPlain };
    });
  }

  private plan(pipeline: Pipeline, { name, machine }: Device): Outcome {
    const key = `${name} ${meaningOf(pipeline)}`;
    const outcome = this.known.get(key) ?? outcomeOf(pipeline, machine);
    this.known.delete(key);
    this.known.set(key, outcome);
    for (const oldest of this.known.keys()) {
      if (this.known.size <= this.most) break;
      this.known.delete(oldest);
    }
    return outcome;
  }
}

function outcomeOf(pipeline: Pipeline, machine: Machine): Outcome {
  try {
    const candidates = planCandidates(withoutDropout(pipeline), { machine, shape: NOMINAL });
    const [first] = candidates;
    const best = first !== undefined && first.reason === null ? first : null;
    return { best, reason: best === null ? (first?.reason ?? null) : null, knobs: knobsOf(candidates) };
  } catch (error) {
    // The planner refuses what no kernel of the target computes.
    if (error instanceof MtacError) return { best: null, reason: error.message, knobs: new Map() };
    throw error;
  }
}

function knobsOf(candidates: readonly Candidate[]): Prediction["knobs"] {
  const values = new Map<string, Set<number | string>>();
  for (const { knobs, schedule, reason } of candidates) {
    if (reason !== null) continue;
    for (const [name, value] of Object.entries({ ...knobs, schedule }))
      values.set(name, (values.get(name) ?? new Set()).add(value));
  }
  return new Map([...values].map(([name, set]) => [name, [...set].sort(byValue)]));
}

function byValue(a: number | string, b: number | string): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a) < String(b) ? -1 : 1;
}

/** The pipeline as text, without names and places. */
function meaningOf(pipeline: Pipeline): string {
  return JSON.stringify({ ...pipeline, name: "", source: null }, (key, value: unknown) =>
    key === "source" ? undefined : value,
  );
}

/** Plain attention of the same sizes: what the stages' cost is compared with. */
function withoutStages(pipeline: Pipeline): Pipeline {
  return { ...pipeline, scores: [], weights: [], output: [], parameters: [] };
}
