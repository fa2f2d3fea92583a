import * as fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { referenceForward } from "../../runtime/reference/index.ts";
import { type RandomCase, randomCase } from "../support/arbitrary.ts";
import { legalSchedules } from "../support/gpu.ts";
import { Random } from "../support/random.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { describeAttention } from "../support/spec-text.ts";
import { disagreement } from "../support/trial.ts";
import { directCandidates, emulatedDevice, findNvcc, planOf, runCudaPlan } from "./harness.ts";

const nvcc = await findNvcc();
const WARP_ORDERS = ["forward", "reverse", "greedy"] as const;
const counts = new Map<string, number>();

afterAll(() => {
  const lines = [...counts].map(([what, count]) => `  ${count} ${what}`);
  if (lines.length > 0) console.log(`CUDA plans that ran:\n${lines.sort().join("\n")}`);
});

async function checkCase(drawn: RandomCase): Promise<void> {
  const { pipeline, parameters, inputs, shape, seed } = drawn;
  const random = new Random(seed);
  const expected = referenceForward(pipeline, parameters, inputs);
  for (const schedule of legalSchedules(pipeline)) {
    // Strips of few rows, which short sequences never need: the halo between strips shows.
    const options = schedule === "staged" && random.chance(0.5) ? { stripRows: random.integer(1, 16) } : {};
    const candidates = directCandidates(pipeline, shape, schedule, { options });
    // The best candidate and any other take turns.
    const chosen = candidates[random.chance(0.5) ? 0 : random.integer(0, Math.max(0, candidates.length - 1))];
    if (chosen === undefined) {
      expect(schedule, describeAttention(drawn.attention)).not.toBe("staged");
      continue;
    }
    const plan = planOf(chosen);
    const warpOrder = WARP_ORDERS[random.integer(0, 2)] ?? "forward";
    const scatter = random.chance(0.5) ? new Random(seed) : null;
    const story = `${schedule} ${JSON.stringify({ ...plan.knobs, ...options })}, warps ${warpOrder}, ${scatter === null ? "contiguous" : "scattered"}\ncall ${JSON.stringify({ ...shape, layer: drawn.layer, seed })}\n${describeAttention(drawn.attention)}`;
    try {
      const device = await emulatedDevice({ warpOrder });
      const result = await runCudaPlan(device, plan, parameters, inputs, scatter);
      const problem = disagreement(pipeline, result, expected);
      if (problem !== null) throw new Error(problem);
    } catch (cause) {
      throw new Error(`${cause instanceof Error ? cause.message : cause}\n${story}`, { cause });
    }
    counts.set(`${schedule} ${plan.storage}`, (counts.get(`${schedule} ${plan.storage}`) ?? 0) + 1);
  }
}

test.skipIf(nvcc === null)(
  `random attentions agree with the reference on exact f32 units, emulated (seed ${SEED})`,
  async () => {
    await fc.assert(fc.asyncProperty(randomCase({ maxKeys: 40, sunkRows: true }), checkCase), {
      seed: SEED,
      numRuns: runsOf(12),
      endOnFailure: true,
    });
  },
  600_000,
);
