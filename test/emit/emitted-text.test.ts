import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emitKernels } from "../../compiler/emit/index.ts";
import { EMITTED_TARGETS } from "../../compiler/targets.ts";
import { randomCase } from "../support/arbitrary.ts";
import { bestPlans } from "../support/best-plans.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { textFaults } from "./text-faults.ts";

// Emitted code is a product: what is held here is what a reader sees at first.

const GOLDEN = fileURLToPath(new URL("../golden/expected/", import.meta.url));

describe("emitted text is what people would write", () => {
  const files = readdirSync(GOLDEN, { recursive: true, encoding: "utf8" }).filter((file) =>
    /\.(?:wgsl|cu|h|cmake)$/.test(file),
  );

  test.each(files)("%s", (file) => {
    expect(textFaults(file, readFileSync(GOLDEN + file, "utf8"))).toEqual([]);
  });

  const cases = fc.sample(randomCase({ maxHeads: 8, maxDim: 40 }), { seed: SEED, numRuns: runsOf(20) });

  test.each(EMITTED_TARGETS)(`%s, random attentions (seed ${SEED})`, (target) => {
    for (const { attention, pipeline } of cases)
      for (const plan of bestPlans(pipeline, target))
        for (const [file, text] of Object.entries(emitKernels(plan)))
          expect(textFaults(file, text), `${JSON.stringify(attention)} ${plan.schedule}`).toEqual([]);
  });
});

describe("the test sees", () => {
  const WGSL =
    "fn used(a: u32) -> u32 {\n  return a;\n}\n\n@compute @workgroup_size(1)\nfn main() {\n  used(1u);\n}\n";

  test.each([
    ["a line too long", WGSL.replace("return a;", `return a${" + a".repeat(40)};`), "a.wgsl:2: 171 columns"],
    ["a tab", WGSL.replace("  return", "\treturn"), "a.wgsl:2: a tab"],
    ["spaces at an end", WGSL.replace("a;", "a; "), "a.wgsl:2: spaces at its end"],
    ["a wrong indentation", WGSL.replace("  used", "    used"), "a.wgsl:7: indented by 4, not 2"],
    ["a directive off the margin", `  #pragma once\n${WGSL}`, "a.wgsl:1: a directive off the margin"],
    [
      "a function that nobody calls",
      WGSL.replace("  used(1u);", "  let a = 1u;"),
      "a.wgsl:1: nothing uses used",
    ],
    ["a constant that nobody reads", `const LEFT = 1;\n${WGSL}`, "a.wgsl:1: nothing uses LEFT"],
    [
      "a field that nobody reads",
      `struct Used {\n  gone: u32,\n}\n${WGSL.replace("a: u32", "a: Used")}`,
      "a.wgsl:2: nothing uses gone",
    ],
    [
      "a parameter that is not used",
      WGSL.replace("return a;", "return 1u;"),
      "a.wgsl:1: the parameter a is not used",
    ],
  ])("%s", (_name, text, fault) => {
    expect(textFaults("a.wgsl", text)).toContain(fault);
    expect(textFaults("a.wgsl", WGSL)).toEqual([]);
  });

  test.each([
    ["a constant of a namespace", "constexpr int LEFT = 1;", "nothing uses LEFT"],
    [
      "a device function",
      "__device__ __forceinline__ int left(int x) {\n  return x;\n}",
      "nothing uses left",
    ],
    [
      "a parameter",
      "__device__ __forceinline__ void left(float (&y)[4], int x) {\n  left(y, 1);\n}",
      "the parameter x is not used",
    ],
  ])("CUDA: %s", (_name, declaration, fault) => {
    const text = `namespace a {\n\nnamespace k {\n\n${declaration}\n\n}  // namespace k\n\n}  // namespace a\n`;
    expect(textFaults("a.cu", text)).toEqual([`a.cu:5: ${fault}`]);
  });
});
