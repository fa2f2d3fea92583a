import { afterAll, describe, expect, test } from "vitest";
import type {
  AttentionInputs,
  CallShape,
  Float64Tensor,
  Pipeline,
  Plan,
} from "../../runtime/contract/index.ts";
import { roundTo } from "../../runtime/contract/index.ts";
import type { CpuDevice } from "../../runtime/cpu/device.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { cpuPlanner } from "../suite/cpu.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { Random } from "../support/random.ts";
import { disagreement } from "../support/trial.ts";
import { openTestCpu, presentCpus, runCpuPlan, withThreads } from "./harness.ts";

// What random calls of small sizes do not meet.

function planOf(device: CpuDevice, pipeline: Pipeline, shape: CallShape, stripRows: number): Plan {
  const found = cpuPlanner(device).plans(pipeline, shape, "staged", { stripRows });
  if ("reason" in found) throw new Error(found.reason);
  return found.plan(0);
}

function zeros(shape: readonly number[]): Float64Tensor {
  return { shape, data: new Float64Array(shape.reduce((product, size) => product * size, 1)) };
}

/** Logits of which several lie at the threshold of their sparsemax, or next to it: where sums are rounded decides whether they belong to its support. */
function logitsAtThreshold(random: Random, count: number): readonly number[] {
  const scale = random.uniform() ** 2 / 2;
  const logits = Array.from({ length: count }, () => Math.fround(-random.uniform() * scale));
  logits[0] = 0;
  let threshold = -1;
  for (let step = 0; step < 50; step += 1) {
    const above = logits.filter((logit) => logit > threshold);
    threshold = (above.reduce((sum, logit) => sum + logit, 0) - 1) / above.length;
  }
  const near = Math.fround(threshold);
  for (let planted = random.integer(1, count / 2); planted > 0; planted -= 1)
    logits[random.integer(1, count - 1)] = near * (1 + random.integer(-2, 2) * 2 ** -24);
  return logits;
}

describe.each(await presentCpus())("%s", async (library) => {
  const device = await openTestCpu(library);
  afterAll(() => device.close());

  test("sparsemax ends where logits lie at its threshold", async () => {
    const pipeline = pipelineOf("attention a { heads 1 head_dim 1 mask bias normalize sparsemax }", "a");
    const [B, L] = [150, 40];
    const random = new Random(1);
    const rows = Array.from({ length: B * L }, () => logitsAtThreshold(random, L));
    const inputs: AttentionInputs<Float64Tensor> = {
      q: zeros([B, 1, L, 1]),
      k: zeros([B, 1, L, 1]),
      v: { shape: [B, 1, L, 1], data: roundTo("f32", random.normals(B * L)) },
      bias: { shape: [B, 1, L, L], data: roundTo("f32", Float64Array.from(rows.flat())) },
    };
    const plan = withThreads(planOf(device, pipeline, { B, Lq: L, Lk: L, R: 0 }, 32), 2);
    const result = await runCpuPlan(device, plan, new Map(), inputs);
    expect(disagreement(pipeline, result, referenceForward(pipeline, new Map(), inputs))).toBe(null);
  });
});
