import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { mtac, temporaryFolder, write } from "./harness.ts";

// No command destroys what it reads; `run` has its own test.
const folder = temporaryFolder();
const text = "attention small { heads 2 head_dim 4 }\n";
const spec = write(folder, "small.mta", text);

function refused(args: readonly string[]): void {
  const { code, stderr } = mtac(args, { cwd: folder, env: { XDG_CACHE_HOME: folder } });
  expect(stderr).toContain("MTA930");
  expect(code).toBe(2);
}

test("bench", () => {
  refused(["bench", spec, "--csv", spec]);
  refused(["bench", spec, "--html", "report", "--plot", "./report"]);
  expect(readFileSync(spec, "utf8")).toBe(text);
});

test("tune and tune export", () => {
  refused(["tune", spec, "--store", spec]);
  refused(["tune", "export", spec, "--out", spec]);
  const store = write(folder, "store.jsonl", "");
  refused(["tune", "export", "--store", store, "--out", "store.jsonl"]);
  expect(readFileSync(spec, "utf8")).toBe(text);
});

test("tune prune takes no file for a store that never was one", () => {
  const { code, stderr } = mtac(["tune", "prune", "--store", spec]);
  expect(stderr).toContain("MTA931");
  expect(code).toBe(1);
  expect(readFileSync(spec, "utf8")).toBe(text);
});

test("no store is made of a file of another kind: tune, and tune merge", () => {
  const other = write(folder, "other.mta", text);
  const store = write(folder, "empty.jsonl", "");
  for (const args of [
    ["tune", spec, "--store", other],
    ["tune", "prune", "--store", other],
    ["tune", "merge", store, "--store", other],
  ]) {
    const { code, stderr } = mtac(args);
    expect(stderr).toContain("MTA931");
    expect(code).toBe(1);
  }
  expect(readFileSync(other, "utf8")).toBe(text);
});

test("compile beside a spec in TypeScript that is named like its attention", () => {
  const source =
    'import { attention } from "mtac";\nexport default attention("own", { heads: 2, headDim: 4 });\n';
  const own = write(folder, "own.ts", source);
  refused(["compile", own, "--out", folder]);
  expect(readFileSync(own, "utf8")).toBe(source);
});

test("types where the declarations file is a link to the spec", () => {
  const linked = write(folder, "linked.mta", text);
  symlinkSync("linked.mta", join(folder, "linked.mta.d.ts"));
  refused(["types", linked]);
  expect(readFileSync(linked, "utf8")).toBe(text);
});
