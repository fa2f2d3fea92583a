import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  candidateTable,
  deviceOf,
  kitReports,
  ratioTable,
  stepTable,
  troublesOf,
} from "../../compiler/bench/kit/report.ts";
import { type KitResults, readKitResults } from "../../compiler/bench/kit/results.ts";
import { mtac } from "../cli/harness.ts";
import { withFolder } from "../support/folder.ts";
import { FIXED_KIT } from "./fixed-kit.ts";

function read(value: object = FIXED_KIT): KitResults {
  return readKitResults(JSON.stringify(value), "results.json");
}

function withoutBackward(found: object): object {
  if (!("name" in found && found.name === "toy bf16 L 1024: plain" && "data" in found)) return found;
  return { ...found, data: { ...Object(found.data), backward: null, why: "no backward pass: no memory" } };
}

describe("what a kit found", () => {
  test("becomes a benchmark's report", () => {
    const [report, ...more] = kitReports(read());
    expect(more).toEqual([]);
    if (report === undefined) throw new Error("there is no report");
    expect(report).toMatchObject({
      target: "cuda",
      seed: 7,
      spec: { attention: "toy", storage: "bf16", heads: 2 },
      device: { description: "Device, sm_90, driver 600.1, PyTorch 2.13, CUDA 13.0" },
      missing: [{ name: "plain", lengths: [4096], reason: "no memory: 100 GiB (L 4096)" }],
    });
    expect(report.lengths.map(({ shape }) => [shape.B, shape.Lq])).toEqual([
      [16, 1024],
      [4, 4096],
    ]);
    const [first, second] = report.lengths;
    expect(first?.rows.map(({ subject, kind, speedup }) => [subject, kind, speedup])).toEqual([
      ["mtac", "schedule", 4],
      ["sdpa flash", "peer", 8],
      ["plain", "baseline", 1],
      ["mtac backward", "backward", 4],
      ["sdpa flash backward", "peer", 8],
      ["plain backward", "baseline", 1],
    ]);
    expect(first?.rows[3]?.timeOverForward).toBe(3);
    expect(second?.rows[0]?.speedup).toBe(null);
    expect(ratioTable(report)).toEqual({
      head: ["time of mtac over", "L = 1024", "L = 4096"],
      rows: [
        ["sdpa flash", "2×", "1.88×"],
        ["plain", "0.25×", "–"],
        ["sdpa flash backward", "2×", "1.88×"],
        ["plain backward", "0.25×", "–"],
      ],
    });
  });

  test("has times of forward passes whose backward passes could not be timed", () => {
    const steps = FIXED_KIT.steps.map((step) =>
      step.name === "timing" ? { ...step, cases: step.cases.map(withoutBackward) } : step,
    );
    const [report] = kitReports(read({ ...FIXED_KIT, steps }));
    const [first] = report?.lengths ?? [];
    expect(first?.rows.map(({ subject }) => subject)).toEqual([
      "mtac",
      "sdpa flash",
      "plain",
      "mtac backward",
      "sdpa flash backward",
    ]);
    expect(first?.rows[3]?.speedup).toBe(null);
    expect(report?.missing).toContainEqual({
      name: "plain",
      lengths: [1024],
      reason: "no backward pass: no memory (L 1024)",
      remedy: "its other lengths were timed",
    });
  });

  test("is told step by step, with what went wrong and what is lacking", () => {
    const results = read();
    expect(stepTable(results).rows.map(([, state, , cases]) => [state, cases])).toEqual([
      ["passed", "2 passed"],
      ["hung", "1 hung"],
      ["passed", "5 passed, 1 skipped"],
      ["passed", "2 passed"],
      ["missing", "the machine lacks compute-sanitizer"],
    ]);
    expect(troublesOf(results)).toEqual(["hung random: toy bf16 seed 7: it took too long and was stopped"]);
    expect(candidateTable(results).rows.map(([, , time, plan]) => [time, plan])).toEqual([
      ["2 ms", "staged, tile_q 64"],
      ["3 ms", "two_pass (the planner's first)"],
    ]);
    expect(deviceOf({ ...results, steps: [] })).toEqual({
      description: "unknown, PyTorch unknown",
      onGpu: false,
    });
  });

  test("is refused where it is damaged, or of another version", () => {
    const { kit: _kit, ...others } = FIXED_KIT;
    for (const [value, message] of [
      [[], "results.json: the file is no object"],
      [{ format: 1 }, "it is no result of a GPU kit"],
      [{ ...FIXED_KIT, version: 9 }, "its version is 9, this mtac reads 1"],
      [others, "kit is no object"],
      [{ ...FIXED_KIT, steps: {} }, "steps is no list"],
    ] as const)
      expect(() => read(value), message).toThrow(message);
    const [environment] = FIXED_KIT.steps;
    const broken = { ...environment, name: "timing", cases: [{ name: "x", status: "passed", data: {} }] };
    expect(() => kitReports(read({ ...FIXED_KIT, steps: [broken] }))).toThrow(
      "the case x: package is no text",
    );
    expect(() => readKitResults("{", "x")).toThrow("x is no JSON");
  });
});

test("mtac bench --import prints it, and ends with 1 where something went wrong", async () => {
  await withFolder((folder) => {
    const [file, csv] = [join(folder, "results.json"), join(folder, "times.csv")];
    writeFileSync(file, JSON.stringify(FIXED_KIT));
    const { code, stdout } = mtac(["bench", "--import", file, "--csv", csv]);
    expect(code).toBe(1);
    for (const text of ["Device, sm_90", "hung random", "toy, bf16", "B = 16, L = 1024", "time of mtac over"])
      expect(stdout).toContain(text);
    const json = JSON.parse(mtac(["bench", "--import", file, "--json"]).stdout);
    expect(json.reports).toHaveLength(1);
    // As PowerShell writes it.
    writeFileSync(file, `\ufeff${JSON.stringify(FIXED_KIT)}`);
    expect(JSON.parse(mtac(["bench", "--import", file, "--name", "toy", "--json"]).stdout)).toEqual(json);
    writeFileSync(file, "{}");
    expect(mtac(["bench", "--import", file]).stderr).toContain("MTA934");
    return Promise.resolve();
  });
});
