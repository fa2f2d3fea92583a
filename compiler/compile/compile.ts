import type { Artifact } from "../../runtime/contract/index.ts";
import { emitAttentionFiles, emitStackFiles, hasGradients } from "../emit/launcher/index.ts";
import type { CheckedSpec } from "../language/index.ts";
import type { NamedArtifacts } from "../targets.ts";
import { emissionOf } from "./emissions.ts";
import { type CompiledKernels, type CompileOptions, compileKernels } from "./kernels.ts";

/** What a spec compiles to. */
export interface CompiledSpec extends NamedArtifacts {
  /** WGSL: one for each attention, plans and kernels, ready for `createLauncher`. */
  readonly artifacts: readonly Artifact[];
  /** CUDA: the same, ready for `createCudaLauncher`. */
  readonly cuda: readonly Artifact[];
  /** The processor: the same, ready for `createCpuLauncher`. */
  readonly cpu: readonly Artifact[];
  /** Launchers, kernels, headers and plans as text, by file name; all belong into one folder. */
  readonly files: Readonly<Record<string, string>>;
}

/**
 * Compiles a checked spec. Writes nothing and depends on nothing but its arguments: the same spec gives the same text.
 * @throws MtacError MTA4xx when no schedule fits one of the variants or architectures.
 */
export function compileChecked(spec: CheckedSpec, options: CompileOptions = {}): CompiledSpec {
  const { artifacts, files } = withLaunchers(compileKernels(spec, options));
  return { ...artifacts, files };
}

/** The same with the modules of typed launchers among the files. */
export function withLaunchers(compiled: CompiledKernels): CompiledKernels {
  const { emitted, stacks, provenance } = compiled;
  const launchers: Record<string, string> = {};
  for (const [target, attentions] of emitted) {
    const { flavour } = emissionOf(target);
    for (const each of attentions) Object.assign(launchers, emitAttentionFiles(each, provenance, flavour));
    const grad = attentions.some(({ artifact }) => hasGradients(artifact));
    for (const each of stacks) Object.assign(launchers, emitStackFiles(each, provenance, flavour, grad));
  }
  return { ...compiled, files: { ...launchers, ...compiled.files } };
}
