import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { mtac, temporaryFolder, write } from "../cli/harness.ts";

const folder = temporaryFolder();
const SPEC = "attention toy { heads 2 head_dim 8 mask causal scores { conv 3x5 } } // <b>&</b>\n";

interface ReportedRow {
  readonly subject: string;
  readonly chosen: boolean;
  readonly speedup: number;
  readonly operationsPerSecond: number;
  readonly shareOfProduct: number;
  readonly bytesOverCompulsory: number;
}

interface Reported {
  readonly product: { readonly size: number };
  readonly lengths: readonly {
    readonly shape: { readonly Lq: number };
    readonly product: { readonly operationsPerSecond: number };
    readonly rows: readonly ReportedRow[];
  }[];
  readonly growth: readonly { readonly subject: string }[];
}

test("`mtac bench` times every schedule on SwiftShader, and writes JSON, CSV, HTML and a plot", () => {
  const spec = write(folder, "toy.mta", SPEC);
  const files = ["toy.csv", "toy.html", "toy.svg"].map((name) => join(folder, name));
  const [csv = "", html = "", svg = ""] = files;
  const { code, stdout, stderr } = mtac([
    ...[
      "bench",
      spec,
      "--target",
      "webgpu",
      "--lengths",
      "64,32,64",
      "--rounds",
      "2",
      "--peers",
      "none",
      "--json",
    ],
    ...["--csv", csv, "--html", html, "--plot", svg, "--store", join(folder, "none.jsonl")],
  ]);
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining(`wrote ${html}`) });

  const report: Reported = JSON.parse(stdout);
  const subjects = ["unfused", "single_pass", "two_pass", "staged"];
  expect(report.lengths.map(({ shape }) => shape.Lq)).toEqual([32, 64]);
  expect(report.product.size).toBeGreaterThanOrEqual(256);
  for (const { rows, product } of report.lengths) {
    expect(rows.map(({ subject }) => subject)).toEqual(subjects);
    expect(rows.filter(({ chosen }) => chosen)).toHaveLength(1);
    expect(product.operationsPerSecond).toBeGreaterThan(0);
    for (const row of rows) {
      expect(row).toMatchObject({ state: "measured", reason: null, time: { samples: 2 } });
      for (const key of ["speedup", "operationsPerSecond", "shareOfProduct"] as const)
        expect(row[key], `${row.subject} ${key}`).toBeGreaterThan(0);
      // Inputs and outputs are part of it; lse and rounding of the pool come on top.
      expect(row.bytesOverCompulsory, `${row.subject}`).toBeGreaterThan(1);
    }
  }
  expect(report.growth.map(({ subject }) => subject)).toEqual(subjects);

  const lines = readFileSync(csv, "utf8").split("\r\n");
  expect(lines).toHaveLength(1 + 2 * subjects.length + 1);
  expect(new Set(lines.slice(0, -1).map((line) => line.split(",").length))).toEqual(new Set([35]));
  const page = readFileSync(html, "utf8");
  expect(page.match(/<svg /g)).toHaveLength(3);
  expect(page.match(/<table>/g)).toHaveLength(5);
  expect(page).toContain("// &lt;b&gt;&amp;&lt;/b&gt;");
  const plot = readFileSync(svg, "utf8");
  for (const text of [...subjects, "Time of toy"]) expect(plot).toContain(text);
});

test("where a file cannot be written, nothing is timed", () => {
  const spec = write(folder, "other.mta", SPEC);
  const html = join(folder, "missing", "toy.html");
  const { code, stderr } = mtac(["bench", spec, "--target", "webgpu", "--peers", "none", "--html", html]);
  expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("MTA906") });
  expect(existsSync(html)).toBe(false);
});
