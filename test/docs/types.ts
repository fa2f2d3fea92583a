import ts from "typescript";
import { type Block, place } from "./blocks.ts";
import type { PageRecord } from "./steps.ts";

/** What is wrong with the TypeScript of pages, in one program, with the page's own lines. */
export function typeFaults(record: PageRecord): readonly string[] {
  const paths = record.typescript.map(({ path }) => path);
  const program = ts.createProgram(paths, {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    preserveSymlinks: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ["lib.es2023.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
    types: [],
  });
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => describeFault(diagnostic, record));
}

function describeFault({ file, start = 0, messageText }: ts.Diagnostic, record: PageRecord): string {
  const message = ts.flattenDiagnosticMessageText(messageText, "\n");
  const block: Block | undefined = record.typescript.find(({ path }) => path === file?.fileName)?.block;
  if (block === undefined || file === undefined) return `${file?.fileName ?? ""}: ${message}`;
  const line = block.line + 1 + file.getLineAndCharacterOfPosition(start).line;
  return `${place({ ...block, line })}: ${message}`;
}
