import type { Artifact } from "../../runtime/contract/index.ts";
import { declareChecked } from "../compile/declare.ts";
import { emissionOf } from "../compile/emissions.ts";
import { type CompileOptions, compileKernels } from "../compile/kernels.ts";
import { launcherModules, moduleFlavour } from "../compile/modules.ts";
import { loadGradients } from "../emit/index.ts";
import { digestOf } from "../files/text.ts";
import type { CheckedSpec } from "../language/index.ts";
import { type ModuleTarget, moduleFacts } from "../targets.ts";
import { partSpecifier } from "./module-id.ts";
import { kernelsSourceMap } from "./source-map.ts";
import type { BuildFlavour, SpecBuild, SpecContents, SpecModule } from "./spec-modules.ts";
import { transpile } from "./transpile.ts";

interface Emission {
  readonly spec: CheckedSpec;
  /** The spec's file name, without folders. */
  readonly name: string;
  /** The spec's text, for source maps. */
  readonly text: string;
  readonly target: ModuleTarget;
  readonly flavour: BuildFlavour;
}

/** Plans and emits all attentions and stacks of a spec, as JavaScript. */
export async function emitSpec(
  { spec, name, text, target, flavour }: Emission,
  options: Pick<CompileOptions, "shape" | "schedule" | "grad" | "tuned">,
): Promise<SpecBuild> {
  const { suffix, runtime } = moduleFlavour(target);
  const { holds, hotRuntime } = moduleFacts(target);
  if (options.grad === true) await loadGradients();
  const compiled = compileKernels(spec, { ...options, targets: holds });
  const files = launcherModules(compiled, target, digestOf);
  const artifacts = new Map<string, Artifact>(
    holds.flatMap((held) => {
      const { flavour: own } = emissionOf(held);
      return (compiled.emitted.get(held) ?? []).map(
        ({ artifact }) => [`${artifact.name}${own.suffix}.kernels`, artifact] as const,
      );
    }),
  );
  const rename = (specifier: string): string => {
    const part = /^\.\/(.+)\.js$/.exec(specifier)?.[1];
    if (part !== undefined) return partSpecifier(name, part);
    return flavour.hot && specifier === runtime && hotRuntime !== null ? hotRuntime : specifier;
  };
  const modules: Record<string, SpecModule> = {};
  for (const [file, source] of Object.entries(files)) {
    const part = /^(.+)\.ts$/.exec(file)?.[1];
    if (part === undefined) continue;
    const code = transpile(source, rename);
    const artifact = artifacts.get(part);
    const map = artifact === undefined ? null : kernelsSourceMap(code, artifact, { name, text });
    modules[part] = { code, map };
  }
  const contents: SpecContents = {
    spec: name,
    suffix,
    attentions: spec.attentions.map((each) => each.name),
    stacks: spec.stacks.map((each) => ({
      name: each.name,
      digest: digestOf(modules[each.name + suffix]?.code ?? ""),
    })),
  };
  return { contents, modules, declarations: declareChecked(spec, target, options.grad) };
}
