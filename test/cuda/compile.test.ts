import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emitArtifact, emitKernels } from "../../compiler/emit/index.ts";
import { resolve } from "../../compiler/ir/index.ts";
import { analyse } from "../../compiler/language/index.ts";
import { choosePlan, DEFAULT_SHAPE } from "../../compiler/plan/index.ts";
import { type Pipeline, SCHEDULES, type StorageType } from "../../runtime/contract/index.ts";
import { type RandomCase, randomCase } from "../support/arbitrary.ts";
import { legalSchedules } from "../support/gpu.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { directCandidates, findNvcc, machineFor, planOf } from "./harness.ts";
import { faultsOf } from "./nvcc.ts";

// What nvcc says of the kernels: no warning, no spill, no local memory. `MTAC_CUDA_FULL=1` compiles every example in every
// schedule for every architecture; without it, a sample.

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));
const ARCHITECTURES = ["sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"];
const STORAGES: readonly StorageType[] = ["f32", "f16", "bf16"];

const { MTAC_CUDA_FULL } = process.env;
const full = MTAC_CUDA_FULL !== undefined;
const nvcc = await findNvcc();

function pipelinesOf(file: string): Pipeline[] {
  const { spec } = analyse(readFileSync(`${EXAMPLES}${file}`, "utf8"), file);
  return (spec?.attentions ?? []).map((attention) => resolve(attention, file));
}

const examples = readdirSync(EXAMPLES)
  .filter((name) => name.endsWith(".mta"))
  .flatMap(pipelinesOf);
/** One of each kind: a convolution, head mixing with every stage, grouped heads with a window, sparsemax. */
const SAMPLE = ["mta_toy", "mta_830m", "grouped_window", "sparse", "channel_gate"];
const chosen = full ? examples : examples.filter(({ name }) => SAMPLE.includes(name));

describe.skipIf(nvcc === null)("nvcc compiles the examples without warnings, spills and local memory", () => {
  test.each(chosen.map((pipeline) => [pipeline.name, pipeline] as const))(
    "%s: the planner's choice for sm_80, gradients too",
    async (_name, pipeline) => {
      const { sources } = emitArtifact(pipeline, { target: "cuda", grad: true });
      for (const text of Object.values(sources)) expect(await faultsOf(text, "sm_80")).toEqual([]);
    },
    600_000,
  );

  const storages = full ? STORAGES : (["f32"] as const);
  test.each(
    chosen.flatMap((pipeline) =>
      storages.map((storage) => [pipeline.name, storage, { ...pipeline, storage }] as const),
    ),
  )(
    "%s: exact f32 units in every schedule, %s",
    async (_name, _storage, pipeline) => {
      const texts = legalSchedules(pipeline).flatMap((schedule) => {
        const [best] = directCandidates(pipeline, DEFAULT_SHAPE, schedule);
        return best === undefined ? [] : Object.values(emitKernels(planOf(best)));
      });
      expect(texts).not.toEqual([]);
      const faults = await Promise.all(texts.map((text) => faultsOf(text, "sm_80")));
      expect(faults.flat()).toEqual([]);
    },
    600_000,
  );

  test.each(full ? ARCHITECTURES : ["sm_90a"])(
    "exact f32 units for %s",
    async (architecture) => {
      const pipelines = chosen.filter(({ name }) => full || name === "mta_830m");
      const texts = pipelines.flatMap((pipeline) =>
        legalSchedules(pipeline).flatMap((schedule) => {
          const f32 = { ...pipeline, storage: "f32" as const };
          const [best] = directCandidates(f32, DEFAULT_SHAPE, schedule, { architecture });
          return best === undefined ? [] : Object.values(emitKernels(planOf(best)));
        }),
      );
      for (const pipeline of pipelines) {
        const machine = machineFor(architecture);
        const backward = choosePlan(pipeline, { machine, shape: DEFAULT_SHAPE, direction: "backward" });
        texts.push(...Object.values(emitKernels(backward)));
      }
      const faults = await Promise.all(texts.map((text) => faultsOf(text, architecture)));
      expect(faults.flat()).toEqual([]);
    },
    1_200_000,
  );

  test.each(full ? ARCHITECTURES : ["sm_90a", "sm_120a"])(
    "the planner's choice for %s",
    async (architecture) => {
      const faults = await Promise.all(
        chosen
          .filter(({ name }) => full || name === "mta_toy")
          .flatMap((pipeline) =>
            Object.values(
              emitArtifact(pipeline, { target: "cuda", architectures: [architecture] }).sources,
            ).map((text) => faultsOf(text, architecture)),
          ),
      );
      expect(faults.flat()).toEqual([]);
    },
    1_200_000,
  );
});

describe.skipIf(nvcc === null)("nvcc compiles random attentions", () => {
  test("that drop nothing, or nearly all", async () => {
    const dropping = pipelineOf(
      "attention a { heads 2 head_dim 32 mask causal weights { dropout 0 conv 2x3 dropout 0.999 } }",
      "a",
    );
    const { sources } = emitArtifact(dropping, { target: "cuda", grad: true });
    for (const text of Object.values(sources)) expect(await faultsOf(text, "sm_80")).toEqual([]);
  }, 600_000);

  test("whose rows' documents and windows would take a register each over a loop of keys", async () => {
    const pipeline = pipelineOf(
      `attention a { heads 12; kv_heads 3; head_dim 86; value_dim 150; dtype bf16
  mask window 12 documents lengths
  scores { conv 1x36 pad_key right across 3 shared; conv 7x11 pad_key right pad_query both shared }
  output { norm }
}`,
      "a",
    );
    // Four blocks of results a thread.
    const large = directCandidates(pipeline, DEFAULT_SHAPE, "single_pass").find(
      ({ knobs }) => knobs["tile_q"] === 32 && knobs["tile_k"] === 32 && knobs["workgroup"] === 256,
    );
    if (large === undefined) throw new RangeError("the planner has dropped the tile");
    for (const text of Object.values(emitKernels(planOf(large))))
      expect(await faultsOf(text, "sm_80")).toEqual([]);
  }, 600_000);

  test(`on exact f32 units, any candidate of any schedule (seed ${SEED})`, async () => {
    const check = async ({ pipeline, shape, seed }: RandomCase): Promise<void> => {
      for (const schedule of SCHEDULES) {
        const candidates = directCandidates(pipeline, shape, schedule);
        const candidate = candidates[Math.abs(seed) % Math.max(1, candidates.length)];
        if (candidate === undefined) continue;
        for (const text of Object.values(emitKernels(planOf(candidate)))) {
          expect(await faultsOf(text, "sm_80"), `${schedule} ${JSON.stringify(candidate.knobs)}`).toEqual([]);
        }
      }
    };
    await fc.assert(fc.asyncProperty(randomCase({ maxDim: 160, maxHeads: 16 }), check), {
      seed: SEED,
      numRuns: runsOf(full ? 60 : 4),
      endOnFailure: true,
    });
  }, 1_800_000);
});
