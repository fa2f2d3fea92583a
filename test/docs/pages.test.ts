import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { pages, readBlocks } from "./blocks.ts";
import { PageFolder } from "./folder.ts";
import { type PageRecord, runPage } from "./steps.ts";
import { typeFaults } from "./types.ts";

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
  test.concurrent.each(pages())("%s does what it says", async (page) => {
    const folder = new PageFolder(cache);
    folders.push(folder);
    await runPage(readBlocks(page), folder, record);
  });

  test("its TypeScript compiles", () => {
    expect(record.typescript.length).toBeGreaterThan(0);
    expect(typeFaults(record)).toEqual([]);
  });
});
