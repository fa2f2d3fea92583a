import { describe, expect, test } from "vitest";
import { analyse, format, renderDiagnostics } from "../../compiler/language/index.ts";

/** Far above what linear work takes, far below what quadratic work took: of the processor, as others may use it, too. */
const SECONDS = 3;

function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const BASE = "\nattention a { heads 2 head_dim 8 }\n";

function lines(count: number, line: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => line(index)).join("\n");
}

/** Codes of a spec's diagnostics, analysed and rendered in time. */
function codesOf(source: string): readonly string[] {
  const start = processorSeconds();
  const { diagnostics } = analyse(source, "large.mta");
  renderDiagnostics(diagnostics, { source });
  expect(processorSeconds() - start).toBeLessThan(SECONDS);
  return diagnostics.map(({ code }) => code);
}

describe("long specs give right results, or coded errors, in time", () => {
  test("constants that need the next one", () => {
    const source = `${lines(20_000, (i) => `const c_${i}x = c_${i + 1}x + 1`)}\nconst c_20000x = 1\n`;
    const { spec, sound } = analyse(source + BASE, "large.mta");
    expect(spec).not.toBeNull();
    expect([...sound.constants.values()][0]).toBe(20_001);
  });

  test("constants and attentions in a circle name its first members", () => {
    const circle = lines(5000, (i) => `const c_${i}x = c_${(i + 1) % 5000}x`);
    const { diagnostics } = analyse(circle + BASE, "large.mta");
    expect(diagnostics.map(({ code }) => code)).toEqual(["MTA206"]);
    expect(diagnostics[0]?.message).toMatch(/`c_0x` → `c_1x` → .*… \(4992 more\) → `c_0x`$/);
    expect(codesOf(lines(5000, (i) => `attention b_${i}x extends b_${(i + 1) % 5000}x { }`))).toContain(
      "MTA204",
    );
  });

  test("sums within sums", () => {
    let [left, right] = ["1", "1"];
    for (let depth = 0; depth < 60; depth += 1) {
      left = `(${left}${" + 1".repeat(250)})`;
      right = `(1${" + 1".repeat(250)} + ${right})`;
    }
    const { spec, sound } = analyse(`const l = ${left}\nconst r = ${right}\n${BASE}`, "large.mta");
    expect(spec).not.toBeNull();
    expect([...sound.constants.values()]).toEqual([15_001, 15_061]);
  });

  test.each([
    ["use nope", 9999, `${BASE}stack s { layers 4 ${lines(5000, () => "use nope at 0")} }`],
    ["use nope, in one line", 9999, `${BASE}stack s { layers 4 ${"use nope at 0 ".repeat(5000)} }`],
    ["unknown bases", 5000, BASE + lines(5000, (i) => `attention b_${i}x extends nope { }`)],
    ["unknown constants", 5000, lines(5000, (i) => `const c_${i}x = nope_${i}`) + BASE],
    ["unknown constants in attentions", 5000, lines(5000, (i) => `attention b_${i}x { heads n head_dim 8 }`)],
    ["stray characters", 20_000, "€ ".repeat(20_000)],
    [
      "repeated modifiers",
      19_999,
      `attention a { heads 2 head_dim 8 scores { conv 3x3 ${"bias ".repeat(20_000)} } }`,
    ],
    ["layers covered again", 19_999, `${BASE}stack s { layers 1 use a at ${"0, ".repeat(19_999)}0 }`],
  ])("%s: %d messages", (_, count, source) => {
    expect(codesOf(source)).toHaveLength(count);
  });

  // The search for Python's first line went over the rest of the text from each line, or from each blank: both took minutes.
  test.each([
    ["lines that begin like Python's", `x ${lines(40_000, () => "class x(")}`],
    ["blanks after a class", `class x${" ".repeat(400_000)}`],
  ])("%s", (_, source) => {
    expect(codesOf(source)[0]).toMatch(/^MTA1/);
  });

  test("formatting", () => {
    const constants = lines(20_000, (i) => `const c_${i}x = 1`);
    const start = processorSeconds();
    expect(format(constants, "large.mta")).toEqual({ text: `${constants}\n` });
    expect(processorSeconds() - start).toBeLessThan(SECONDS);
  });

  test("a section with more than 64 stages is refused at once", () => {
    const spec = (stages: number) =>
      `attention a { heads 2 head_dim 8 scores { ${lines(stages, () => "conv 3x3")} } }`;
    expect(codesOf(spec(64))).toEqual([]);
    expect(codesOf(spec(65))).toEqual(["MTA313"]);
    expect(codesOf(spec(20_000))).toEqual(["MTA313"]);
  });
});
