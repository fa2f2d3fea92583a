/**
 * `mtac/compiler`: the compiler in a page, a worker, or wherever there is no Node. Text goes in, kernels, plans and facts come out. It
 * loads no module of Node and no TypeScript, reads no file, and makes no code while it runs, so that a strict Content-Security-Policy
 * may stand. `mtac/runtime` runs the result; `mtac`, for Node, prints TypeScript launchers, too.
 *
 * ```ts
 * import { compile } from "mtac/compiler";
 * import { createLauncher, initParameters, openBrowserGpu } from "mtac/runtime";
 *
 * const { pipelines, artifacts } = await compile("attention toy { heads 2 head_dim 8 scores { conv 2x3 } }");
 * const [pipeline] = pipelines;
 * const [artifact] = artifacts;
 * if (pipeline === undefined || artifact === undefined) throw new Error("the spec has no attention");
 * const { device } = await openBrowserGpu();
 * const launcher = await createLauncher(device, artifact, initParameters(pipeline));
 * ```
 *
 * Compiling blocks its thread for some tenths of a second: pages that compile while their user types do so in a worker. All that
 * `compile` gives is plain data, which workers can send.
 *
 * @packageDocumentation
 */
import type { Artifact, Pipeline } from "../runtime/contract/index.ts";
import { type CheckedSource, checkSource } from "./compile/checked-source.ts";
import { type CompileOptions, compileKernels } from "./compile/kernels.ts";
import { checkCompileOptions } from "./compile/options.ts";
import { loadGradients } from "./emit/index.ts";
import type { NamedArtifacts } from "./targets.ts";

export * from "../runtime/contract/index.ts";
export { SpecError } from "./compile/checked-source.ts";
export type { CompileOptions } from "./compile/kernels.ts";
export { resolve } from "./ir/index.ts";
export * from "./language/index.ts";
export {
  cudaArchitecture,
  cudaLimits,
  type TargetLimits,
  WEBGPU_COMMON_LIMITS,
  WEBGPU_DEFAULT_LIMITS,
  WEBGPU_VARIANTS,
} from "./plan/index.ts";
export {
  type AttentionFacts,
  attentionFacts,
  type ExplainedCandidate,
  type ExplainRequest,
  type Explanation,
  explain,
  type LayerUse,
} from "./report/explain.ts";

/** What `compile` gives: kernels, what they were compiled from, and the warnings. */
export interface KernelCompilation extends CheckedSource, NamedArtifacts {
  /** What each attention of `artifacts` and `cuda` computes, with every default filled in; `initParameters` takes it. */
  readonly pipelines: readonly Pipeline[];
  /** WGSL: one for each attention, plans and kernels, ready for `createLauncher` of `mtac/runtime`. */
  readonly artifacts: readonly Artifact[];
  /** CUDA: the same, ready for `createCudaLauncher` of `mtac/runtime/cuda`. */
  readonly cuda: readonly Artifact[];
  /** Kernels, C headers, CMake files and plans as text, by file name: what `mtac compile` writes, but for the launchers in TypeScript. */
  readonly files: Readonly<Record<string, string>>;
}

/**
 * Compiles a spec's text, or declarations made with `attention()`, `stack()` and the like. The same artifacts as `compile` of `mtac`
 * gives, without launchers in TypeScript.
 *
 * @param source The text of a `.mta` file, one built declaration, or an array of them.
 * @param options `targets: ["webgpu"]` leaves CUDA out, which takes most of the time; `file` is what to call the spec in messages and
 * headers, `spec.mta` if not given.
 * @throws SpecError when the spec has errors: `diagnostics` has all of them, with places; MtacError MTA4xx when no schedule fits one of
 * the variants or architectures, MTA903 and MTA933 for options that are none.
 */
export async function compile(
  source: string | object,
  options: CompileOptions & { readonly file?: string } = {},
): Promise<KernelCompilation> {
  checkCompileOptions(options);
  const { file, ...rest } = options;
  const checked = checkSource(source, file);
  if (rest.grad === true) await loadGradients();
  const { artifacts, pipelines, files } = compileKernels(checked.spec, rest);
  return { ...checked, ...artifacts, pipelines, files };
}
