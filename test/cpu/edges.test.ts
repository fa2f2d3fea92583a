import { afterAll, describe, expect, test, vi } from "vitest";
import type {
  AttentionInputs,
  CallShape,
  Float64Tensor,
  Pipeline,
  Plan,
} from "../../runtime/contract/index.ts";
import { roundTo } from "../../runtime/contract/index.ts";
import type { CpuDevice } from "../../runtime/cpu/device.ts";
import { CpuError } from "../../runtime/cpu/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { cpuPlanner } from "../suite/cpu.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
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

/** As many stages as a section may have, the stack of a thread of WebAssembly being small; convolutions that read ahead, one after the other. */
const LONGEST = [
  "attention a { heads 2 head_dim 4 mask none",
  `scores { ${"conv 3x3 pad_query both mix 2 softcap 9 conv 1x3 ".repeat(16)} }`,
  `weights { ${"conv 3x1 pad_query both mix 2 conv 1x3 dilation 1x40 mix 2 ".repeat(16)} } }`,
].join(" ");

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

  test("64 stages a section", async () => {
    const pipeline = pipelineOf(LONGEST, "a");
    const shape = { B: 1, Lq: 21, Lk: 40, R: 0 };
    const parameters = drawParameters(pipeline, 1);
    const inputs = drawInputs(pipeline, shape, false, 1);
    const plan = withThreads(planOf(device, pipeline, shape, 8), 2);
    const result = await runCpuPlan(device, plan, parameters, inputs);
    expect(disagreement(pipeline, result, referenceForward(pipeline, parameters, inputs))).toBe(null);
  });

  test("threads that would have no rows have no memory", async () => {
    const pipeline = pipelineOf("attention a { heads 4 head_dim 4 mask causal weights { mix 4 } }", "a");
    const shape = { B: 1, Lq: 1, Lk: 300, R: 0 };
    const inputs = drawInputs(pipeline, shape, false, 1);
    const parameters = drawParameters(pipeline, 1);
    const plan = planOf(device, pipeline, shape, 4);
    const [one, all] = [
      await runCpuPlan(device, withThreads(plan, 1), parameters, inputs),
      await runCpuPlan(device, withThreads(plan, 7), parameters, inputs),
    ];
    expect(all.statistics.workspaceBytes).toBe(one.statistics.workspaceBytes);
  });

  test("what is too much for 32 bits is an error, not a smaller workspace", async () => {
    // A map of 64 heads, 63 * 64 rows before a strip and 4200 keys; its inputs are small.
    const pipeline = pipelineOf(
      "attention a { heads 64 kv_heads 1 head_dim 1 mask causal weights { conv 64x1 dilation 64x1 mix 64 } }",
      "a",
    );
    const shape = { B: 1, Lq: 1, Lk: 4200, R: 0 };
    const computed = vi
      .spyOn(device.library.forward, "compute")
      .mockRejectedValue(new CpuError("MTA888", "computed"));
    const asked = vi.spyOn(device.library.forward, "workspaceBytes");
    try {
      const plan = planOf(device, pipeline, shape, 4);
      const run = runCpuPlan(
        device,
        plan,
        drawParameters(pipeline, 1),
        drawInputs(pipeline, shape, false, 1),
      );
      await expect(run).rejects.toMatchObject({ code: "MTA888" });
      expect(asked.mock.results[0]?.value).toBeGreaterThan(2 ** 32);
      // Machines may have so much memory; WebAssembly has not.
      if (device.library.kind === "wasm") expect(computed).not.toHaveBeenCalled();
    } finally {
      computed.mockRestore();
      asked.mockRestore();
    }
  });
});
