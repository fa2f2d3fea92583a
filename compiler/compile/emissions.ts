import type { Artifact, Pipeline, Target } from "../../runtime/contract/index.ts";
import { emitCFiles, emitHostFiles } from "../emit/index.ts";
import { CPU_FLAVOUR, CUDA_FLAVOUR, type LauncherFlavour, WEBGPU_FLAVOUR } from "../emit/launcher/flavour.ts";
import type { Provenance } from "../emit/launcher/index.ts";
import { DEFAULT_ARCHITECTURES } from "../plan/index.ts";
import type { NamedArtifacts } from "../targets.ts";

/** An attention, as it was planned and emitted for a target. */
export interface Emitted {
  readonly pipeline: Pipeline;
  /** With the planner's plans alone. */
  readonly planned: Artifact;
  /** What launchers take: with plans that were measured, too. */
  readonly artifact: Artifact;
  /** Everything that is written of the attention. */
  readonly targets: readonly Target[];
}

/** What is written for a target. */
export interface Emission {
  /** How its typed launchers differ from another target's. */
  readonly flavour: LauncherFlavour;
  /** Kernels and what programs without launchers need, by file name. */
  files(
    emitted: Emitted,
    provenance: Provenance,
    architectures: readonly string[] | undefined,
  ): Readonly<Record<string, string>>;
}

/** What is written for each target: all that tells `compile`, builds and `explain --trace` one from another. */
const EMISSIONS: Readonly<Record<Target, Emission>> = {
  webgpu: { flavour: WEBGPU_FLAVOUR, files: ({ artifact }) => artifact.sources },
  cuda: {
    flavour: CUDA_FLAVOUR,
    // The C API chooses by device alone, and takes the planner's plans.
    files: ({ pipeline, planned }, provenance, architectures = DEFAULT_ARCHITECTURES) => ({
      // Kernels that nothing in C launches, too: those of gradients.
      ...planned.sources,
      ...emitHostFiles(pipeline, planned, architectures, provenance),
    }),
  },
  cpu: {
    flavour: CPU_FLAVOUR,
    // Beside CUDA's the files, and the functions in them, are called otherwise: one program may use both.
    files: ({ pipeline, planned, targets }, provenance) =>
      emitCFiles(
        pipeline,
        planned,
        targets.includes("cuda") ? `${pipeline.name}_cpu` : pipeline.name,
        provenance,
      ),
  },
};

export function emissionOf(target: Target): Emission {
  return EMISSIONS[target];
}

/** Artifacts by the names that `compile` gives them. */
export function namedArtifacts(of: (target: Target) => readonly Artifact[]): NamedArtifacts {
  return { artifacts: of("webgpu"), cuda: of("cuda"), cpu: of("cpu") };
}
