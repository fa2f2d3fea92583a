import { describe, expect, test } from "vitest";
import * as inBrowsers from "../../compiler/browser.ts";
import {
  type CompileOptions,
  choosePlan,
  compile,
  cudaMachine,
  DEFAULT_SHAPE,
  emitArtifact,
  type PlanRequest,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/index.ts";
import { pipelineOf } from "../support/pipelines.ts";

// What callers without a type checker give: each is refused with a code and a remedy.

const TEXT = "attention a { heads 2 head_dim 8 mask causal }";
const refusal = {
  code: expect.stringMatching(/^MTA(903|918|933)$/),
  kind: expect.any(String),
  remedy: expect.any(String),
};

const NONSENSE: readonly unknown[] = [null, 42, "x", [], {}, [null]];
const OPTIONS = ["targets", "shape", "schedule", "variants", "architectures", "tuned", "images"] as const;
const WRONG: readonly unknown[] = [
  null,
  42,
  [],
  ...OPTIONS.flatMap((name) => NONSENSE.map((value) => ({ [name]: value }))),
  { target: ["webgpu"] },
  { names: null },
  { names: ["b"] },
  { file: null },
  ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "8"].map((B) => ({ shape: { ...DEFAULT_SHAPE, B } })),
  { variants: [{ ...WEBGPU_COMMON_LIMITS, features: null }] },
  { architectures: ["sm_75"] },
];

/** A value as TypeScript cannot know it. */
function untyped<T>(value: unknown): T {
  const box: { value: T } = Object.assign(Object.create(null), { value });
  return box.value;
}

describe("wrong options are refused", () => {
  test.each(WRONG)("compile %j", async (value) => {
    const options = untyped<CompileOptions>(value);
    await expect(compile(TEXT, options)).rejects.toMatchObject(refusal);
    await expect(inBrowsers.compile(TEXT, options)).rejects.toMatchObject(refusal);
  });

  const pipeline = pipelineOf(TEXT, "a");
  const request: PlanRequest = { machine: webgpuMachine(WEBGPU_COMMON_LIMITS), shape: DEFAULT_SHAPE };
  const calls: readonly (readonly [string, (value: unknown) => unknown])[] = [
    ["emitArtifact", (value) => emitArtifact(pipeline, untyped({ target: value }))],
    ["the pipeline", (value) => planCandidates(untyped(value), request)],
    ["the request", (value) => choosePlan(pipeline, untyped(value))],
    ["the machine", (value) => planCandidates(pipeline, { ...request, machine: untyped(value) })],
    ["the schedule", (value) => planCandidates(pipeline, { ...request, schedule: untyped(value) })],
    ["the storage", (value) => planCandidates(pipeline, { ...request, storage: untyped(value) })],
    ["webgpuMachine", (value) => webgpuMachine(untyped(value))],
    ["cudaMachine", (value) => cudaMachine(untyped(value))],
  ];
  test.each(calls)("%s", (_name, call) => {
    for (const value of NONSENSE)
      expect(() => call(value), `${value}`).toThrow(expect.objectContaining(refusal));
  });
});
