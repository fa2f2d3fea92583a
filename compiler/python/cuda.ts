import { CUDA_COMPILE_OPTIONS } from "../../runtime/contract/compile-options.ts";
import {
  type Artifact,
  bytesPerElement,
  CALL_FIELDS,
  type KernelPlan,
  launchFieldType,
  type Pipeline,
  type Plan,
  type Requirements,
  type Step,
} from "../../runtime/contract/index.ts";
import { kernelArguments } from "../../runtime/contract/kernel-arguments.ts";
import type { StorageType } from "../../runtime/contract/storage.ts";
import { emitArtifact } from "../emit/artifact.ts";
import { printJson } from "../emit/launcher/literal.ts";
import { passesOf, passNames } from "./passes.ts";

/**
 * What plans are made for: devices from sm_80 on differ in the shared memory of a block, and these are the two that have least of
 * it, with the older instructions and with the newer ones.
 */
const ARCHITECTURES = ["sm_80", "sm_86"];

const CALL_NAMES: ReadonlySet<string> = new Set(CALL_FIELDS.map(([name]) => name));

/** Widest access of the kernels (`ld.global.v4`, `cp.async` of 16 bytes). */
const WIDEST_ACCESS = 16;

/** The CUDA kernels of an attention for a type of q, k and v, with the plans that launch them. */
export function cudaArtifact(pipeline: Pipeline, storage: StorageType): Artifact {
  const artifact = emitArtifact(
    { ...pipeline, storage },
    { target: "cuda", grad: true, architectures: ARCHITECTURES },
  );
  const { dropout } = artifact;
  const chosen = {
    ...artifact,
    plans: chosenPlans(artifact.plans),
    backward: chosenPlans(artifact.backward ?? []),
    ...(dropout === undefined
      ? {}
      : { dropout: { plans: chosenPlans(dropout.plans), backward: chosenPlans(dropout.backward) } }),
  };
  const plans = Object.values(passesOf(chosen)).flat();
  const used = new Set(plans.flatMap(({ kernels }) => kernels.map(({ file }) => file)));
  const sources = Object.fromEntries(Object.entries(artifact.sources).filter(([file]) => used.has(file)));
  return { ...chosen, sources };
}

/** Plans that some device chooses, which takes the first that it can run: those that need more than one before them are left out. */
function chosenPlans(plans: readonly Plan[]): readonly Plan[] {
  return plans.filter(
    ({ requires }, index) => !plans.slice(0, index).some((before) => needsNoMore(before.requires, requires)),
  );
}

function needsNoMore(a: Requirements, b: Requirements): boolean {
  return (
    a.workgroupBytes <= b.workgroupBytes &&
    a.invocations <= b.invocations &&
    (a.computeCapability ?? 0) <= (b.computeCapability ?? 0)
  );
}

/** What a package computes with on CUDA devices. */
export interface CudaKernels {
  /** Types of q, k and v. */
  readonly storages: readonly StorageType[];
  /** The kernels of an attention for one of them: those that the planner chooses, if not given. */
  readonly artifactOf?: (pipeline: Pipeline, storage: StorageType) => Artifact;
}

/**
 * The CUDA kernels of an attention and the plans that launch them, by their paths in a package: one file of plans for each type of
 * q, k and v, which is read when it is first asked for.
 */
export function cudaFiles(
  pipeline: Pipeline,
  { storages, artifactOf = cudaArtifact }: CudaKernels,
): Readonly<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const storage of storages) {
    const artifact = artifactOf(pipeline, storage);
    const inPackage = (file: string): string => file.replace(pipeline.name, `${pipeline.name}.${storage}`);
    for (const [file, text] of Object.entries(artifact.sources)) files[inPackage(file)] = text;
    files[`${pipeline.name}.${storage}.json`] = printJson({
      options: CUDA_COMPILE_OPTIONS,
      passes: planPasses(artifact, pipeline, storage, inPackage),
    });
  }
  return files;
}

/** What the package's runtime executes: `Plans` of `runtime/python/plan.py`. */
function planPasses(
  artifact: Artifact,
  pipeline: Pipeline,
  storage: StorageType,
  inPackage: (file: string) => string,
): object {
  const passes = passesOf(artifact);
  return Object.fromEntries(
    passNames(pipeline).map((pass) => [pass, passes[pass].map((plan) => planData(plan, storage, inPackage))]),
  );
}

/** A plan without what only people and emitters read, and with all that is known of its launches before a call. */
function planData(plan: Plan, storage: StorageType, inPackage: (file: string) => string): object {
  const { schedule, requires, alignment, parameterWords, workspace, definitions, kernels, steps } = plan;
  const { workgroupBytes, invocations, computeCapability = 0 } = requires;
  const bytes = (elements: number): number => Math.min(elements * bytesPerElement(storage), WIDEST_ACCESS);
  const { q, k, v, o } = alignment;
  return {
    schedule,
    heads: plan.pipeline.heads,
    requires: { sharedBytes: workgroupBytes, threads: invocations, computeCapability },
    // History's rows are read as those of q, those of d_o as o's are written.
    alignment: { q, q_history: q, k, v, o, d_o: o },
    addresses: { q: bytes(q), q_history: bytes(q), k: bytes(k), v: bytes(v), o: bytes(o), d_o: bytes(o) },
    // Kernels may read as much, however few parameters there are.
    parameterBytes: Math.max(parameterWords, 4) * 4,
    definitions,
    workspace,
    kernels: kernels.map((kernel) => kernelData(kernel, inPackage)),
    steps: steps.map(stepData),
  };
}

function kernelData(kernel: KernelPlan, inPackage: (file: string) => string): object {
  const { name, file, entryPoint, workgroupSize, workgroupBytes, launch, source } = kernel;
  return {
    name,
    line: source?.line ?? null,
    file: inPackage(file),
    entryPoint,
    threads: workgroupSize,
    sharedBytes: workgroupBytes,
    arguments: kernelArguments(kernel).list.map(({ resource }) => resource),
    launch: launch.map((field) => [
      field,
      launchFieldType(field),
      CALL_NAMES.has(field) ? "call" : "dispatch",
    ]),
  };
}

function stepData(step: Step): object {
  if (step.kind === "loop") return { ...step, body: step.body.map(stepData) };
  const { multiplyAdds: _multiplyAdds, ...others } = step;
  return others;
}
