import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, expect, it } from "vitest";
import { analyse, analyseBuilt, CATALOGUE, renderDiagnostics } from "../../compiler/language/index.ts";

// One case, one file: `invalid/*.mta` or `*.spec.ts`, and beside it the whole text that a user reads. A file is named after
// the code that it is about. `vitest --update` writes the texts anew.
const folder = new URL("./invalid/", import.meta.url);
const cases = readdirSync(folder).filter((name) => /\.(mta|spec\.ts)$/.test(name));

async function analyseCase(name: string) {
  if (name.endsWith(".mta")) {
    const source = readFileSync(new URL(name, folder), "utf8");
    return { source, ...analyse(source, name) };
  }
  const module: { default: unknown } = await import(new URL(name, folder).href);
  const analysis = analyseBuilt(module.default, name);
  // The call sites have whole paths, which differ from machine to machine.
  return {
    ...analysis,
    source: null,
    diagnostics: analysis.diagnostics.map((each) => ({ ...each, file: basename(each.file) })),
  };
}

describe("invalid specs", () => {
  it.each(cases)("%s", async (name) => {
    const { spec, diagnostics, source } = await analyseCase(name);
    const code = /^MTA\d+/.exec(name)?.[0];
    if (code !== undefined) expect(diagnostics.map((each) => String(each.code))).toContain(code);
    expect(spec === null).toBe(diagnostics.some((each) => each.severity === "error"));
    const text = renderDiagnostics(diagnostics, { source });
    await expect(`${text}\n`).toMatchFileSnapshot(`./invalid/${name.replace(/(\.spec)?\.\w+$/, "")}.txt`);
  });

  it("has a case for every code that the language reports", () => {
    const texts = readdirSync(folder)
      .filter((name) => name.endsWith(".txt"))
      .map((name) => readFileSync(new URL(name, folder), "utf8"));
    const codes = Object.entries(CATALOGUE)
      .filter(([, entry]) => entry.owner === "language")
      .map(([code]) => code);
    expect(codes.filter((code) => !texts.some((text) => text.includes(code)))).toEqual([]);
  });

  it("speaks no word of the parser library", () => {
    for (const name of readdirSync(folder).filter((each) => each.endsWith(".txt"))) {
      expect(readFileSync(new URL(name, folder), "utf8")).not.toMatch(
        /Expecting|Redundant input|-->|chevrotain/i,
      );
    }
  });
});
