import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parseBlocks } from "./blocks.ts";
import { PageFolder } from "./folder.ts";
import { type PageRecord, runPage } from "./steps.ts";
import { matches, readExchanges } from "./transcript.ts";
import { typeFaults } from "./types.ts";

// What the harness is for: wrong pages fail. One that passes everything would prove nothing.

const cache = mkdtempSync(join(os.tmpdir(), "mtac-docs-harness-"));
const folders: PageFolder[] = [];
afterAll(() => {
  for (const folder of folders) folder.remove();
  rmSync(cache, { recursive: true, force: true });
});

/** Runs a page whose fences are written as '''. */
async function run(text: string): Promise<PageRecord> {
  const record: PageRecord = { typescript: [], left: [] };
  const folder = new PageFolder(cache);
  folders.push(folder);
  await runPage(parseBlocks("page.md", text.replaceAll("'''", "```")), folder, record);
  return record;
}

const SPEC = "'''mta file=a.mta\nattention a { heads 2 head_dim 8 scores { conv 2x3 } }\n'''\n";

describe("blocks", () => {
  test("options are words, and values bare or quoted; indentation goes", () => {
    const [block] = parseBlocks("p.md", '# t\n\n  ```ts file=a.ts run part="a b"\n  x\n    y\n  ```\n');
    expect(block).toMatchObject({ page: "p.md", line: 3, language: "ts", text: "x\n  y\n" });
    expect([...(block?.words ?? [])]).toEqual(["run"]);
    expect([...(block?.settings ?? [])]).toEqual([
      ["file", "a.ts"],
      ["part", "a b"],
    ]);
  });

  test("a fence of four holds fences of three", () => {
    expect(parseBlocks("p.md", "````md\n```ts\n```\n````\n").map(({ text }) => text)).toEqual([
      "```ts\n```\n",
    ]);
  });

  test("a block without an end is refused", () => {
    expect(() => parseBlocks("p.md", "```ts\n")).toThrow("p.md:1");
  });

  test("commands go on after a backslash, and their comments are no arguments", () => {
    expect(readExchanges("$ a \\\n  b  # why\none\n$ c\n")).toEqual([
      { command: "a b", expected: "one" },
      { command: "c", expected: "" },
    ]);
  });
});

describe("shown output", () => {
  test.for([
    ["a\nb\n", "a\nb\n\n", true],
    ["a\n", "a\nb\n", false],
    ["a\nb\n", "a\n", false],
    ["", "a\n", false],
    ["a\n…\nd\n", "a\nb\nc\nd\n", true],
    ["a\n…\nb\n", "a\nb\n", true],
    ["…\nb\n…\nb\n", "b\nb\n", true],
    ["x … z\n", "x y z\n", true],
    ["x (…)\n", "x y\n", false],
    ["a   b\n", "a b\n", true],
  ] as const)("%j fits %j: %j", ([shown, printed, fits]) => {
    expect(matches(printed, shown)).toBe(fits);
  });
});

describe("a page", () => {
  test("that is right passes, and says what was left out", async () => {
    const record = await run(`${SPEC}
'''mta fails=MTA305
attention a { heads 2 head_dim 8 scores { conv 2x4 pad_key both } }
'''
'''mta in="attention a { heads 2 head_dim 8 … }"
scores { conv 2x3 }
'''
'''console
$ npx mtac check a.mta
✓ 1 file without errors
…
$ mtac compile a.mta --target webgpu --out out
…
'''
'''ts file=src/main.ts run
import { initParameters } from "../out/a.js";
console.log(Object.keys(initParameters(1)).length satisfies number);
'''
'''text output
1
'''
'''sh norun="asks the registry"
npm install mtac
'''
`);
    expect(record.left).toEqual(["page.md:25 sh: asks the registry"]);
    expect(typeFaults(record)).toEqual([]);
  });

  test.for([
    ["a wrong spec", "'''mta\nattention a { heads 0 head_dim 8 }\n'''", "MTA302"],
    ["a right spec that should fail", "'''mta fails=MTA302\nattention a { heads 1 head_dim 8 }\n'''", "none"],
    ["a warning", "'''mta\n// nothing\n'''", "MTA503"],
    ["a wrong part", "'''mta in=\"attention a { heads 2 head_dim 8 … }\"\nfoo 1\n'''", "MTA113"],
    ["a spec in a list", "- so:\n  '''mta\n  foo\n  '''", "page.md:2"],
    ["other output", `${SPEC}'''console\n$ mtac check a.mta\n✓ 2 files without errors\n…\n'''`, "1 file"],
    ["output that is left out", `${SPEC}'''console\n$ mtac check a.mta\n'''`, "1 file"],
    ["a command that fails", "'''console\n$ mtac check no.mta\n…\n'''", "ended with 1, not 0"],
    ["another exit code", `${SPEC}'''console exit=1\n$ mtac check a.mta\n…\n'''`, "ended with 0, not 1"],
    ["another result", "'''ts file=a.ts run\nconsole.log(1)\n'''\n'''text output\n2\n'''", "printed"],
    ["a program that throws", "'''ts file=a.ts run\nthrow new Error('no')\n'''", "ended with 1"],
    ["a program whose output is not shown", "'''ts file=a.ts run\nconsole.log(1)\n'''", "text output"],
    ["an untested block", "'''ts\nconsole.log(1)\n'''", "nothing tests this block"],
    ["a language that nothing knows", "'''ruby file=a.rb\nputs 1\n'''", "no test knows"],
    ["a block left out without a reason", "'''sh norun=\"\"\nls\n'''", "say why"],
  ] as const)("with %s fails", async ([, text, said]) => {
    await expect(run(text)).rejects.toThrow(said);
  });

  test("with wrong types fails, also in a file's earlier form", async () => {
    const faults = typeFaults(
      await run(
        "'''ts file=a.ts\nexport const a: number = 'x';\n'''\n'''ts file=a.ts\nexport const a = 1;\n'''\n" +
          "'''ts file=b.ts\nimport { attention } from 'mtac';\nattention(1);\n'''",
      ),
    ).toSorted();
    expect(faults).toHaveLength(2);
    expect(faults[0]).toMatch(/^page\.md:2: Type 'string'/);
    expect(faults[1]).toMatch(/^page\.md:9: /);
  });
});
