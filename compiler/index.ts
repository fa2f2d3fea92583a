/**
 * `mtac`: the compiler as a library. Text goes in, plans, kernels and launchers come out; nothing is read from disk but the
 * kernel templates, and nothing is written. `mtac/runtime` runs the result.
 *
 * @packageDocumentation
 */
import { type CheckedSource, checkSource } from "./compile/checked-source.ts";
import type { CompiledSpec } from "./compile/compile.ts";
import type { CompileOptions } from "./compile/kernels.ts";
import { checkCompileOptions } from "./compile/options.ts";
import { headers } from "./emit/c/gradient-sources.ts";
import { addLibrarySources } from "./emit/c/library-source.ts";
import { compiled as gradientTemplates } from "./emit/gradient-templates.ts";
import { addTemplates } from "./emit/template-library.ts";

// `emitArtifact` and `emitKernels` wait for nothing, and may be asked for gradients at any time.
addTemplates(gradientTemplates);
addLibrarySources(headers);

export * from "../runtime/contract/index.ts";
export { SpecError } from "./compile/checked-source.ts";
export type { CompiledSpec } from "./compile/compile.ts";
export type { CompileOptions } from "./compile/kernels.ts";
export { defineConfig, type MtacConfig } from "./config/index.ts";
export { type ArtifactOptions, emitArtifact, emitKernels } from "./emit/index.ts";
export { compulsoryBytes, floorMultiplyAdds, forwardOperations, resolve, visiblePairs } from "./ir/index.ts";
export * from "./language/index.ts";
export {
  type Candidate,
  choosePlan,
  cpuMachine,
  cudaArchitecture,
  cudaMachine,
  DEFAULT_SHAPE,
  type Machine,
  type PlanRequest,
  planCandidates,
  type TargetLimits,
  WEBGPU_COMMON_LIMITS,
  WEBGPU_DEFAULT_LIMITS,
  WEBGPU_VARIANTS,
  webgpuMachine,
} from "./plan/index.ts";

/** What `compile` gives: the compiled spec, what it was compiled from, and the warnings. */
export interface Compilation extends CompiledSpec, CheckedSource {}

/**
 * Compiles a spec's text, or declarations made with `attention()`, `stack()` and the like.
 *
 * @param source The text of a `.mta` file, one built declaration, or an array of them.
 * @throws SpecError when the spec has errors; MtacError MTA4xx when no schedule fits one of the variants, MTA903 and
 * MTA933 for options that are none.
 */
export async function compile(
  source: string | object,
  options: CompileOptions & {
    /** What to call the spec in messages and headers. */ readonly file?: string;
  } = {},
): Promise<Compilation> {
  checkCompileOptions(options);
  const { file, ...rest } = options;
  const checked = checkSource(source, file);
  // Analysis and planning do without the emitters.
  const { compileChecked } = await import("./compile/compile.ts");
  return { ...compileChecked(checked.spec, rest), ...checked };
}
