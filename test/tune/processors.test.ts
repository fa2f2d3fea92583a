import { cpus } from "node:os";
import { afterEach, expect, test, vi } from "vitest";
import { addTunedPlans, artifactOf, loadGradients } from "../../compiler/emit/index.ts";
import { choosePlan, cpuMachine, planCandidates } from "../../compiler/plan/index.ts";
import { specHash } from "../../compiler/tune/record.ts";
import { trialCandidate } from "../../compiler/tune/trial-candidates.ts";
import { tunedPlans } from "../../compiler/tune/use.ts";
import { sameDevice } from "../../runtime/contract/tuned.ts";
import { CpuDevice, deviceIdentity } from "../../runtime/cpu/device.ts";
import type { CpuLibrary } from "../../runtime/cpu/library.ts";
import { processorModel } from "../../runtime/cpu/processor.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { KEY } from "./records.ts";

// Results that were measured on one processor, and others.

vi.mock("node:os", async (importOriginal) => {
  const original = await importOriginal<typeof import("node:os")>();
  return { ...original, cpus: vi.fn(original.cpus) };
});
afterEach(() => vi.mocked(cpus).mockReset());

/** A library that nobody computes with. */
function library(lanes: number, threads: number): CpuLibrary {
  const never = () => {
    throw new Error("nothing is computed here");
  };
  return {
    kind: "native",
    description: `C by gcc 12.2.0, ${lanes} floats a vector`,
    lanes,
    threads,
    allocate: never,
    free: never,
    bytesOf: never,
    forward: { workspaceBytes: never, compute: never },
    backward: never,
    close: async () => undefined,
  };
}

const identityOf = (model: string, lanes = 16, threads = 8): string =>
  deviceIdentity(new CpuDevice(library(lanes, threads), model));

test.each([
  ["Intel(R) Xeon(R) Platinum 8488C", "Intel(R) Xeon(R) Platinum 8488C"],
  ["  AMD EPYC|9R14\n(x)  \u0000é ", "AMD EPYC 9R14 (x)"],
  ["unknown", ""],
  ["", ""],
])("the model %j", (model, plain) => {
  const times = { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 };
  vi.mocked(cpus).mockReturnValue([{ model, speed: 1, times }]);
  expect(processorModel()).toBe(plain);
});

test("a system that knows no processors has none with a model", () => {
  vi.mocked(cpus).mockReturnValue([]);
  expect(processorModel()).toBe("");
});

test("models, widths and threads tell processors apart; who does not know the model takes it on trust", () => {
  const measured = identityOf("AMD EPYC 9R14");
  expect(measured).toBe("native|C by gcc 12.2.0, 16 floats a vector|AMD EPYC 9R14|16 lanes|8 threads");
  expect(sameDevice(measured, identityOf("AMD EPYC 9R14"))).toBe(true);
  expect(sameDevice(measured, identityOf("AMD EPYC 7R13"))).toBe(false);
  expect(sameDevice(measured, identityOf("AMD EPYC 9R14", 8))).toBe(false);
  expect(sameDevice(measured, identityOf("AMD EPYC 9R14", 16, 4))).toBe(false);
  expect(sameDevice(measured, identityOf(""))).toBe(true);
  expect(sameDevice(identityOf(""), measured)).toBe(false);
});

test("a winner on a processor that is not here is planned for its width and its threads", () => {
  const pipeline = pipelineOf("attention a { heads 2 head_dim 16 mask causal scores { conv 2x3 } }", "a");
  const shape = { B: 1, Lq: 256, Lk: 256, R: 0 };
  const machine = cpuMachine({ lanes: 16, threads: 64 });
  const candidate = planCandidates(pipeline, { machine, shape }).find(({ knobs }) => knobs["threads"] === 32);
  if (candidate === undefined) throw new Error("there is no plan for 32 threads");
  const won = { candidate: trialCandidate(candidate, false).identity, shape, median: 1, unit: "ns" } as const;
  const plansOn = (device: string) =>
    tunedPlans(pipeline, [{ ...won, key: { ...KEY, spec: specHash(pipeline), target: "cpu", device } }]);
  expect(plansOn(identityOf("a", 16, 64))).toMatchObject([{ plan: { knobs: { threads: 32 } } }]);
  expect(plansOn(identityOf("a", 16, 8))).toEqual([]);
  expect(plansOn("of another kind")).toEqual([]);
});

test("winners of both passes come into an artifact, also such as differ in their threads only", async () => {
  await loadGradients();
  const pipeline = pipelineOf("attention a { heads 2 head_dim 16 mask causal scores { conv 2x3 } }", "a");
  const shape = { B: 1, Lq: 256, Lk: 256, R: 0 };
  const machine = cpuMachine({ lanes: 16, threads: 4 });
  const planned = { machine, shape };
  const gradients = { ...planned, direction: "backward" } as const;
  const entryOf = (request: typeof planned | typeof gradients, threads: number, Lk: number) => {
    const chosen = choosePlan(pipeline, request);
    const candidate = planCandidates(pipeline, request).find(
      ({ knobs }) => knobs["threads"] === threads && knobs["strip"] === chosen.knobs["strip"],
    );
    if (candidate === undefined) throw new Error(`there is no plan for ${threads} threads`);
    const { direction } = chosen;
    const key = {
      ...KEY,
      spec: specHash(pipeline),
      target: "cpu",
      device: identityOf("a", 16, 4),
      bucket: { ...shape, Lk },
      ...(direction === undefined ? {} : { direction }),
    } as const;
    return {
      key,
      candidate: trialCandidate(candidate, false).identity,
      shape,
      median: 1,
      unit: "ns",
    } as const;
  };
  const won = tunedPlans(pipeline, [
    entryOf(planned, 1, 256),
    entryOf(gradients, 1, 256),
    entryOf(gradients, 2, 512),
  ]);
  expect(won.map(({ plan }) => plan.direction)).toEqual([undefined, "backward", "backward"]);
  const own = artifactOf(pipeline, [choosePlan(pipeline, planned)], [choosePlan(pipeline, gradients)]);
  const { plans, backward, tuned, tunedBackward } = addTunedPlans(own, won);
  const threads = (of: typeof backward, which: typeof tuned) =>
    which?.map(({ plan, bucket }) => [of?.[plan]?.knobs["threads"], bucket.Lk]);
  expect(threads(plans, tuned)).toEqual([[1, 256]]);
  expect(threads(backward, tunedBackward)).toEqual([
    [1, 256],
    [2, 512],
  ]);
  expect(backward?.map(({ tuned: found }) => found)).toEqual([undefined, true, true]);
  // Who computes no gradients has no use for them.
  const { backward: none, ...forwardOnly } = own;
  expect(addTunedPlans(forwardOnly, won)).not.toHaveProperty("tunedBackward");
  expect(none).toHaveLength(1);
});
