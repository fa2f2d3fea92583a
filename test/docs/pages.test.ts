import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { afterAll, describe, expect, test } from "vitest";
import { type Block, pages, place, readBlocks } from "./blocks.ts";
import { PageFolder } from "./folder.ts";
import { type PageRecord, runPage } from "./steps.ts";

// A page is a program: its blocks run in order, in a folder of their own, as a reader would run them. CONTRIBUTING.md says what the
// words after a fence mean. Runs what is in dist/.

const cache = mkdtempSync(join(os.tmpdir(), "mtac-docs-cache-"));
const record: PageRecord = { typescript: [], left: [] };
const folders: PageFolder[] = [];

afterAll(() => {
  for (const folder of folders) folder.remove();
  rmSync(cache, { recursive: true, force: true });
  if (record.left.length > 0) console.warn(`NOT RUN in the documentation:\n  ${record.left.join("\n  ")}`);
});

describe("the documentation", () => {
  test.each(pages())("%s does what it says", (page) => {
    const folder = new PageFolder(cache);
    folders.push(folder);
    runPage(readBlocks(page), folder, record);
  });

  test("its TypeScript compiles", () => {
    const paths = record.typescript.map(({ path }) => path);
    expect(paths.length).toBeGreaterThan(0);
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
    const faults = ts.getPreEmitDiagnostics(program).map((diagnostic) => describeFault(diagnostic));
    expect(faults).toEqual([]);
  });
});

function describeFault({ file, start = 0, messageText }: ts.Diagnostic): string {
  const message = ts.flattenDiagnosticMessageText(messageText, "\n");
  const block: Block | undefined = record.typescript.find(({ path }) => path === file?.fileName)?.block;
  if (block === undefined || file === undefined) return `${file?.fileName ?? ""}: ${message}`;
  const line = block.line + 1 + file.getLineAndCharacterOfPosition(start).line;
  return `${place({ ...block, line })}: ${message}`;
}
