import type {
  Artifact,
  CallShape,
  KernelImage,
  Pipeline,
  Plan,
  Schedule,
} from "../../runtime/contract/index.ts";
import {
  addTunedPlans,
  emitArtifact,
  emitCudaArtifact,
  emitHostFiles,
  type PlanThatWon,
} from "../emit/index.ts";
import type { EmittedAttention, EmittedStack, Provenance } from "../emit/launcher/index.ts";
import { planFile } from "../emit/plan-file.ts";
import { fileName } from "../emit/provenance.ts";
import { resolve } from "../ir/index.ts";
import { pipelineMeaning } from "../ir/meaning.ts";
import type { CheckedSpec } from "../language/index.ts";
import { packageVersion } from "../package-version.ts";
import { DEFAULT_ARCHITECTURES, type TargetLimits } from "../plan/index.ts";
import { type EmittedTargetName, emittedTargets } from "../targets.ts";

/** What `compile` makes of a spec, and for which devices. */
export interface CompileOptions {
  /** All of them if not given. */
  readonly targets?: readonly EmittedTargetName[];
  /** Attentions and stacks to compile; all if not given. A stack brings its layers' attentions along. */
  readonly names?: readonly string[];
  /** The shape for which plans are chosen; they run at every shape. */
  readonly shape?: CallShape;
  /** Consider this schedule only. */
  readonly schedule?: Schedule;
  /** The WebGPU devices to make plans for, the most capable first; if not given, the few kinds that they come in. */
  readonly variants?: readonly TargetLimits[];
  /** The CUDA architectures to make plans for, as nvcc's `-arch` names them: `sm_80` if not given. */
  readonly architectures?: readonly string[];
  /** Plans that won on devices, by attention, for launchers to prefer there: `mtac tune` finds them. */
  readonly tuned?: ReadonlyMap<string, readonly PlanThatWon[]>;
  /** Compiled CUDA kernels, by source file, for launchers to carry. */
  readonly images?: ReadonlyMap<string, readonly KernelImage[]>;
}

/** A spec's kernels, and what needs no TypeScript to use them. */
export interface CompiledKernels {
  readonly wgsl: readonly EmittedAttention[];
  readonly cuda: readonly EmittedAttention[];
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
  const { names, targets: wanted, variants, architectures, images, tuned, ...shared } = options;
  const targets = emittedTargets(wanted);
  const wonBy = ({ name }: Pipeline, target: Plan["target"]): readonly PlanThatWon[] =>
    (tuned?.get(name) ?? []).filter(({ plan }) => plan.target === target);
  // Without folders: emitted text must not depend on where it was compiled.
  const file = fileName(spec.file);
  const provenance = { version: packageVersion(), spec: file };
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
  const wgsl: EmittedAttention[] = [];
  if (targets.includes("webgpu")) {
    for (const pipeline of pipelines) {
      const artifact = shippable(
        addTunedPlans(
          emitArtifact(pipeline, { ...shared, ...(variants === undefined ? {} : { variants }) }),
          wonBy(pipeline, "webgpu"),
        ),
      );
      wgsl.push({ pipeline, artifact });
      Object.assign(files, planFile(artifact, ""), artifact.sources);
    }
  }
  const cuda: EmittedAttention[] = [];
  if (targets.includes("cuda")) {
    for (const pipeline of pipelines) {
      // The C API chooses by device alone, and takes the planner's plans.
      const made = emitCudaArtifact(pipeline, {
        ...shared,
        ...(architectures === undefined ? {} : { architectures }),
      });
      const launched = addTunedPlans(made, wonBy(pipeline, "cuda"));
      const carried = Object.keys(launched.sources).flatMap((source) => images?.get(source) ?? []);
      const artifact = { ...shippable(launched), ...(carried.length === 0 ? {} : { images: carried }) };
      cuda.push({ pipeline, artifact });
      Object.assign(
        files,
        emitHostFiles(pipeline, made, architectures ?? DEFAULT_ARCHITECTURES, provenance),
        planFile(artifact, ".cuda"),
      );
    }
  }
  return { wgsl, cuda, stacks, files, provenance };
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
function shippable(artifact: Artifact): Artifact {
  const plans = artifact.plans.map((plan) => ({
    ...plan,
    kernels: plan.kernels.map(({ program: _program, ...kernel }) => ({
      ...kernel,
      bindings: kernel.bindings.map(({ operand: _operand, ...binding }) => binding),
    })),
  }));
  return { ...artifact, plans };
}
