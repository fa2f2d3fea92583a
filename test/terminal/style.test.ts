import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { displayWidth, table, terminalWidth, wrap } from "../../compiler/terminal/style.ts";
import { mtac, ROOT } from "../cli/harness.ts";

const examples = readdirSync(join(ROOT, "examples"))
  .filter((name) => name.endsWith(".mta"))
  .map((name) => join("examples", name));

function widest(text: string): string {
  return text.split("\n").reduce((most, line) => (displayWidth(line) > displayWidth(most) ? line : most), "");
}

test("help fits 80 columns", () => {
  const commands = [...mtac(["--help"]).stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name = ""]) => name);
  expect(commands).toContain("compile");
  for (const args of [[], ...commands.map((name) => [name]), ["tune", "export"], ["tune", "prune"]]) {
    const { stdout } = mtac([...args, "--help"]);
    expect(displayWidth(widest(stdout)), widest(stdout)).toBeLessThanOrEqual(80);
  }
});

test("tables take the width that COLUMNS says, where output is piped", () => {
  const args = ["explain", "examples/mta_toy.mta", "--name", "mta_toy", "--gpu", "h100"];
  const width = (columns: string): number =>
    displayWidth(widest(mtac(args, { env: { COLUMNS: columns } }).stdout));
  expect(width("200")).toBeGreaterThan(80);
  expect(width("72")).toBeLessThanOrEqual(72);
  for (const odd of ["", "0", "-5", "wide"]) expect(width(odd)).toBeLessThanOrEqual(80);
});

describe("what explain prints fits 80 columns", () => {
  const flags = [
    [],
    ["--target", "cuda"],
    ["--gpu", "h100,rtx-4090"],
    ["--gpu", "all", "--target", "webgpu"],
  ];
  // The longest names with every target, the others as they come.
  const cases = examples.flatMap((file) =>
    (/830m|window/.test(file) ? flags : [[]]).map((each) => [file, ...each]),
  );
  test.each(cases)("%s %s %s %s", (...args) => {
    const { code, stdout } = mtac(["explain", ...args.filter((each) => each !== undefined)]);
    expect(code).toBe(0);
    expect(displayWidth(widest(stdout)), widest(stdout)).toBeLessThanOrEqual(80);
  });

  test("and so does what it prints of a code", () => {
    const { code, stdout } = mtac(["explain", "mta405"]);
    expect(code).toBe(0);
    expect(displayWidth(widest(stdout)), widest(stdout)).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/^MTA405: no schedule fits the target\n\nEvery.*\n\nRemedy: /s);
    expect(JSON.parse(mtac(["explain", "MTA913", "--json"]).stdout)).toMatchObject({ code: "MTA913" });
    expect(mtac(["explain", "MTA000"])).toMatchObject({ code: 2, stderr: expect.stringContaining("MTA900") });
  });

  test("and has headers, the plan that is chosen, and why where peaks put another first", () => {
    const { stdout } = mtac(["explain", "examples/mta_830m.mta", "--name", "mta_830m_heads"]);
    expect(stdout).toMatch(/schedule +cost +work +moved +knobs/);
    expect(stdout).toMatch(/→ +staged +1× /);
    expect(stdout).toMatch(/kernel +workgroup +workgroup memory +bindings/);
    const roofline = mtac(["explain", "examples/mta_830m.mta", "--gpu", "h100,rtx-4090"]).stdout;
    expect(roofline).toContain("→ is chosen\n");
    expect(roofline.replace(/\s+/g, " ")).toContain(
      "→ is chosen, although peaks alone put another first (by ",
    );
  });
});

describe("table", () => {
  const rows = [
    ["name", "size", "knobs"],
    ["a", "12", "tile_q 16  tile_k 32  product_tile_q 32"],
  ];

  test("aligns columns that fit", () => {
    expect(table(rows, ["left", "right"], "", 80)).toBe(
      "name  size  knobs\na       12  tile_q 16  tile_k 32  product_tile_q 32",
    );
  });

  test("breaks a last column at its double blanks where it has room", () => {
    const wide = rows.map(([name = "", size = "", knobs = ""]) => [name, size, `${knobs}  workgroup 64`]);
    expect(table(wide, ["left", "right"], "", 52)).toBe(
      "name  size  knobs  workgroup 64\na       12  tile_q 16  tile_k 32  product_tile_q 32\n            workgroup 64",
    );
  });

  test("puts what does not fit under its row, in its colours", () => {
    const dim = rows.map(([name = "", size = "", knobs = ""]) => [name, size, `\u001b[2m${knobs}\u001b[22m`]);
    expect(table(dim, ["left", "right"], "", 30)).toBe(
      [
        "name  size",
        "      \u001b[2mknobs\u001b[22m",
        "a       12",
        "      \u001b[2mtile_q 16\u001b[22m  \u001b[2mtile_k 32\u001b[22m",
        "      \u001b[2mproduct_tile_q 32\u001b[22m",
      ].join("\n"),
    );
  });

  test("breaks sentences", () => {
    expect(wrap("  one two three", "    ", 11)).toBe("  one two\n    three");
    expect(wrap("  one two", "    ", 80)).toBe("  one two");
  });
});

describe("the width of a terminal", () => {
  const { columns } = process.stdout;
  afterEach(() => {
    process.stdout.columns = columns;
    vi.unstubAllEnvs();
  });

  // A pseudo-terminal that was never told its size says 0 columns.
  test.each([
    [100, "", 100],
    [0, "", 80],
    [0, "132", 132],
    [0, "wide", 80],
  ])("of %s columns with COLUMNS=%s is %s", (told, environment, width) => {
    process.stdout.columns = told;
    vi.stubEnv("COLUMNS", environment);
    expect(terminalWidth()).toBe(width);
  });
});
