import { expect, test } from "vitest";
import { WEBGPU_DEFAULT_LIMITS } from "../../compiler/plan/index.ts";
import { MtacError } from "../../runtime/contract/index.ts";
import { ParameterStore } from "../../runtime/contract/parameters.ts";
import { bestPlan } from "../support/gpu.ts";
import { pipelineOf } from "../support/pipelines.ts";

const pipeline = pipelineOf("attention a { heads 2 head_dim 4 output { gate } }", "a");
const [WEIGHT, BIAS] = ["output.gate.weight", "output.gate.bias"];

function storeOf(): ParameterStore<readonly number[]> {
  const found = bestPlan(pipeline, WEBGPU_DEFAULT_LIMITS, { B: 1, Lq: 8, Lk: 8, R: 0 }, "single_pass");
  if ("reason" in found) throw new Error(found.reason);
  const memory = {
    write: (words: Float32Array) => [...words],
    free: () => undefined,
    error: (_fault: string, message: string) => new MtacError("MTA740", "input", message),
  };
  const values = new Map([
    [WEIGHT, Float32Array.of(1, 2, 3, 4)],
    [BIAS, Float32Array.of(5)],
  ]);
  return new ParameterStore(memory, found.plan, values);
}

test("an update of which one value is wrong changes none, whichever comes first", () => {
  const store = storeOf();
  const before = store.acquire().buffer;
  const good: [string, Float32Array] = [WEIGHT, Float32Array.of(9, 9, 9, 9)];
  const bad: [string, Float32Array] = [BIAS, new Float32Array(3)];
  for (const values of [new Map([good, bad]), new Map([bad, good])])
    expect(() => store.update(values)).toThrow(expect.objectContaining({ code: "MTA740" }));
  expect(store.values.get(WEIGHT)?.data).toEqual(Float32Array.of(1, 2, 3, 4));
  expect(store.acquire().buffer).toBe(before);
  store.update(new Map([good]));
  expect(store.values.get(WEIGHT)?.data).toEqual(Float32Array.of(9, 9, 9, 9));
  expect(store.acquire().buffer).toEqual(before.map((word, index) => (index < 4 ? 9 : word)));
});
