import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { declareChecked } from "../../compiler/compile/declare.ts";
import { fileName, specPlace } from "../../compiler/emit/provenance.ts";
import { analyse } from "../../compiler/language/index.ts";
import { runsOf, SEED } from "../support/seed.ts";

// A spec's file name stands in comments of everything that is emitted, and must stay there whatever it holds.

const SPEC = `attention one { heads 2 head_dim 16 mask causal scores { conv 2x3 } }
attention two { heads 2 head_dim 16 }
stack tower { layers 2 use one otherwise }
`;

function emitted(file: string): Readonly<Record<string, string>> {
  const { spec, diagnostics } = analyse(SPEC, file);
  if (spec === null) throw new Error(JSON.stringify(diagnostics));
  return { ...compileChecked(spec).files, "both.d.ts": declareChecked(spec) };
}

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "mtac-test-names-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What no compiler of the language may see: code is all that is left. */
const WITHOUT_COMMENTS: Readonly<Record<string, (text: string) => string>> = {
  // WGSL ends lines, and with them comments, at all of these.
  ".wgsl": (text) => text.replace(/\/\/[^\n\v\f\r\u0085\u2028\u2029]*/g, "").replace(/\n+/g, "\n"),
  ".ts": (text) => {
    const source = ts.createSourceFile("a.ts", text, ts.ScriptTarget.Latest, true);
    // Statements and names; places stand in strings, too, whose text may differ.
    const print = (node: ts.Node): string => {
      const parts: string[] = [];
      ts.forEachChild(node, (child) => {
        parts.push(print(child));
      });
      const own = ts.isIdentifier(node) || ts.isNumericLiteral(node) ? node.text : "";
      return `${ts.SyntaxKind[node.kind]}${own}(${parts.join(" ")})`;
    };
    return print(source);
  },
  ".h": preprocessed,
  ".cu": preprocessed,
  ".cmake": (text) => text.replace(/^#.*$/gm, ""),
};

/** The text without comments, as gcc reads it. */
function preprocessed(text: string): string {
  const options = ["-fpreprocessed", "-dD", "-E", "-P", "-x", "c++", "-"];
  const { status, stdout, stderr } = spawnSync("g++", options, { input: text, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

const plain = emitted("plain.mta");
const gcc = spawnSync("g++", ["--version"]).status === 0;
const cmake = spawnSync("cmake", ["--version"]).status === 0;

function checkName(name: string): void {
  const files = emitted(name);
  expect(Object.keys(files)).toEqual(Object.keys(plain));
  for (const [file, text] of Object.entries(files)) {
    const extension = path.extname(file);
    const strip = WITHOUT_COMMENTS[extension];
    if (strip === undefined || (strip === preprocessed && !gcc)) continue;
    expect(strip(text), `${file} of ${JSON.stringify(name)}`).toBe(strip(plain[file] ?? ""));
    // Raw control characters would reach terminals and editors, too.
    expect(text).not.toMatch(/[\p{Cf}\p{Zl}\p{Zp}]|(?!\n)\p{Cc}/u);
    if (extension === ".wgsl" || extension === ".cu")
      expect(text.replaceAll("\n// ", " ")).toContain(` (${specPlace(fileName(name))}:`);
  }
}

const ENDS = ["\n", "\r", "\r\n", "\v", "\f", "\u0085", "\u2028", "\u2029", "\0", "*/", "]]", "\\"];
const CODES = [
  "globalThis.pwned = 1;",
  "execute_process(COMMAND touch marker)\n",
  "int pwned;",
  "fn pwned() {}",
];
const OTHERS = [
  "/*",
  "$" + "{pwned}",
  "`",
  '"',
  "'",
  "\u001b[31m",
  "\u202e",
  "{{x}}",
  "#[[",
  "??/",
  "é",
  "#",
  " ",
];

const names = fc
  .array(fc.constantFrom(...ENDS, ...CODES, ...OTHERS), { minLength: 1, maxLength: 8 })
  // A name has no folders.
  .map((parts) => `${parts.join("").replaceAll("/", "∕")}.mta`);

describe("a spec's file name in emitted text", () => {
  test.each([...ENDS, ...OTHERS])("stays in its comment with %j", (part) => {
    checkName(`a${part}${CODES.join(part)}${part}.mta`.replaceAll("/", "∕"));
  });

  test(`stays in its comment, whatever it is (seed ${SEED})`, () => {
    fc.assert(fc.property(names, checkName), { seed: SEED, numRuns: runsOf(20), endOnFailure: true });
  });

  test("cannot end a comment of C, nor begin one", () => {
    expect(specPlace("a*/int pwned;/*b.mta", 3)).toBe("a*\\/int pwned;/\\*b.mta:3");
    expect(specPlace("a/*/b")).toBe("a/\\*\\/b");
  });

  test("is shown as it is where it is plain", () => {
    expect(specPlace("mein Äpfel-spec (2) 🍎.mta", 3)).toBe("mein Äpfel-spec (2) 🍎.mta:3");
    expect(specPlace("a\u001b[2J\u2028b")).toBe("a\\u{1b}[2J\\u{2028}b");
  });

  test.skipIf(!cmake)("runs no command in CMake", () => {
    const marker = path.join(folder, "marker");
    const file = path.join(folder, "one.cmake");
    for (const end of ENDS) {
      const name = `a${end}${end}file(WRITE marker "")${end}#.mta`.replaceAll("/", "∕");
      writeFileSync(file, emitted(name)["one.cmake"] ?? "");
      // Stops at the first command that scripts may not use; what was injected would stand before it.
      spawnSync("cmake", ["-P", file], { cwd: folder });
      expect(existsSync(marker), JSON.stringify(end)).toBe(false);
    }
  });
});
