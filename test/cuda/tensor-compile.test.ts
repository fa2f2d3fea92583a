import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emitKernels } from "../../compiler/emit/index.ts";
import { resolve } from "../../compiler/ir/index.ts";
import { analyse } from "../../compiler/language/index.ts";
import { choosePlan } from "../../compiler/plan/index.ts";
import { type CallShape, type Pipeline, SCHEDULES } from "../../runtime/contract/index.ts";
import { randomCase } from "../support/arbitrary.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { findNvcc, machineFor } from "./harness.ts";
import { faultsOf } from "./nvcc.ts";
import { tensorPlans } from "./tensor-cases.ts";

// Tensor-core kernels, which sit at the registers' limit: no warning, no spill, no local memory on any architecture.
// `MTAC_CUDA_FULL=1` takes every example and more random attentions.

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));
const ARCHITECTURES = ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"];
/** Batches that fill a device: the planner takes its largest tiles. */
const SHAPE: CallShape = { B: 16, Lq: 2048, Lk: 2048, R: 0 };

const full = process.env["MTAC_CUDA_FULL"] !== undefined;
const nvcc = await findNvcc();

function pipelinesOf(file: string): Pipeline[] {
  const { spec } = analyse(readFileSync(`${EXAMPLES}${file}.mta`, "utf8"), `${file}.mta`);
  return (spec?.attentions ?? []).map((attention) => resolve(attention, `${file}.mta`));
}

const pipelines = full
  ? ["mta_830m", "mta_1b", "mta_300m", "grouped_window", "ablation"].flatMap(pipelinesOf)
  : pipelinesOf("mta_830m").slice(0, 1);

/** The planner's first tensor-core plan of each schedule, as text. */
function textsOf(pipeline: Pipeline, architecture: string, choice = 0): readonly string[] {
  return SCHEDULES.flatMap((schedule) => {
    const plans = tensorPlans(pipeline, SHAPE, schedule, { architecture });
    const plan = plans[choice % Math.max(1, plans.length)];
    return plan === undefined ? [] : Object.values(emitKernels(plan()));
  });
}

describe.skipIf(nvcc === null)(
  "nvcc compiles tensor-core kernels without warnings, spills and local memory",
  () => {
    test.each(ARCHITECTURES)(
      "examples for %s",
      async (architecture) => {
        const texts = pipelines.flatMap((pipeline) => textsOf(pipeline, architecture));
        expect(texts).not.toEqual([]);
        const faults = await Promise.all(texts.map((text) => faultsOf(text, architecture)));
        expect(faults.flat()).toEqual([]);
      },
      1_800_000,
    );

    test("products of many channels, where weights are made of scores on the way", async () => {
      const wide = pipelineOf(
        "attention a { heads 2 head_dim 64 value_dim 128 dtype f16 mask causal window 23 }",
        "a",
      );
      const texts = tensorPlans(wide, SHAPE, "staged").flatMap((plan) => Object.values(emitKernels(plan())));
      const faults = await Promise.all([...new Set(texts)].map((text) => faultsOf(text, "sm_80")));
      expect(faults.flat()).toEqual([]);
    }, 600_000);

    // What a thread sums up and the entries beside it fill its registers; architectures differ in what they need besides.
    test.each(ARCHITECTURES)(
      "gradients of as many channels as fit the registers, for %s",
      async (architecture) => {
        const wide = pipelineOf(
          "attention a { heads 2 head_dim 96 value_dim 128 dtype f16 mask causal window 100 lengths }",
          "a",
        );
        const plan = choosePlan(wide, {
          machine: machineFor(architecture),
          shape: SHAPE,
          direction: "backward",
        });
        const texts = Object.values(emitKernels(plan));
        const faults = await Promise.all(texts.map((text) => faultsOf(text, architecture)));
        expect(faults.flat()).toEqual([]);
      },
      600_000,
    );

    test(`random attentions, any plan (seed ${SEED})`, async () => {
      const cases = randomCase({
        maxDim: 128,
        dimStep: 8,
        maxHeads: 20,
        storages: ["f16", "bf16"],
        normalizers: ["softmax"],
      });
      const check = fc.asyncProperty(cases, async ({ pipeline, seed }) => {
        const architecture = ARCHITECTURES[Math.abs(seed) % ARCHITECTURES.length] ?? "sm_80";
        for (const text of textsOf(pipeline, architecture, Math.abs(seed) % 3 === 0 ? 0 : Math.abs(seed))) {
          expect(await faultsOf(text, architecture), `${architecture}, case seed ${seed}`).toEqual([]);
        }
      });
      await fc.assert(check, { seed: SEED, numRuns: runsOf(full ? 60 : 4), endOnFailure: true });
    }, 1_800_000);
  },
);
