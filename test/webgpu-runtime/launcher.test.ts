import { beforeAll, describe, expect, it, vi } from "vitest";
import type { MaskTerm } from "../../runtime/contract/index.ts";
import { allocate, createLauncher, type DeviceTensor, download, upload } from "../../runtime/index.ts";
import { poolOf } from "../../runtime/webgpu/pool.ts";
import { openDevice, scaled, tinyInputs, WEIGHT } from "./device-fixture.ts";
import { ramp, scaleArtifact, tinyPipeline, workspaceArtifact } from "./tiny-plans.ts";

let device: GPUDevice;
beforeAll(async () => {
  device = await openDevice();
});

describe("forward", () => {
  it("runs nested loops of dispatches, each with its own uniform block", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const { o, lse, statistics } = await launcher.forward(tinyInputs(device, { B: 2, Lq: 5, Lk: 5 }));
    expect(await download(device, o)).toEqual(scaled(80));
    expect(lse?.shape).toEqual([2, 2, 5]);
    expect(statistics.kernels).toBe(6);
    expect(statistics.schedule).toBe("single_pass");
  });

  it("passes data through the workspace from kernel to kernel", async () => {
    const launcher = await createLauncher(device, workspaceArtifact(), WEIGHT);
    const { o, statistics } = await launcher.forward(tinyInputs(device, { B: 3, Lq: 7, Lk: 9 }));
    expect(await download(device, o)).toEqual(ramp(168).map((value) => 2 * (value + 1)));
    const bytes = { q: 168 * 4, k: 108 * 4, v: 108 * 4, o: 168 * 4, parameters: 16 };
    const compulsory = Object.values(bytes).reduce((sum, size) => sum + size);
    expect(statistics.compulsoryBytes).toBe(compulsory);
    expect(statistics.peakBytes - statistics.workspaceBytes).toBe(compulsory);
    expect(statistics.workspaceBytes).toBeGreaterThanOrEqual(168 * 4);
  });

  it("makes variants of override constants as the call's size asks", async () => {
    const artifact = scaleArtifact({}, { overrides: { factor: ["add", "Lq", 1] } });
    const launcher = await createLauncher(device, artifact, WEIGHT);
    for (const Lq of [1, 3]) {
      const { o } = await launcher.forward(tinyInputs(device, { B: 1, Lq, Lk: 4 }));
      expect(await download(device, o)).toEqual(scaled(8 * Lq, Lq + 1));
    }
  });

  it("appends integer inputs to the parameters, for each call its own", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT, { submissionBudget: 1 });
    const inputs = tinyInputs(device, { B: 2, Lq: 4, Lk: 4 });
    const calls = [Int32Array.of(3, 100), Int32Array.of(7, 50)].map((data) =>
      launcher.forward({ ...inputs, positions: upload(device, { shape: [2], data }, "i32") }),
    );
    const results = await Promise.all(
      calls.map(async (call) => download(device, (await call).lse ?? (await call).o)),
    );
    expect([...(results[0] ?? [])]).toEqual([3, 4, 5, 6, 3, 4, 5, 6, 100, 101, 102, 103, 100, 101, 102, 103]);
    expect([...(results[1] ?? [])]).toEqual([7, 8, 9, 10, 7, 8, 9, 10, 50, 51, 52, 53, 50, 51, 52, 53]);
  });

  it("gives the depth scale of the layer, and asks for the layer", async () => {
    const norm = {
      kind: "norm",
      name: "output.norm",
      eps: 1e-6,
      depthScale: true,
      weight: "output.norm.weight",
      source: null,
    };
    const pipeline = tinyPipeline({ output: [{ ...norm, kind: "norm" }] });
    const launcher = await createLauncher(device, scaleArtifact({ pipeline }), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 1, Lk: 1 });
    await expect(launcher.forward(inputs)).rejects.toMatchObject({ code: "MTA607" });
    const { o } = await launcher.forward({ ...inputs, layer: 0 });
    const factor = Math.fround(1 - 0.2);
    (await download(device, o)).forEach((value, index) => {
      expect(value).toBeCloseTo(factor * index * ((index % 4) + 1), 5);
    });
  });

  it("reads and writes strided tensors, and tensors inside a larger buffer", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 2, Lq: 3, Lk: 3 });
    // [B, L, H, D] in memory, behind 256 bytes that belong to something else.
    const strides = [24, 4, 8, 1];
    const packed = upload(device, { shape: [2, 2, 3, 4], data: ramp(48) }, "f32", strides);
    const buffer = device.createBuffer({ size: 256 + 192, usage: packed.buffer.usage });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(packed.buffer, 0, buffer, 256, 192);
    device.queue.submit([encoder.finish()]);
    const q: DeviceTensor = { ...packed, buffer, offset: 256 };
    const o = allocate(device, [2, 2, 3, 4], "f32", { strides: [64, 32, 8, 1] });
    const result = await launcher.forward({ ...inputs, q }, { o });
    expect(result.o).toBe(o);
    expect(await download(device, o)).toEqual(scaled(48));
  });

  it("does not allocate once it has run", async () => {
    const launcher = await createLauncher(device, workspaceArtifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 2, Lq: 6, Lk: 6 });
    await launcher.forward(inputs);
    const { created, idleBytes } = poolOf(device);
    for (let call = 0; call < 20; call++) (await launcher.forward(inputs)).o.buffer.destroy();
    expect(poolOf(device).created).toBe(created);
    expect(poolOf(device).idleBytes).toBe(idleBytes);
  });

  it("cuts a call into submissions by multiply-adds, with the same result", async () => {
    const submit = vi.spyOn(device.queue, "submit");
    const inputs = tinyInputs(device, { B: 2, Lq: 8, Lk: 8 });
    const run = async (submissionBudget: number): Promise<number> => {
      const launcher = await createLauncher(device, scaleArtifact(), WEIGHT, { submissionBudget });
      submit.mockClear();
      const { o } = await launcher.forward(inputs);
      const count = submit.mock.calls.length;
      expect(await download(device, o)).toEqual(scaled(128));
      return count;
    };
    // Eight dispatches of 16 multiply-adds each.
    expect([await run(1), await run(32), await run(1000)]).toEqual([8, 4, 1]);
    submit.mockRestore();
  });

  it("measures device time where asked and possible", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT, {
      timestamps: true,
      submissionBudget: 1,
    });
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    const { statistics } = await launcher.forward(inputs);
    if (device.features.has("timestamp-query")) expect(statistics.deviceMs).toBeGreaterThanOrEqual(0);
    else expect(statistics.deviceMs).toBeNull();
    const timing = await launcher.time(inputs, { repeats: 3 });
    expect(timing.wallMs).toHaveLength(3);
    const quiet = await createLauncher(device, scaleArtifact(), WEIGHT);
    expect((await quiet.forward(inputs)).statistics.deviceMs).toBeNull();
  });

  it("has no lse with sparsemax", async () => {
    const pipeline = tinyPipeline({ normalize: "sparsemax" });
    const launcher = await createLauncher(device, scaleArtifact({ pipeline }), WEIGHT);
    const { o, lse } = await launcher.forward(tinyInputs(device, { B: 1, Lq: 2, Lk: 2 }));
    expect(lse).toBeNull();
    expect(await download(device, o)).toEqual(scaled(16));
  });
});

describe("encode", () => {
  it("records into the caller's encoder, several calls in one submission", async () => {
    const launcher = await createLauncher(device, workspaceArtifact(), WEIGHT);
    const encoder = device.createCommandEncoder();
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    const first = launcher.encode(encoder, inputs);
    const second = launcher.encode(encoder, { ...inputs, q: first.o });
    device.queue.submit([encoder.finish()]);
    first.release();
    second.release();
    await Promise.all([first.checked, second.checked]);
    expect(await download(device, second.o)).toEqual(ramp(32).map((value) => 2 * (2 * (value + 1) + 1)));
  });

  it("keeps its buffers from other calls until it is released", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const encoder = device.createCommandEncoder();
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    const positions = upload(device, { shape: [1], data: Int32Array.of(40) }, "i32");
    const recorded = launcher.encode(encoder, { ...inputs, positions });
    const other = await launcher.forward(tinyInputs(device, { B: 1, Lq: 2, Lk: 4 }));
    expect(await download(device, other.o)).toEqual(scaled(16));
    launcher.setParameters(new Map([["output.norm.weight", Float32Array.of(9, 9, 9, 9)]]));
    device.queue.submit([encoder.finish()]);
    recorded.release();
    expect(await download(device, recorded.o)).toEqual(scaled(32));
    expect([...(await download(device, recorded.lse ?? recorded.o))]).toEqual([
      40, 41, 42, 43, 40, 41, 42, 43,
    ]);
  });

  it("asks for prepare() when a variant is missing", async () => {
    const artifact = scaleArtifact({}, { overrides: { factor: "Lk" } });
    const launcher = await createLauncher(device, artifact, WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 2, Lk: 6 });
    const encoder = device.createCommandEncoder();
    expect(() => launcher.encode(encoder, inputs)).toThrow(
      expect.objectContaining({
        code: "MTA715",
        remedy: expect.stringContaining("launcher.prepare({ B: 1, Lq: 2, Lk: 6"),
      }),
    );
    await launcher.prepare({ B: 1, Lq: 2, Lk: 6, R: 0 });
    const { o, release } = launcher.encode(encoder, inputs);
    device.queue.submit([encoder.finish()]);
    release();
    expect(await download(device, o)).toEqual(scaled(16, 6));
  });
});

describe("parameters", () => {
  it("replaces them for later calls", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    launcher.setParameters(
      new Map([["output.norm.weight", { shape: [4], data: Float32Array.of(2, 4, 6, 8) }]]),
    );
    const { o } = await launcher.forward(inputs);
    expect(await download(device, o)).toEqual(scaled(32, 2));
  });

  it("refuses missing, unknown and misshapen ones", async () => {
    const create = (entries: [string, Float32Array][]): Promise<unknown> =>
      createLauncher(device, scaleArtifact(), new Map(entries));
    await expect(create([])).rejects.toMatchObject({ code: "MTA611" });
    await expect(create([...WEIGHT, ["other", ramp(1)]])).rejects.toMatchObject({ code: "MTA612" });
    await expect(create([["output.norm.weight", ramp(3)]])).rejects.toMatchObject({ code: "MTA740" });
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    expect(() => launcher.setParameters(new Map([["other", ramp(1)]]))).toThrow(/no parameter other/);
  });

  it("copies the values that it is given", async () => {
    const weight = Float32Array.of(1, 2, 3, 4);
    const launcher = await createLauncher(device, scaleArtifact(), new Map([["output.norm.weight", weight]]));
    weight.fill(0);
    expect([...(launcher.parameters.get("output.norm.weight")?.data ?? [])]).toEqual([1, 2, 3, 4]);
  });
});

describe("integer inputs", () => {
  it("lie one behind the other: positions, lengths, documents", async () => {
    const mask: MaskTerm[] = [{ kind: "lengths" }, { kind: "documents" }];
    const artifact = scaleArtifact({ pipeline: tinyPipeline({ mask }) });
    const source = (artifact.sources["tiny.scale.wgsl"] ?? "").replace(
      "f32(first + row)",
      "f32(first) * 10000 + f32(parameters[launch.lengths_at + b]) * 100 + f32(parameters[launch.documents_at + b * u32(launch.key_rows) + u32(row)])",
    );
    const launcher = await createLauncher(
      device,
      { ...artifact, sources: { "tiny.scale.wgsl": source } },
      WEIGHT,
    );
    const integers = (shape: number[], ...values: number[]): DeviceTensor =>
      upload(device, { shape, data: Int32Array.from(values) }, "i32");
    const { lse } = await launcher.forward({
      ...tinyInputs(device, { B: 2, Lq: 2, Lk: 2 }),
      positions: integers([2], 5, 6),
      lengths: integers([2], 7, 8),
      documents: integers([2, 2], 1, 2, 3, 4),
    });
    expect(lse === null ? [] : [...(await download(device, lse))]).toEqual([
      50701, 50702, 50701, 50702, 60803, 60804, 60803, 60804,
    ]);
  });
});
