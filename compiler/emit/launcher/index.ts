import type { SourceFile, StatementStructures, Project as TsProject } from "ts-morph";
import type { Artifact, Pipeline } from "../../../runtime/contract/index.ts";
import { attentionModule } from "./attention-module.ts";
import { printKernelsModule } from "./kernels-module.ts";
import { breakLongLines } from "./line-width.ts";
import { printJson } from "./literal.ts";
import { type EmittedStack, stackModule } from "./stack-module.ts";
import { IndentationText, NewLineKind, Project, QuoteKind } from "./ts-morph.ts";

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
 * The files of one attention, by name: launcher, kernels (as a module and as text), plans.
 * Needs no type checker and no file system: ts-morph only prints.
 */
export function emitAttentionFiles(
  { pipeline, artifact }: EmittedAttention,
  provenance: Provenance,
): Readonly<Record<string, string>> {
  const { name } = pipeline;
  const header = printHeader(`attention ${name}`, provenance, pipeline.source?.line);
  return {
    [`${name}.ts`]: printModule(name, header, attentionModule(pipeline)),
    [`${name}.kernels.ts`]: printKernelsModule(header, pipeline, artifact),
    [`${name}.plan.json`]: printJson({ name, plans: artifact.plans }),
    ...artifact.sources,
  };
}

/** The file of one stack, by name. The modules of its layers' attentions belong beside it. */
export function emitStackFiles(
  stack: EmittedStack,
  provenance: Provenance,
): Readonly<Record<string, string>> {
  const header = printHeader(`stack ${stack.name}`, provenance);
  return { [`${stack.name}.ts`]: printModule(stack.name, header, stackModule(stack)) };
}

function printHeader(what: string, { version, spec }: Provenance, line?: number): string {
  const place = line === undefined ? spec : `${spec}:${line}`;
  return `// ${what}, from ${place}. Made by mtac ${version}: change the spec and compile it again, not this file.\n`;
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
