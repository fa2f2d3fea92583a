import { afterAll, describe, expect, test } from "vitest";
import {
  allocate,
  createCudaLauncher,
  deviceIdentity,
  download,
  openEmulatedCuda,
  release,
  upload,
} from "../../runtime/cuda/index.ts";
import { ramp } from "../webgpu-runtime/tiny-plans.ts";
import { scaled, tinyInputs, WEIGHT } from "./fixture.ts";
import { scaleArtifact } from "./tiny-cuda.ts";

const device = await openEmulatedCuda();
afterAll(() => device.close());

describe("the launcher on the emulated device", () => {
  test("runs a plan with loops and reports what it counted", async () => {
    const launcher = await createCudaLauncher(device, scaleArtifact(), WEIGHT);
    const { o, lse, statistics } = await launcher.forward(tinyInputs(device, { B: 2, Lq: 5, Lk: 6 }));
    expect(await download(device, o)).toEqual(scaled(80));
    expect(lse === null ? null : await download(device, lse)).toEqual(
      Float32Array.from({ length: 20 }, (_, index) => index % 5),
    );
    expect(statistics).toMatchObject({ schedule: "single_pass", kernels: 6, deviceMs: null });
    expect(statistics.kernelCounters.map(({ kernel }) => kernel)).toEqual(["scale"]);
    expect(statistics.counters).toEqual(statistics.kernelCounters[0]?.counters);
    expect(statistics.counters?.blocks).toBe(12);
    launcher.destroy();
  });

  test("takes the plan that won on this device at shapes near the call's", async () => {
    const plain = scaleArtifact();
    const [won] = scaleArtifact({ tuned: true, schedule: "staged" }, { file: "tiny.2.cu" }).plans;
    if (won === undefined) throw new Error("the artifact has no plan");
    const source = plain.sources["tiny.cu"] ?? "";
    const artifact = {
      ...plain,
      plans: [...plain.plans, won],
      sources: { ...plain.sources, "tiny.2.cu": source.replace("* launch.depth_scale", "* 3.0f") },
      tuned: [{ device: deviceIdentity(device.properties), bucket: { B: 1, Lq: 4, Lk: 4, R: 0 }, plan: 1 }],
    };
    const launcher = await createCudaLauncher(device, artifact, WEIGHT);
    const { o, statistics } = await launcher.forward(tinyInputs(device, { B: 1, Lq: 3, Lk: 3 }));
    expect(await download(device, o)).toEqual(scaled(24, 3));
    expect(statistics).toMatchObject({ tuned: true, schedule: "staged" });
    launcher.destroy();
    const chosen = await createCudaLauncher(device, artifact, WEIGHT, { schedule: "single_pass" });
    const { statistics: own } = await chosen.forward(tinyInputs(device, { B: 1, Lq: 3, Lk: 3 }));
    expect(own).toMatchObject({ tuned: false, schedule: "single_pass" });
    chosen.destroy();
  });

  test("reads integers, strides and offsets; writes into the caller's outputs", async () => {
    const launcher = await createCudaLauncher(device, scaleArtifact(), WEIGHT);
    const held = upload(device, { shape: [1, 3, 2, 4], data: ramp(24) }, "f32");
    const k = upload(device, { shape: [1, 1, 3, 4], data: ramp(12) }, "f32");
    const q = { ...held, offset: 32, shape: [1, 2, 2, 4], strides: [24, 4, 8, 1] };
    const positions = upload(device, { shape: [1], data: Int32Array.of(1) }, "i32");
    const o = allocate(device, [1, 2, 2, 4], "f32", { strides: [32, 16, 8, 1] });
    const { lse } = await launcher.forward({ q, k, v: k, positions }, { o });
    expect(await download(device, o)).toEqual(
      Float32Array.of(8, 18, 30, 44, 16, 34, 54, 76, 12, 26, 42, 60, 20, 42, 66, 92),
    );
    expect(lse === null ? null : await download(device, lse)).toEqual(Float32Array.of(1, 2, 1, 2));
    launcher.destroy();
  });

  test("faults of a kernel come with the line of its source", async () => {
    const artifact = scaleArtifact();
    const sources = { "tiny.cu": (artifact.sources["tiny.cu"] ?? "").replace("* q[b", "* q[99999 + b") };
    const launcher = await createCudaLauncher(device, { ...artifact, sources }, WEIGHT);
    await expect(launcher.forward(tinyInputs(device, { B: 1, Lq: 2, Lk: 2 }))).rejects.toMatchObject({
      name: "EmulatorError",
      code: "MTA852",
      kernel: "tiny_scale",
      file: expect.stringContaining("tiny.cu"),
      line: expect.any(Number),
    });
    launcher.destroy();
  });

  test("a kernel that does not compile comes with nvcc's words", async () => {
    const artifact = { ...scaleArtifact(), sources: { "tiny.cu": "__global__ void broken() { oops(); }" } };
    await expect(createCudaLauncher(device, artifact, WEIGHT)).rejects.toMatchObject({
      code: "MTA813",
      message: expect.stringMatching(/tiny\.cu.*sm_80.*identifier "oops" is undefined/s),
    });
  });

  test("a plan that binds other parameters than the kernel takes is a defect that shows", async () => {
    const artifact = scaleArtifact({}, { bindings: [{ binding: 0, access: "uniform", resource: "launch" }] });
    const launcher = await createCudaLauncher(device, artifact, WEIGHT);
    await expect(launcher.forward(tinyInputs(device, { B: 1, Lq: 2, Lk: 2 }))).rejects.toThrow(RangeError);
    launcher.destroy();
  });

  test("plans for later architectures need a device of that architecture", async () => {
    const requires = { ...scaleArtifact().plans[0]?.requires, computeCapability: 90 };
    const artifact = scaleArtifact({
      requires: { workgroupBytes: 0, invocations: 64, storageBuffers: 0, features: [], ...requires },
    });
    await expect(createCudaLauncher(device, artifact, WEIGHT)).rejects.toMatchObject({
      code: "MTA810",
      message: expect.stringContaining("needs compute capability 9.0, the device has 8.0"),
    });
    const hopper = await openEmulatedCuda({ architecture: "sm_90", warpOrder: "greedy", checks: "bounds" });
    const launcher = await createCudaLauncher(hopper, artifact, WEIGHT);
    const { o } = await launcher.forward(tinyInputs(hopper, { B: 1, Lq: 2, Lk: 2 }));
    expect(await download(hopper, o)).toEqual(scaled(16));
    await hopper.close();
    await expect(openEmulatedCuda({ architecture: "ada" })).rejects.toMatchObject({ code: "MTA808" });
  });
});

describe("what a call is refused for", () => {
  const launching = createCudaLauncher(device, scaleArtifact(), WEIGHT);
  const good = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
  const half = upload(device, { shape: [1, 2, 4, 4], data: ramp(32) }, "f16");

  test.each([
    ["storage", { ...good, q: half }, "MTA820", "stored as f16; the attention needs f32"],
    ["strides", { ...good, q: { ...good.q, strides: [32, 16, 4, 2] } }, "MTA821", "must be contiguous"],
    ["alignment", { ...good, q: { ...good.q, strides: [34, 18, 4, 1] } }, "MTA822", "multiples of 4"],
    ["address", { ...good, q: { ...good.q, offset: 8 } }, "MTA823", "a multiple of 16"],
    ["bounds", { ...good, q: { ...good.q, offset: 16 } }, "MTA824", "16 past the end"],
    ["address of nothing", { ...good, q: { ...good.q, address: 64n } }, "MTA825", "0x40"],
    ["shape", { ...good, k: { ...good.k, shape: [1, 1, 4, 5] } }, "MTA603", "the input k has shape"],
  ] as const)("%s", async (_, inputs, code, message) => {
    const launcher = await launching;
    await expect(launcher.forward(inputs)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  test("outputs of the wrong shape, that overlap, or are freed", async () => {
    const launcher = await launching;
    const o = allocate(device, [1, 2, 4, 4], "f32");
    await expect(launcher.forward(good, { o: { ...o, shape: [1, 2, 3, 4] } })).rejects.toMatchObject({
      code: "MTA827",
    });
    await expect(launcher.forward(good, { o: good.q })).rejects.toMatchObject({
      code: "MTA826",
      message: "the output o overlaps the tensor q in memory",
    });
    const lse = { ...o, shape: [1, 2, 4], strides: [8, 4, 1] };
    await expect(launcher.forward(good, { o, lse })).rejects.toMatchObject({ code: "MTA826" });
    release(device, o);
    await expect(launcher.forward(good, { o })).rejects.toMatchObject({ code: "MTA825" });
  });

  test("sizes", async () => {
    const launcher = await launching;
    await launcher.prepare({ B: 1, Lq: 2, Lk: 2 });
    await expect(launcher.prepare({ B: 0, Lq: 2, Lk: 2 })).rejects.toMatchObject({ code: "MTA604" });
    const wide = await createCudaLauncher(
      device,
      scaleArtifact({
        steps: [
          {
            kind: "dispatch",
            kernel: "scale",
            grid: [1, 1, ["mul", "Lq", 100]],
            launch: {},
            multiplyAdds: 1,
          },
        ],
      }),
      WEIGHT,
    );
    await expect(wide.prepare({ B: 1, Lq: 656, Lk: 656 })).rejects.toMatchObject({
      code: "MTA830",
      remedy: expect.stringContaining("at most 655 of the 656 rows"),
    });
  });
});
