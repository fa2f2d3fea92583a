import {
  type Artifact,
  type CallShape,
  hasDropout,
  type Pipeline,
  type Plan,
  type Schedule,
  type ShapeBucket,
  type Target,
  type TunedPlan,
  withoutDropout,
} from "../../runtime/contract/index.ts";
import { type Checks, listed, refuseOptions, truth } from "../options.ts";
import {
  choosePlan,
  DEFAULT_SHAPE,
  keepValues,
  type Machine,
  machinesOf,
  PLAN_OPTIONS,
  type PlanRequest,
  storedOn,
  type WantedDevices,
} from "../plan/index.ts";
import { DEFAULT_TARGET, EMITTED_TARGETS, emissionFacts } from "../targets.ts";
import { dialectOf } from "./dialect/index.ts";
import { emitPlans } from "./kernels.ts";

/** What `emitArtifact` makes plans for. */
export interface ArtifactOptions extends WantedDevices {
  /** What kernels are written for: `webgpu` if not given. */
  readonly target?: Target;
  /** The shape for which plans are chosen. */
  readonly shape?: CallShape;
  /** Consider this schedule only. */
  readonly schedule?: Schedule;
  /** Plans and kernels for gradients, too: not, if not given. */
  readonly grad?: boolean;
}

const ARTIFACT_OPTIONS: Checks<keyof ArtifactOptions> = {
  ...PLAN_OPTIONS,
  target: (value) =>
    EMITTED_TARGETS.some((each) => each === value) ? null : `one of ${listed(EMITTED_TARGETS)}`,
  grad: truth,
};

/**
 * Plans and kernels of one attention for the devices of a target that differ: WebGPU's have 16 or 32 KiB of workgroup memory, with or
 * without native f16. Devices that lead to the same plan share it. A launcher takes the first plan that its device can run.
 *
 * @throws MtacError MTA405 when no schedule fits a device; MTA918 for an architecture that is none, or older than sm_80; MTA933 for wrong options.
 */
export function emitArtifact(pipeline: Pipeline, options: ArtifactOptions = {}): Artifact {
  refuseOptions("emitArtifact", options, ARTIFACT_OPTIONS);
  const { target = DEFAULT_TARGET, shape = DEFAULT_SHAPE, schedule, grad = false, ...devices } = options;
  const machines = machinesOf(target).wanted(devices);
  // Where there is one schedule only, none can be asked for.
  const choosy = schedule !== undefined && emissionFacts(target).schedules;
  const inference = withoutDropout(pipeline);
  const plans = bestPlans(inference, machines, { shape, ...(choosy ? { schedule } : {}) });
  const backward = grad ? bestPlans(inference, machines, { shape, direction: "backward" }) : [];
  const dropout = hasDropout(pipeline)
    ? {
        plans: bestPlans(pipeline, machines, { shape }),
        backward: grad ? bestPlans(pipeline, machines, { shape, direction: "backward" }) : [],
      }
    : undefined;
  return artifactOf(pipeline, plans, backward, dropout);
}

/** The form of the storage changes how kernels read, not which plan is best: machines that differ in it share the planner's work. */
function bestPlans(
  pipeline: Pipeline,
  machines: readonly Machine[],
  choice: Omit<PlanRequest, "machine">,
): readonly Plan[] {
  const chosen = new Map<string, Plan>();
  return machines.map((machine) => {
    const sizes = JSON.stringify({ ...machine.limits, features: [] });
    const best = chosen.get(sizes) ?? choosePlan(pipeline, { machine, ...choice });
    chosen.set(sizes, best);
    return storedOn(machine, best);
  });
}

/**
 * Plans for machines with their kernels, the most capable first. Of those that do the same the last one stays: it is the least that they need.
 *
 * @param backward Plans for gradients. Where there are some, forward plans can keep what these need.
 * @param dropout Plans for calls that drop weights.
 */
export function artifactOf(
  { name }: Pipeline,
  plans: readonly Plan[],
  backward: readonly Plan[] = [],
  dropout?: Artifact["dropout"],
): Artifact {
  const forward = (all: readonly Plan[]): readonly Plan[] =>
    backward.length === 0 ? all : all.map(keepValues);
  const named = distinct(forward(plans)).map((plan, index) =>
    nameVariant(plan, index === 0 ? null : `${index + 1}`),
  );
  const gradients = variantsOf(backward, "backward");
  const dropping = {
    plans: variantsOf(forward(dropout?.plans ?? []), "dropout"),
    backward: variantsOf(dropout?.backward ?? [], "dropout_backward"),
  };
  return {
    name,
    plans: named,
    ...(gradients.length === 0 ? {} : { backward: gradients }),
    ...(dropout === undefined ? {} : { dropout: dropping }),
    ...emitPlans([...named, ...gradients, ...dropping.plans, ...dropping.backward]),
  };
}

/** Plans under names of their own: the word, from the second one on with a number. */
function variantsOf(plans: readonly Plan[], word: string): readonly Plan[] {
  return distinct(plans).map((plan, index) => nameVariant(plan, index === 0 ? word : `${word}${index + 1}`));
}

function distinct(plans: readonly Plan[]): readonly Plan[] {
  return [...new Map(plans.map((plan) => [meaningOf(plan), plan])).values()];
}

/** A plan that was the fastest on one device at shapes of a bucket. */
export interface PlanThatWon {
  readonly device: string;
  readonly bucket: ShapeBucket;
  readonly plan: Plan;
}

/**
 * An artifact with plans that won on devices, which then prefer them. One that it has already is named, not repeated. Those for gradients are
 * left out where it computes none.
 */
export function addTunedPlans(artifact: Artifact, winners: readonly PlanThatWon[]): Artifact {
  const { backward } = artifact;
  const ofDirection = (direction: Plan["direction"]): readonly PlanThatWon[] =>
    winners.filter(({ plan }) => plan.direction === direction);
  const won = ofDirection(undefined);
  const keeping =
    backward === undefined ? won : won.map((each) => ({ ...each, plan: keepValues(each.plan) }));
  const forward = withWinners(artifact.plans, keeping, String);
  const gradients =
    backward === undefined
      ? null
      : withWinners(backward, ofDirection("backward"), (number) => `backward${number}`);
  const { sources, traces } = emitPlans([...forward.added, ...(gradients?.added ?? [])]);
  return {
    ...artifact,
    plans: forward.plans,
    ...(forward.tuned.length === 0 ? {} : { tuned: forward.tuned }),
    ...(gradients === null ? {} : { backward: gradients.plans }),
    ...(gradients === null || gradients.tuned.length === 0 ? {} : { tunedBackward: gradients.tuned }),
    sources: { ...artifact.sources, ...sources },
    traces: { ...artifact.traces, ...traces },
  };
}

/** Plans of one direction, with those that won. */
interface WithWinners {
  readonly plans: readonly Plan[];
  readonly added: readonly Plan[];
  readonly tuned: readonly TunedPlan[];
}

/** @param variant What files of the plan of a number, from 1, are told apart by. */
function withWinners(
  given: readonly Plan[],
  winners: readonly PlanThatWon[],
  variant: (number: number) => string,
): WithWinners {
  const plans = [...given];
  const added: Plan[] = [];
  const known = new Map(plans.map((plan, index) => [meaningOf(plan), index]));
  const tuned = winners.map(({ device, bucket, plan }): TunedPlan => {
    const meaning = meaningOf(plan);
    let index = known.get(meaning);
    if (index === undefined) {
      index = plans.length;
      const named = nameVariant({ ...plan, tuned: true }, variant(index + 1));
      known.set(meaning, index);
      plans.push(named);
      added.push(named);
    }
    return { device, bucket, plan: index };
  });
  return { plans, added, tuned };
}

/** What a plan does, without its name and its cost. How many threads a library uses, no program says. */
function meaningOf({ target, storage, kernels, definitions, knobs: { threads } }: Plan): string {
  return JSON.stringify([target, storage, kernels.map(({ program }) => program), definitions, threads]);
}

/**
 * Files of the second and later plans carry their number, those of plans for gradients a word; so do entry points, where plans are linked together.
 */
function nameVariant(plan: Plan, variant: string | null): Plan {
  if (variant === null) return plan;
  const dialect = dialectOf(plan.target);
  if (dialect === null) return plan;
  const { extension, sharing } = dialect;
  const kernels = plan.kernels.map((kernel) => ({
    ...kernel,
    file: `${kernel.file.slice(0, -extension.length)}${variant}.${extension}`,
    ...(sharing === null ? {} : { entryPoint: `${plan.pipeline.name}_${variant}_${kernel.name}` }),
  }));
  return { ...plan, kernels };
}
