import type {
  Artifact,
  CallShape,
  KernelImage,
  Pipeline,
  Plan,
  Schedule,
  Target,
} from "../../runtime/contract/index.ts";
import { addTunedPlans, emitArtifact, type PlanThatWon } from "../emit/index.ts";
import type { EmittedAttention, EmittedStack, Provenance } from "../emit/launcher/index.ts";
import { planFile } from "../emit/plan-file.ts";
import { fileName } from "../emit/provenance.ts";
import { resolve } from "../ir/index.ts";
import { pipelineMeaning } from "../ir/meaning.ts";
import type { CheckedSpec } from "../language/index.ts";
import { wrongOption } from "../options.ts";
import { packageVersion } from "../package-version.ts";
import type { WantedDevices } from "../plan/index.ts";
import { type EmittedTargetName, emittedTargets, type NamedArtifacts } from "../targets.ts";
import { emissionOf, namedArtifacts } from "./emissions.ts";

/** What `compile` makes of a spec, and for which devices. */
export interface CompileOptions extends WantedDevices {
  /** All of them if not given. */
  readonly targets?: readonly EmittedTargetName[];
  /** Attentions and stacks to compile; all if not given. A stack brings its layers' attentions along. */
  readonly names?: readonly string[];
  /** The shape for which plans are chosen; they run at every shape. */
  readonly shape?: CallShape;
  /** Consider this schedule only. */
  readonly schedule?: Schedule;
  /** Gradients, too, for targets that compute them: not, if not given, as most programs never train. */
  readonly grad?: boolean;
  /** Plans that won on devices, by attention, for launchers to prefer there: `mtac tune` finds them. */
  readonly tuned?: ReadonlyMap<string, readonly PlanThatWon[]>;
  /** Compiled CUDA kernels, by source file, for launchers to carry. */
  readonly images?: ReadonlyMap<string, readonly KernelImage[]>;
}

/** A spec's kernels, and what needs no TypeScript to use them. */
export interface CompiledKernels {
  readonly artifacts: NamedArtifacts;
  /** What the attentions compute; those that layers use in place of an equal one, too. */
  readonly pipelines: readonly Pipeline[];
  /** The attentions by target, in the order of the pipelines. */
  readonly emitted: ReadonlyMap<Target, readonly EmittedAttention[]>;
  readonly stacks: readonly EmittedStack[];
  /** Kernels, C headers, CMake files and plans as text, by file name. */
  readonly files: Readonly<Record<string, string>>;
  /** What the head of each file says. */
  readonly provenance: Provenance;
}

/**
 * Compiles a checked spec without launchers. Writes nothing and depends on nothing but
 * its arguments: the same spec gives the same text.
 * @throws MtacError MTA4xx when no schedule fits one of the variants or architectures.
 */
export function compileKernels(spec: CheckedSpec, options: CompileOptions = {}): CompiledKernels {
  const { names, targets, images, tuned, grad = false, ...planned } = options;
  // Without folders: emitted text must not depend on where it was compiled.
  const file = fileName(spec.file);
  const provenance = { version: packageVersion(), spec: file };
  const known = [...spec.attentions, ...spec.stacks].map(({ name }) => name);
  const unknown = names?.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw wrongOption(`there is no attention or stack \`${unknown}\``, `there are ${known.join(", ")}`);
  const chosen = spec.stacks.filter(({ name }) => names === undefined || names.includes(name));
  const needed = new Set([
    ...(names ?? spec.attentions.map(({ name }) => name)),
    ...chosen.flatMap((stack) => stack.attentions),
  ]);
  const pipelines = spec.attentions
    .filter(({ name }) => needed.has(name))
    .map((attention) => resolve(attention, file));
  const equals = sharedPipelines(pipelines);
  const stacks = chosen.map(
    ({ name, attentions }): EmittedStack => ({
      name,
      layers: attentions.flatMap((attention) => equals.get(attention) ?? []),
    }),
  );
  const files: Record<string, string> = {};
  const emitted = new Map<Target, readonly EmittedAttention[]>();
  const wanted = emittedTargets(targets);
  for (const target of wanted) {
    const { flavour, files: filesOf } = emissionOf(target);
    const attentions = pipelines.map((pipeline) => {
      const own = emitArtifact(pipeline, { ...planned, target, grad });
      const won = tuned?.get(pipeline.name)?.filter(({ plan }) => plan.target === target) ?? [];
      const artifact = withImages(shippable(addTunedPlans(own, won)), images);
      const made = filesOf(
        { pipeline, planned: own, artifact, targets: wanted },
        provenance,
        options.architectures,
      );
      refuseTwice(Object.keys(made), files);
      Object.assign(files, made, planFile(artifact, flavour.suffix));
      return { pipeline, artifact };
    });
    emitted.set(target, attentions);
  }
  const artifacts = namedArtifacts((target) => emitted.get(target)?.map(({ artifact }) => artifact) ?? []);
  return { artifacts, pipelines, emitted, stacks, files, provenance };
}

/** `a_cpu` may be an attention, and what an attention `a` is called on the processor. @throws MtacError MTA933 */
function refuseTwice(names: readonly string[], files: Readonly<Record<string, string>>): void {
  const twice = names.find((name) => Object.hasOwn(files, name));
  if (twice !== undefined)
    throw wrongOption(
      `two attentions have a file ${twice}`,
      "rename one of them, or compile for one target at a time",
    );
}

/** An artifact with what its sources were compiled to, where they were. */
function withImages(artifact: Artifact, images: CompileOptions["images"]): Artifact {
  const carried = Object.keys(artifact.sources).flatMap((source) => images?.get(source) ?? []);
  return carried.length === 0 ? artifact : { ...artifact, images: carried };
}

/** For each attention the first one that computes the same: layers with equal attentions share kernels. */
function sharedPipelines(pipelines: readonly Pipeline[]): ReadonlyMap<string, Pipeline> {
  const first = new Map<string, Pipeline>();
  const shared = new Map<string, Pipeline>();
  for (const pipeline of pipelines) {
    const meaning = pipelineMeaning(pipeline);
    const equal = first.get(meaning) ?? pipeline;
    first.set(meaning, equal);
    shared.set(pipeline.name, equal);
  }
  return shared;
}

/** An artifact without what only emitters read. */
function shippable({ plans, backward, dropout, ...artifact }: Artifact): Artifact {
  return {
    ...artifact,
    plans: plans.map(shippablePlan),
    ...(backward === undefined ? {} : { backward: backward.map(shippablePlan) }),
    ...(dropout === undefined
      ? {}
      : {
          dropout: {
            plans: dropout.plans.map(shippablePlan),
            backward: dropout.backward.map(shippablePlan),
          },
        }),
  };
}

function shippablePlan(plan: Plan): Plan {
  return {
    ...plan,
    kernels: plan.kernels.map(({ program: _program, ...kernel }) => ({
      ...kernel,
      bindings: kernel.bindings.map(({ operand: _operand, ...binding }) => binding),
    })),
  };
}
