import type { Target } from "../../runtime/contract/index.ts";
import { withLaunchers } from "../compile/compile.ts";
import { declareChecked } from "../compile/declare.ts";
import { emissionOf } from "../compile/emissions.ts";
import { type CompileOptions, compileKernels } from "../compile/kernels.ts";
import { digestOf } from "../files/text.ts";
import type { CheckedSpec } from "../language/index.ts";
import { emissionFacts } from "../targets.ts";
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
  readonly target: Target;
  readonly flavour: BuildFlavour;
}

/** Plans and emits all attentions and stacks of a spec, as JavaScript. */
export function emitSpec(
  { spec, name, text, target, flavour }: Emission,
  options: Pick<CompileOptions, "shape" | "schedule" | "tuned">,
): SpecBuild {
  const { suffix, runtime } = emissionOf(target).flavour;
  const { hotRuntime } = emissionFacts(target);
  const { files, emitted } = withLaunchers(compileKernels(spec, { ...options, targets: [target] }));
  const artifacts = new Map(
    emitted.get(target)?.map(({ artifact }) => [artifact.name + suffix, artifact] as const),
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
    const artifact = artifacts.get(part.replace(/\.kernels$/, ""));
    const map =
      part.endsWith(".kernels") && artifact !== undefined
        ? kernelsSourceMap(code, artifact, { name, text })
        : null;
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
  return { contents, modules, declarations: declareChecked(spec, target) };
}
