import type { Artifact } from "../../runtime/contract/index.ts";
import { CUDA_FLAVOUR, emitAttentionFiles, emitStackFiles, WEBGPU_FLAVOUR } from "../emit/launcher/index.ts";
import type { CheckedSpec } from "../language/index.ts";
import { emittedTargets } from "../targets.ts";
import { type CompileOptions, compileKernels } from "./kernels.ts";

/** What a spec compiles to. */
export interface CompiledSpec {
  /** WGSL: one for each attention, plans and kernels, ready for `createLauncher`. */
  readonly artifacts: readonly Artifact[];
  /** CUDA: the same, ready for `createCudaLauncher`. */
  readonly cuda: readonly Artifact[];
  /** Launchers, kernels, headers and plans as text, by file name; all belong into one folder. */
  readonly files: Readonly<Record<string, string>>;
}

/**
 * Compiles a checked spec. Writes nothing and depends on nothing but its arguments: the same spec gives the same text.
 * @throws MtacError MTA4xx when no schedule fits one of the variants or architectures.
 */
export function compileChecked(spec: CheckedSpec, options: CompileOptions = {}): CompiledSpec {
  const { wgsl, cuda, stacks, files, provenance } = compileKernels(spec, options);
  const launchers: Record<string, string> = {};
  const targets = emittedTargets(options.targets);
  for (const [target, attentions, flavour] of [
    ["webgpu", wgsl, WEBGPU_FLAVOUR],
    ["cuda", cuda, CUDA_FLAVOUR],
  ] as const) {
    if (!targets.includes(target)) continue;
    for (const attention of attentions)
      Object.assign(launchers, emitAttentionFiles(attention, provenance, flavour));
    for (const stack of stacks) Object.assign(launchers, emitStackFiles(stack, provenance, flavour));
  }
  return {
    artifacts: wgsl.map(({ artifact }) => artifact),
    cuda: cuda.map(({ artifact }) => artifact),
    files: { ...launchers, ...files },
  };
}
