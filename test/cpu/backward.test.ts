import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostParameters, placeInputs } from "../../compiler/execution/call-tensors.ts";
import type { AttentionInputs } from "../../runtime/contract/index.ts";
import { type CpuDevice, deviceIdentity } from "../../runtime/cpu/device.ts";
import {
  allocate,
  type CpuLauncher,
  type CpuTensor,
  createCpuLauncher,
  download,
  upload,
} from "../../runtime/cpu/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { drawGradient } from "../support/gradients.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { planOf, trainerOf } from "./gradient-suite.ts";
import { cpuLauncherOf, openTestCpu } from "./harness.ts";

// `forward({ save: true })` and `backward`, whatever computes.

const pipeline = pipelineOf(
  "attention a { heads 2 head_dim 8 mask causal scores { conv 2x3 } output { norm } }",
  "a",
);
const SHAPE = { B: 2, Lq: 9, Lk: 12, R: 2 };
const inputs = drawInputs(pipeline, SHAPE, false, 1);
const parameters = drawParameters(pipeline, 2);
const trial = { pipeline, parameters, inputs, dO: drawGradient(pipeline, inputs, 3, 1) };

describe("a backward pass", () => {
  let device: CpuDevice;
  let launcher: CpuLauncher;
  let placed: AttentionInputs<CpuTensor>;
  let dO: CpuTensor;

  beforeAll(async () => {
    device = await openTestCpu("native");
    launcher = await trainerOf(device, planOf(device, trial, 8, 2), parameters);
    placed = placeInputs(pipeline, inputs, (tensor, as) => upload(device, tensor, as));
    dO = upload(device, trial.dO, "f32");
  });
  afterAll(() => device.close());

  const read = async (tensor: CpuTensor | null): Promise<readonly number[]> =>
    tensor === null ? [] : Array.from(await download(device, tensor));

  async function everything(): Promise<ReadonlyMap<string, readonly number[]>> {
    const { saved } = await launcher.forward(placed, { save: true });
    const { dQ, dQHistory, dK, dV, parameters: found } = await launcher.backward(saved, dO);
    saved.release();
    const all = new Map([["dQ", await read(dQ)]]);
    all.set("dQHistory", await read(dQHistory));
    all.set("dK", await read(dK));
    all.set("dV", await read(dV));
    for (const [name, { data }] of found) all.set(name, [...data]);
    return all;
  }

  test("o can be left out of the outputs, and the saved call serves several passes", async () => {
    const lse = allocate(device, [2, 2, 9], "f32");
    const result = await launcher.forward(placed, { lse, save: true });
    expect(result.lse).toBe(lse);
    expect(result.o.shape).toEqual([2, 2, 9, 8]);
    const first = await launcher.backward(result.saved, dO);
    const second = await launcher.backward(result.saved, dO);
    expect(await read(second.dK)).toEqual(await read(first.dK));
    expect(first.statistics.workspaceBytes).toBeGreaterThan(0);
    result.saved.release();
    expect(result.saved.released).toBe(true);
  });

  test("takes the plan that was the fastest near a call's shape, and says so", async () => {
    const expected = await everything();
    const plans = [planOf(device, trial, 8, 2), planOf(device, trial, 4, 1)];
    const { artifact } = launcher;
    const tunedBackward = [{ device: deviceIdentity(device), bucket: { B: 2, Lq: 8, Lk: 8, R: 2 }, plan: 1 }];
    const backward = plans.map((plan, index) => (index === 1 ? { ...plan, tuned: true as const } : plan));
    const tuned = await createCpuLauncher(
      device,
      { ...artifact, backward, tunedBackward },
      hostParameters(parameters),
    );
    const { saved } = await tuned.forward(placed, { save: true });
    const { dK, statistics } = await tuned.backward(saved, dO);
    expect(statistics.tuned).toBe(true);
    const found = await read(dK);
    expect(found).toHaveLength(expected.get("dK")?.length ?? -1);
    for (const [index, value] of found.entries())
      expect(value).toBeCloseTo(expected.get("dK")?.[index] ?? 0, 4);
    saved.release();
    tuned.destroy();
    const { saved: other } = await launcher.forward(placed, { save: true });
    expect((await launcher.backward(other, dO)).statistics.tuned).toBe(false);
    other.release();
  });

  test("gives some gradients, with the same bits, and where it is told", async () => {
    const expected = await everything();
    const { saved } = await launcher.forward(placed, { save: true });
    const { dK, dQ, dV, parameters: none } = await launcher.backward(saved, dO, { wanted: ["dK"] });
    expect([dQ, dV, none]).toEqual([null, null, null]);
    expect(await read(dK)).toEqual(expected.get("dK"));

    const dV2 = allocate(device, [2, 2, 12, 8], "f32");
    const given = await launcher.backward(saved, dO, { wanted: ["parameters", "dParameters"], dV: dV2 });
    expect(given.dV).toBe(dV2);
    expect(await read(dV2)).toEqual(expected.get("dV"));
    const names = pipeline.parameters.map(({ name }) => name);
    expect([...(given.parameters?.keys() ?? [])]).toEqual(names);
    const words = names.flatMap((name) => [...(given.parameters?.get(name)?.data ?? [])]);
    expect(words).toEqual(names.flatMap((name) => expected.get(name) ?? []));
    expect(await read(given.dParameters)).toEqual(words);
    saved.release();
  });

  test("gives the gradient of a bias where it is asked for, in the bias's shape", async () => {
    const biased = pipelineOf("attention a { heads 2 head_dim 8 mask causal bias scores { conv 2x3 } }", "a");
    const size = { B: 2, Lq: 40, Lk: 48, R: 2 };
    const own = {
      pipeline: biased,
      parameters: drawParameters(biased, 2),
      inputs: drawInputs(biased, size, false, 1),
    };
    const plan = planOf(device, { ...own, dO: drawGradient(biased, own.inputs, 3, 1) }, 8, 2);
    const trained = await trainerOf(device, plan, own.parameters);
    const slope = upload(device, drawGradient(biased, own.inputs, 3, 1), "f32");
    const given = placeInputs(biased, own.inputs, (tensor, as) => upload(device, tensor, as));
    const matrix = Float32Array.from({ length: 42 * 48 }, (_, index) => Math.sin(index));
    const gradientOf = async (bias: CpuTensor): Promise<CpuTensor> => {
      const { saved } = await trained.forward({ ...given, bias }, { save: true });
      expect((await trained.backward(saved, slope)).dBias).toBeNull();
      const { dBias, dQ } = await trained.backward(saved, slope, { wanted: ["dBias"] });
      expect(dQ).toBeNull();
      saved.release();
      if (dBias === null) throw new Error("there is no gradient of the bias");
      return dBias;
    };
    const single = upload(device, { shape: [1, 1, 42, 48], data: matrix }, "f32");
    const summed = await gradientOf(single);
    expect(summed.shape).toEqual([1, 1, 42, 48]);
    // Broadcast by strides it has an entry for each.
    const all = await gradientOf({ ...single, shape: [2, 2, 42, 48], strides: [0, 0, 48, 1] });
    expect(all.shape).toEqual([2, 2, 42, 48]);
    const entries = await read(all);
    const sums = await read(summed);
    sums.forEach((sum, at) => {
      const parts = [0, 1, 2, 3].map((entry) => entries[entry * 42 * 48 + at] ?? 0);
      expect(parts.reduce((a, b) => a + b)).toBeCloseTo(sum, 5);
    });

    const { saved } = await trained.forward({ ...given, bias: single }, { save: true });
    const dBias = allocate(device, [1, 1, 42, 48], "f32");
    expect((await trained.backward(saved, slope, { wanted: ["dK"], dBias })).dBias).toBe(dBias);
    expect(await read(dBias)).toEqual(sums);
    const wrong = allocate(device, [1, 2, 42, 48], "f32");
    expect(await refused(trained.backward(saved, slope, { dBias: wrong }))).toMatchObject({ code: "MTA896" });
    saved.release();
    trained.destroy();
  });

  test("takes d_o with strides, and broadcast", async () => {
    const row = Float32Array.from({ length: 8 }, (_, index) => index - 3);
    const whole = {
      shape: [2, 2, 9, 8],
      data: Float32Array.from({ length: 288 }, (_, at) => row[at % 8] ?? 0),
    };
    const { saved } = await launcher.forward(placed, { save: true });
    const dQOf = async (tensor: CpuTensor): Promise<readonly number[]> =>
      read((await launcher.backward(saved, tensor, { wanted: ["dQ"] })).dQ);
    const expected = await dQOf(upload(device, whole, "f32"));
    const one = upload(device, { shape: [8], data: row }, "f32");
    expect(await dQOf({ ...one, shape: [2, 2, 9, 8], strides: [0, 0, 0, 1] })).toEqual(expected);
    const apart = upload(device, whole, "f32", [400, 20, 40, 1]);
    expect(await dQOf(apart)).toEqual(expected);
    saved.release();
  });

  test("takes the parameters of the call, whatever has become of them since", async () => {
    const expected = await everything();
    const other = await trainerOf(device, planOf(device, trial, 8, 2), parameters);
    const { saved } = await other.forward(placed, { save: true });
    other.setParameters(new Map([["output.norm.weight", new Float32Array(8)]]));
    const { dQ } = await other.backward(saved, dO);
    expect(await read(dQ)).toEqual(expected.get("dQ"));
    const later = await other.forward(placed, { save: true });
    expect((await read((await other.backward(later.saved, dO)).dQ)).every((value) => value === 0)).toBe(true);
    saved.release();
    later.saved.release();
    other.destroy();
  });

  test("a saved call may be released while a pass is under way", async () => {
    const expected = await everything();
    const { saved } = await launcher.forward(placed, { save: true });
    const pass = launcher.backward(saved, dO);
    saved.release();
    // What was kept is not lent to others before the pass has ended.
    const shape = [2, 2, 9, 8];
    const others = upload(device, { shape, data: new Float32Array(288).fill(Number.NaN) }, "f32");
    expect(await read((await pass).dQ)).toEqual(expected.get("dQ"));
    others.destroy();
  });

  test("reads what the forward pass has kept, which only a call that is saved keeps", async () => {
    const expected = await everything();
    const { saved, statistics } = await launcher.forward(placed, { save: true });
    const plain = await launcher.forward(placed);
    const bytes = 4 * 2 * 2 * 9 * 8;
    expect(statistics.workspaceBytes - plain.statistics.workspaceBytes).toBe(bytes);
    expect(statistics.compulsoryBytes).toBe(plain.statistics.compulsoryBytes);
    const forgetful = await trainerOf(device, planOf(device, trial, 8, 2), parameters, true);
    const forgotten = await forgetful.forward(placed, { save: true });
    expect(forgotten.statistics.workspaceBytes).toBe(plain.statistics.workspaceBytes);
    const found = await read((await forgetful.backward(forgotten.saved, dO)).dK);
    for (const [index, value] of found.entries())
      expect(value).toBeCloseTo(expected.get("dK")?.[index] ?? Number.NaN, 5);
    saved.release();
    forgotten.saved.release();
    forgetful.destroy();
  });

  test("prepares what both need", async () => {
    await expect(launcher.prepare({ ...SHAPE, backward: true })).resolves.toBeUndefined();
  });

  const refused = (asked: Promise<unknown>): Promise<unknown> =>
    asked.then(
      () => null,
      (error: unknown) => error,
    );

  test("MTA620: compiled without gradients", async () => {
    const plain = await cpuLauncherOf(device, launcher.plan, parameters);
    for (const asked of [plain.forward(placed, { save: true }), plain.prepare({ ...SHAPE, backward: true })])
      expect(await refused(asked)).toMatchObject({ code: "MTA620" });
  });

  test("MTA621 to MTA623: no saved call, another launcher's, a released one", async () => {
    const result = await launcher.forward(placed, { save: true });
    // @ts-expect-error The result in place of what is saved.
    expect(await refused(launcher.backward(result, dO))).toMatchObject({ code: "MTA621" });
    const other = await trainerOf(device, planOf(device, trial, 8, 2), parameters);
    expect(await refused(other.backward(result.saved, dO))).toMatchObject({ code: "MTA622" });
    result.saved.release();
    result.saved.release();
    expect(await refused(launcher.backward(result.saved, dO))).toMatchObject({ code: "MTA623" });
  });

  test("MTA624, and tensors that do not fit", async () => {
    const { saved } = await launcher.forward(placed, { save: true });
    // @ts-expect-error No such gradient.
    const misspelled = await refused(launcher.backward(saved, dO, { wanted: ["dq"] }));
    expect(misspelled).toMatchObject({ code: "MTA624", remedy: "did you mean dQ?" });
    // @ts-expect-error No list.
    expect(await refused(launcher.backward(saved, dO, { wanted: "dQ" }))).toMatchObject({ code: "MTA624" });
    // @ts-expect-error No tensor.
    expect(await refused(launcher.backward(saved))).toMatchObject({ code: "MTA614" });
    const dK = allocate(device, [2, 2, 9, 8], "f32");
    expect(await refused(launcher.backward(saved, dO, { dK }))).toMatchObject({ code: "MTA896" });
    const dV = allocate(device, [2, 2, 12, 8], "f16");
    expect(await refused(launcher.backward(saved, dO, { dV }))).toMatchObject({ code: "MTA891" });
    const dQ = allocate(device, [2, 2, 9, 8], "f32", { strides: [800, 160, 16, 1] });
    expect(await refused(launcher.backward(saved, dO, { dQ }))).toMatchObject({ code: "MTA892" });
    saved.release();
  });

  test("MTA887: the launcher was destroyed, or an input", async () => {
    const short = await trainerOf(device, planOf(device, trial, 8, 2), parameters);
    const v = upload(device, { shape: [2, 2, 12, 8], data: new Float32Array(384) }, "f32");
    const { saved } = await short.forward({ ...placed, v }, { save: true });
    v.destroy();
    expect(await refused(short.backward(saved, dO))).toMatchObject({ code: "MTA887" });
    short.destroy();
    expect(await refused(short.backward(saved, dO))).toMatchObject({ code: "MTA887" });
    saved.release();
  });
});
