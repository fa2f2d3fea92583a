import * as fc from "fast-check";
import { afterAll, test } from "vitest";
import { randomCase } from "../support/arbitrary.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { findNvcc } from "./harness.ts";
import { checkTensorCase } from "./tensor-cases.ts";

const nvcc = await findNvcc();
const counts = new Map<string, number>();

afterAll(() => {
  const lines = [...counts].map(([what, count]) => `  ${count} ${what}`);
  if (lines.length > 0) console.log(`tensor-core plans that ran:\n${lines.sort().join("\n")}`);
});

test.skipIf(nvcc === null)(
  `random attentions agree with the reference on tensor cores, emulated (seed ${SEED})`,
  async () => {
    // Sizes that 16-byte copies take; tiles are 64 rows, so lengths reach beyond two of them.
    const cases = randomCase({
      maxKeys: 150,
      maxDim: 48,
      dimStep: 8,
      maxHeads: 20,
      maxBatch: 2,
      storages: ["f16", "bf16"],
      normalizers: ["softmax"],
    });
    const check = async (drawn: Parameters<typeof checkTensorCase>[0]): Promise<void> => {
      for (const what of await checkTensorCase(drawn)) counts.set(what, (counts.get(what) ?? 0) + 1);
    };
    await fc.assert(fc.asyncProperty(cases, check), { seed: SEED, numRuns: runsOf(12), endOnFailure: true });
  },
  600_000,
);
