import { beforeAll, describe, expect, it, vi } from "vitest";
import { expandPlan } from "../../runtime/contract/expand.ts";
import {
  allocate,
  createLauncher,
  type DeviceTensor,
  download,
  requestDevice,
  upload,
} from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import { WebGpuBackend } from "../../runtime/webgpu/backend.ts";
import { openDevice, scaled, tinyInputs, WEIGHT } from "./device-fixture.ts";
import { REQUIRES, ramp, scaleArtifact, workspaceArtifact } from "./tiny-plans.ts";

const LARGE = {
  maxBufferSize: 2 ** 30,
  maxStorageBufferBindingSize: 2 ** 30,
  maxComputeWorkgroupsPerDimension: 65535,
};

let device: GPUDevice;
beforeAll(async () => {
  device = await openDevice();
});

describe("kernels", () => {
  it("are compiled once, however many ask at the same time", async () => {
    const own = await openDevice();
    const compile = vi.spyOn(own, "createComputePipelineAsync");
    const artifact = scaleArtifact();
    await Promise.all([1, 2, 3].map(() => createLauncher(own, artifact, WEIGHT)));
    await createLauncher(own, artifact, WEIGHT);
    expect(compile).toHaveBeenCalledTimes(1);
  });

  it("that are broken are shown with WGSL line, code frame and spec line", async () => {
    const artifact = scaleArtifact();
    const good = artifact.sources["tiny.scale.wgsl"] ?? "";
    const bad = good.replace("let b = launch.batch;", "let b: i32 = launch.batch;");
    const line = bad.split("\n").findIndex((text) => text.includes("let b: i32")) + 1;
    const broken = { ...artifact, sources: { "tiny.scale.wgsl": bad } };
    const error: unknown = await createLauncher(device, broken, WEIGHT).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: "MTA713",
      kind: "device",
      kernel: "scale",
      source: { file: "tiny.mta", line: 4 },
    });
    const text = String(error);
    expect(text).toContain('kernel "scale", tiny.mta:4:3');
    expect(text).toContain(`tiny.scale.wgsl:${line}:`);
    expect(text).toContain(`${line} |   let b: i32 = launch.batch;`);
    expect(text).toMatch(/\n +\| +\^+$/);
    // A failure is not remembered, and says the same again.
    await expect(createLauncher(device, broken, WEIGHT)).rejects.toMatchObject({ code: "MTA713" });
  });

  it("whose pipeline fails name their override constants", async () => {
    const artifact = scaleArtifact({}, { overrides: { nonsense: 3 } });
    await expect(createLauncher(device, artifact, WEIGHT)).rejects.toMatchObject({
      code: "MTA714",
      message: expect.stringContaining("nonsense = 3"),
    });
  });

  it("need their source", async () => {
    await expect(createLauncher(device, { ...scaleArtifact(), sources: {} }, WEIGHT)).rejects.toMatchObject({
      code: "MTA712",
    });
  });
});

describe("limits", () => {
  it("say what each plan lacks, and by how much", async () => {
    const greedy = scaleArtifact({
      requires: { ...REQUIRES, workgroupBytes: 33 * 1024, features: ["subgroup-size-7"] },
    });
    await expect(createLauncher(device, greedy, WEIGHT)).rejects.toMatchObject({
      code: "MTA710",
      message: expect.stringMatching(
        /single_pass, f32: needs 33 KiB of workgroup memory, 1 KiB more than .* subgroup-size-7/,
      ),
    });
  });

  it("make the launcher take the next plan", async () => {
    const [small] = scaleArtifact().plans;
    const [large] = scaleArtifact({
      requires: { ...REQUIRES, workgroupBytes: 2 ** 20 },
      schedule: "two_pass",
    }).plans;
    if (small === undefined || large === undefined) throw new Error("the artifact has a plan");
    const artifact = { ...scaleArtifact(), plans: [large, small] };
    expect((await createLauncher(device, artifact, WEIGHT)).plan).toBe(small);
    expect((await createLauncher(device, artifact, WEIGHT, { schedule: "single_pass" })).plan).toBe(small);
    expect((await createLauncher(device, artifact, WEIGHT, { plan: 1 })).plan).toBe(small);
    await expect(createLauncher(device, artifact, WEIGHT, { schedule: "two_pass" })).rejects.toMatchObject({
      code: "MTA710",
    });
    await expect(createLauncher(device, artifact, WEIGHT, { schedule: "staged" })).rejects.toMatchObject({
      code: "MTA711",
    });
    await expect(createLauncher(device, artifact, WEIGHT, { plan: 2 })).rejects.toMatchObject({
      code: "MTA711",
    });
  });

  // Devices with limits below WebGPU's defaults do not exist, so these two are asked of the check itself.
  const check = (limits: Partial<typeof LARGE>, B: number, Lq: number): (() => void) => {
    const [plan] = workspaceArtifact().plans;
    if (plan === undefined) throw new Error("the artifact has a plan");
    const size = { B, Lq, Lk: Lq, R: 0, positions: false };
    const limited = new Proxy(device, {
      get: (real, key) => (key === "limits" ? { ...LARGE, ...limits } : Reflect.get(real, key)),
    });
    const backend = new WebGpuBackend(limited, undefined);
    return () => backend.sizes.checkCall(plan, size, expandPlan(plan, size));
  };

  it("on buffers say what would fit", () => {
    expect(check({ maxStorageBufferBindingSize: 4096 }, 32, 4)).not.toThrow();
    expect(check({ maxStorageBufferBindingSize: 4096 }, 40, 4)).toThrow(
      expect.objectContaining({
        code: "MTA731",
        message: expect.stringContaining('workspace "maps" needs 5 KiB, 1 KiB more than the device\'s 4 KiB'),
        remedy: expect.stringContaining("at most 32 of the 40 entries fit"),
      }),
    );
    expect(check({ maxBufferSize: 16 }, 40, 4)).toThrow(/maxBufferSize/);
  });

  it("on workgroups say what would fit", () => {
    expect(check({ maxComputeWorkgroupsPerDimension: 4 }, 1, 40)).toThrow(
      expect.objectContaining({
        code: "MTA730",
        message: expect.stringContaining("needs 5 workgroups along x, 1 more than the device's 4"),
        remedy: expect.stringContaining("at most 32 of the 40 rows fit"),
        kernel: "first",
      }),
    );
  });

  it("hold for tensors too", () => {
    expect(() => allocate(device, [2 ** 30], "f32")).toThrow(
      /shape \[1073741824\] needs 4 GiB, .* more than the device allows/,
    );
  });

  it("that are asked for must be within the adapter's", async () => {
    const { adapter } = await openNodeGpu();
    await expect(
      requestDevice(adapter, { limits: { maxComputeWorkgroupStorageSize: 2 ** 30 } }),
    ).rejects.toMatchObject({
      code: "MTA706",
    });
    await expect(
      requestDevice(adapter, { features: ["texture-formats-tier2", "float32-filterable"] }),
    ).rejects.toMatchObject({ code: "MTA706" });
    await requestDevice(adapter);
    await expect(requestDevice(adapter)).rejects.toMatchObject({ code: "MTA704" });
  });
});

describe("tensors", () => {
  const wrong = async (change: (q: DeviceTensor) => DeviceTensor): Promise<unknown> => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    return launcher.forward({ ...inputs, q: change(inputs.q) });
  };

  it.each<[string, string, (q: DeviceTensor) => DeviceTensor]>([
    ["an unaligned offset", "MTA723", (q) => ({ ...q, offset: 16 })],
    ["another storage type", "MTA720", (q) => ({ ...q, storage: "f16" })],
    ["a strided last axis", "MTA721", (q) => ({ ...q, strides: [32, 16, 4, 2] })],
    ["too few strides", "MTA721", (q) => ({ ...q, strides: [1] })],
    ["unaligned rows", "MTA722", (q) => ({ ...q, strides: [40, 20, 5, 1] })],
    ["a span past the buffer's end", "MTA724", (q) => ({ ...q, strides: [64, 32, 8, 1] })],
    [
      "a buffer that cannot be bound",
      "MTA725",
      (q) => ({ ...q, buffer: device.createBuffer({ size: 128, usage: 8 }) }),
    ],
    ["a wrong shape", "MTA603", (q) => ({ ...q, shape: [1, 3, 4, 4] })],
  ])("with %s are refused", async (_what, code, change) => {
    await expect(wrong(change)).rejects.toMatchObject({ code, kind: "input", remedy: expect.any(String) });
  });

  it("for outputs are checked as well", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    const o = allocate(device, [1, 2, 4, 4], "f32");
    const refused = (output: DeviceTensor, code: string): Promise<void> =>
      expect(launcher.forward(inputs, { o: output })).rejects.toMatchObject({ code });
    await refused({ ...o, shape: [1, 2, 5, 4] }, "MTA727");
    await refused({ ...o, strides: [16, 0, 4, 1] }, "MTA721");
    await refused(inputs.q, "MTA726");
    // No kernel of this plan binds v beside o; another plan's does.
    const beside = launcher.forward({ ...inputs, v: { ...inputs.v, buffer: o.buffer } }, { o });
    await expect(beside).rejects.toMatchObject({ code: "MTA726" });
  });

  it("on the host are checked on upload", () => {
    expect(() => upload(device, { shape: [3], data: ramp(2) }, "f32")).toThrow(/2 elements/);
    expect(() => upload(device, { shape: [2], data: ramp(2) }, "i32")).toThrow(/cannot be stored as i32/);
    expect(() => upload(device, { shape: [2], data: new Int32Array(2) }, "f32")).toThrow(/Int32Array/);
  });
});

describe("a lost device", () => {
  it("fails pending and later operations, and the launcher can be rebuilt", async () => {
    const doomed = await openDevice();
    const launcher = await createLauncher(doomed, scaleArtifact(), WEIGHT, { submissionBudget: 1 });
    launcher.setParameters(new Map([["output.norm.weight", Float32Array.of(2, 4, 6, 8)]]));
    const inputs = tinyInputs(doomed, { B: 4, Lq: 64, Lk: 64 });
    const pending = launcher.forward(inputs);
    doomed.destroy();
    await expect(pending).rejects.toMatchObject({
      code: "MTA705",
      message: expect.stringContaining("destroyed"),
    });
    await expect(launcher.forward(inputs)).rejects.toMatchObject({ code: "MTA705" });
    await expect(download(doomed, inputs.q)).rejects.toMatchObject({ code: "MTA705" });
    await expect(createLauncher(doomed, scaleArtifact(), WEIGHT)).rejects.toMatchObject({ code: "MTA705" });
    expect(() => upload(doomed, { shape: [1], data: ramp(1) }, "f32")).toThrow(/lost/);

    const fresh = await openDevice();
    const rebuilt = await launcher.rebuild(fresh);
    const { o } = await rebuilt.forward(tinyInputs(fresh, { B: 1, Lq: 2, Lk: 2 }));
    expect(await download(fresh, o)).toEqual(scaled(16, 2));
  });

  it("fails while kernels are compiled", async () => {
    const doomed = await openDevice();
    const pending = createLauncher(doomed, workspaceArtifact(), WEIGHT);
    doomed.destroy();
    await expect(pending).rejects.toMatchObject({ code: "MTA705" });
  });
});

describe("a destroyed launcher", () => {
  it("says so", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    launcher.destroy();
    launcher.destroy();
    await expect(launcher.forward(tinyInputs(device, { B: 1, Lq: 1, Lk: 1 }))).rejects.toMatchObject({
      code: "MTA741",
    });
    await expect(launcher.prepare({ B: 1, Lq: 1, Lk: 1, R: 0 })).rejects.toMatchObject({ code: "MTA741" });
  });
});

describe("device errors", () => {
  it("of a buffer that was destroyed name attention and tensor, and what to do", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    inputs.q.buffer.destroy();
    await expect(launcher.forward(inputs)).rejects.toMatchObject({
      code: "MTA733",
      message: expect.stringMatching(/"tiny": the tensor q was destroyed/),
      remedy: expect.stringContaining("upload it again"),
    });
    await expect(download(device, inputs.q)).rejects.toMatchObject({
      code: "MTA733",
      message: expect.stringContaining("was destroyed"),
    });
  });

  it("of a buffer of another device name the tensor, and what to do", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const other = await openDevice();
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    const { q } = tinyInputs(other, { B: 1, Lq: 4, Lk: 4 });
    await expect(launcher.forward({ ...inputs, q })).rejects.toMatchObject({
      code: "MTA733",
      message: expect.stringContaining("the tensor q belongs to another device"),
      remedy: expect.stringContaining("upload(launcher.device"),
    });
    other.destroy();
  });

  it("of a buffer that is mapped name the tensor, and what to do", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    const { usage, size } = inputs.q.buffer;
    const buffer = device.createBuffer({ usage, size, mappedAtCreation: true });
    const { offset, shape, strides, storage } = inputs.q;
    await expect(
      launcher.forward({ ...inputs, q: { buffer, offset, shape, strides, storage } }),
    ).rejects.toMatchObject({
      code: "MTA733",
      message: expect.stringContaining("the tensor q is mapped"),
      remedy: expect.stringContaining("unmap()"),
    });
  });

  it("of unlabelled buffers of the caller name those that it may be", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    const { usage, size } = inputs.q.buffer;
    const buffer = device.createBuffer({ usage, size });
    buffer.destroy();
    const { offset, shape, strides, storage } = inputs.q;
    const q: DeviceTensor = { buffer, offset, shape, strides, storage };
    await expect(launcher.forward({ ...inputs, q })).rejects.toMatchObject({
      code: "MTA733",
      message: expect.stringContaining("the tensor q was destroyed"),
    });
  });
});
