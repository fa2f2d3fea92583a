import type { Artifact, Pipeline } from "../../../runtime/contract/index.ts";
import { specPlace } from "../provenance.ts";
import { AUTO_FLAVOUR, CHOICES, type LauncherFlavour, WEBGPU_FLAVOUR } from "./flavour.ts";
import { printChoiceModule, printKernelsModule } from "./kernels-module.ts";
import { fitLines } from "./line-width.ts";
import { attentionModel, type EmittedStack, stackModel } from "./models.ts";
import { emittedNames } from "./names.ts";
import { render } from "./templates.ts";

export { CUDA_FLAVOUR, type LauncherFlavour, WEBGPU_FLAVOUR } from "./flavour.ts";
export type { EmittedStack } from "./models.ts";
export { emittedNames } from "./names.ts";

/** What stands at the head of every emitted file. */
export interface Provenance {
  /** mtac's version. */
  readonly version: string;
  /** The spec's file name, without folders: what is emitted must not depend on where it was compiled. */
  readonly spec: string;
}

/** One attention to write files for. */
export interface EmittedAttention {
  readonly pipeline: Pipeline;
  readonly artifact: Artifact;
}

/**
 * The modules of one attention, by file name: its launcher, its kernels. No flavour's modules import another's, so that each may be
 * emitted alone.
 */
export function emitAttentionFiles(
  { pipeline, artifact }: EmittedAttention,
  provenance: Provenance,
  flavour: LauncherFlavour = WEBGPU_FLAVOUR,
): Readonly<Record<string, string>> {
  const header = attentionHeader(pipeline, provenance);
  return {
    ...launcherFile(pipeline, header, flavour, hasGradients(artifact)),
    [`${pipeline.name}${flavour.suffix}.kernels.ts`]: printKernelsModule(header, pipeline, artifact, flavour),
  };
}

/** An attention for pages that choose what computes, with the artifact for each choice. */
export interface EmittedChoice {
  readonly pipeline: Pipeline;
  readonly artifacts: Readonly<Record<keyof typeof CHOICES, Artifact>>;
}

/**
 * The modules of one attention that chooses when it runs, by file name: its launcher, what it chooses from, the kernels of each choice.
 *
 * @param digestOf A short name for a text.
 */
export function emitChoiceFiles(
  { pipeline, artifacts }: EmittedChoice,
  provenance: Provenance,
  digestOf: (text: string) => string,
): Readonly<Record<string, string>> {
  const header = attentionHeader(pipeline, provenance);
  const kernels = {
    [`${pipeline.name}${CHOICES.webgpu.suffix}.kernels.ts`]: printKernelsModule(
      header,
      pipeline,
      artifacts.webgpu,
      CHOICES.webgpu,
    ),
    [`${pipeline.name}${CHOICES.wasm.suffix}.kernels.ts`]: printKernelsModule(
      header,
      pipeline,
      artifacts.wasm,
      CHOICES.wasm,
    ),
  };
  const digest = digestOf(Object.values(kernels).join());
  return {
    ...launcherFile(pipeline, header, AUTO_FLAVOUR, Object.values(artifacts).every(hasGradients)),
    [`${pipeline.name}${AUTO_FLAVOUR.suffix}.kernels.ts`]: printChoiceModule(
      header,
      pipeline,
      digest,
      AUTO_FLAVOUR,
    ),
    ...kernels,
  };
}

function attentionHeader({ name, source }: Pipeline, provenance: Provenance): string {
  return printHeader(`attention ${name}`, provenance, source?.line);
}

/** Whether an artifact computes gradients. */
export function hasGradients({ backward = [] }: Artifact): boolean {
  return backward.length > 0;
}

function launcherFile(
  pipeline: Pipeline,
  header: string,
  flavour: LauncherFlavour,
  grad: boolean,
): Readonly<Record<string, string>> {
  const model = { header, ...attentionModel(pipeline, flavour, { declared: false, grad }) };
  return { [`${pipeline.name}${flavour.suffix}.ts`]: fitLines(render("launcher/attention.hbs", model)) };
}

/**
 * The file of one stack, by name. The modules of its layers' attentions belong beside it.
 *
 * @param grad Whether they have gradients.
 */
export function emitStackFiles(
  stack: EmittedStack,
  provenance: Provenance,
  flavour: LauncherFlavour = WEBGPU_FLAVOUR,
  grad = false,
): Readonly<Record<string, string>> {
  const { device, outputs, result, options, types, suffix } = flavour;
  const used = new Set([device, outputs, result, options, "EncodedCall"]);
  const model = {
    header: printHeader(`stack ${stack.name}`, provenance),
    types: types.filter((type) => used.has(type)).join(", "),
    modules: [...new Set(stack.layers.map(({ name }) => name))].map((name) => ({
      names: emittedNames(name),
      file: name + suffix,
    })),
    ...stackModel(stack, flavour, { declared: false, grad }),
  };
  return { [`${stack.name}${suffix}.ts`]: fitLines(render("launcher/stack.hbs", model)) };
}

/**
 * The types of one module for a whole spec, as a `.d.ts`: what its attentions and stacks export, under names of their own, and under
 * the short ones too where there is one attention. Needs no plans and no kernels.
 *
 * @param stacks Their layers name attentions that are given, too.
 * @param grad Whether there are gradients.
 */
export function emitDeclarations(
  pipelines: readonly Pipeline[],
  stacks: readonly EmittedStack[],
  { version, spec }: Provenance,
  flavour: LauncherFlavour = WEBGPU_FLAVOUR,
  grad = false,
): string {
  const [only, ...others] = pipelines.map(({ name }) => emittedNames(name));
  return fitLines(
    render("launcher/declarations.hbs", {
      header: `// The types of ${specPlace(spec)}. Made by mtac ${version} (\`mtac types\` or a build step): change the spec, not this file.`,
      flavour,
      grad,
      types: [...flavour.types, ...(grad ? flavour.gradientTypes : []), "Pipeline"].toSorted().join(", "),
      tensors: pipelines.some(({ parameters }) => parameters.length > 0),
      attentions: pipelines.map((pipeline) => attentionModel(pipeline, flavour, { declared: true, grad })),
      stacks: stacks.map((stack) => stackModel(stack, flavour, { declared: true, grad })),
      only: others.length === 0 && only !== undefined ? only : null,
    }),
  );
}

function printHeader(what: string, { version, spec }: Provenance, line?: number): string {
  return `// ${what}, from ${specPlace(spec, line)}. Made by mtac ${version}: change the spec and compile it again, not this file.`;
}
