import type { SourceFile, StatementStructures, Project as TsProject } from "ts-morph";
import type { Artifact, Pipeline } from "../../../runtime/contract/index.ts";
import { specPlace } from "../provenance.ts";
import { attentionModule } from "./attention-module.ts";
import { declarationStatements } from "./declarations.ts";
import { CUDA_FLAVOUR, type LauncherFlavour, WEBGPU_FLAVOUR } from "./flavour.ts";
import { printKernelsModule } from "./kernels-module.ts";
import { breakLongLines } from "./line-width.ts";
import { type EmittedStack, stackModule } from "./stack-module.ts";
import { IndentationText, NewLineKind, Project, QuoteKind } from "./ts-morph.ts";

export { CUDA_FLAVOUR, WEBGPU_FLAVOUR } from "./flavour.ts";
export { emittedNames } from "./names.ts";
export type { EmittedStack } from "./stack-module.ts";

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
 * The modules of one attention, by file name: its launcher, its kernels. Needs no type checker and no file system: ts-morph only
 * prints.
 */
export function emitAttentionFiles(
  attention: EmittedAttention,
  provenance: Provenance,
): Readonly<Record<string, string>> {
  return attentionFiles(attention, provenance, WEBGPU_FLAVOUR);
}

/** The file of one stack, by name. The modules of its layers' attentions belong beside it. */
export function emitStackFiles(
  stack: EmittedStack,
  provenance: Provenance,
): Readonly<Record<string, string>> {
  return stackFiles(stack, provenance, WEBGPU_FLAVOUR);
}

/**
 * The same for CUDA devices, over `mtac/runtime/cuda`. Neither flavour's modules import the other's, so either may be emitted
 * alone.
 */
export function emitCudaAttentionFiles(
  attention: EmittedAttention,
  provenance: Provenance,
): Readonly<Record<string, string>> {
  return attentionFiles(attention, provenance, CUDA_FLAVOUR);
}

/** As `emitStackFiles`, for CUDA devices. */
export function emitCudaStackFiles(
  stack: EmittedStack,
  provenance: Provenance,
): Readonly<Record<string, string>> {
  return stackFiles(stack, provenance, CUDA_FLAVOUR);
}

/**
 * The types of one module for a whole spec, as a `.d.ts`: what its attentions and stacks export, under names of their own. Needs
 * no plans and no kernels.
 *
 * @param stacks Their layers name attentions that are given, too.
 */
export function emitDeclarations(
  pipelines: readonly Pipeline[],
  stacks: readonly EmittedStack[],
  { version, spec }: Provenance,
  flavour: LauncherFlavour = WEBGPU_FLAVOUR,
): string {
  const header = `// The types of ${specPlace(spec)}. Made by mtac ${version} (\`mtac types\` or a build step): change the spec, not this file.\n`;
  const text = printModule("declarations", header, declarationStatements(pipelines, stacks, flavour));
  // Declarations without bodies are printed without space between them.
  return text.replace(/;\n(?=\/\*\*|export )/g, ";\n\n");
}

function attentionFiles(
  { pipeline, artifact }: EmittedAttention,
  provenance: Provenance,
  flavour: LauncherFlavour,
): Readonly<Record<string, string>> {
  const { name } = pipeline;
  const file = name + flavour.suffix;
  const header = printHeader(`attention ${name}`, provenance, pipeline.source?.line);
  return {
    [`${file}.ts`]: printModule(file, header, attentionModule(pipeline, flavour)),
    [`${file}.kernels.ts`]: printKernelsModule(header, pipeline, artifact, flavour),
  };
}

function stackFiles(
  stack: EmittedStack,
  provenance: Provenance,
  flavour: LauncherFlavour,
): Readonly<Record<string, string>> {
  const file = stack.name + flavour.suffix;
  const header = printHeader(`stack ${stack.name}`, provenance);
  return { [`${file}.ts`]: printModule(file, header, stackModule(stack, flavour)) };
}

function printHeader(what: string, { version, spec }: Provenance, line?: number): string {
  return `// ${what}, from ${specPlace(spec, line)}. Made by mtac ${version}: change the spec and compile it again, not this file.\n`;
}

let project: TsProject | null = null;

/** One project for all modules: making one costs more than printing a module. */
function sharedProject(): TsProject {
  project ??= new Project({
    useInMemoryFileSystem: true,
    skipLoadingLibFiles: true,
    skipFileDependencyResolution: true,
    manipulationSettings: {
      indentationText: IndentationText.TwoSpaces,
      newLineKind: NewLineKind.LineFeed,
      quoteKind: QuoteKind.Double,
      useTrailingCommas: true,
    },
  });
  return project;
}

function printModule(
  name: string,
  header: string,
  statements: readonly (StatementStructures | string)[],
): string {
  const shared = sharedProject();
  const file: SourceFile = shared.createSourceFile(
    `/${name}.ts`,
    { statements: [...statements] },
    { overwrite: true },
  );
  const text = file.getFullText();
  file.forget();
  return `${header}\n${breakLongLines(text).replace(/\n{3,}/g, "\n\n")}`;
}
