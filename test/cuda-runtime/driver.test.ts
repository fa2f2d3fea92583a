import { describe, expect, test } from "vitest";
import {
  allocate,
  createCudaLauncher,
  download,
  listCudaDevices,
  openCuda,
  release,
  releaseWorkspace,
  upload,
} from "../../runtime/cuda/index.ts";
import { ramp } from "../webgpu-runtime/tiny-plans.ts";
import { artifact, device, double, OUT_OF_MEMORY, open } from "./driver-fixture.ts";
import { doubleImage, scaled, tinyInputs, WEIGHT } from "./fixture.ts";

describe("a device", () => {
  test("tells what it is", async () => {
    expect(device.properties).toEqual({
      name: "Double of an A100",
      driver: "CUDA driver 13.0",
      computeCapability: 80,
      architecture: "sm_80",
      sharedBytesPerBlock: 166912,
      threadsPerBlock: 1024,
      grid: [2 ** 31 - 1, 65535, 65535],
      multiprocessors: 108,
      memoryBytes: 2 ** 30,
    });
    expect(await listCudaDevices({ driver: double.path })).toEqual([device.properties]);
  });

  test("says why it cannot be opened", async () => {
    await expect(openCuda({ driver: "/nowhere/libcuda.so.1" })).rejects.toMatchObject({
      code: "MTA801",
      kind: "device",
      remedy: expect.stringContaining("cuda-emulated"),
    });
    await expect(openCuda({ driver: double.path, index: 1 })).rejects.toMatchObject({
      code: "MTA803",
      message: "there is no CUDA device 1: this machine has 1",
    });
    double.fail("cuInit", 1, 3);
    await expect(open()).rejects.toMatchObject({ code: "MTA804", result: "CUDA_ERROR_NOT_INITIALIZED" });
    double.fail("cuDeviceGetName", 1, 999);
    await expect(open()).rejects.toMatchObject({
      code: "MTA833",
      message: "reading a device's name: CUresult 999",
    });
    await expect(openCuda({ driver: double.path, architecture: "hopper" })).rejects.toMatchObject({
      code: "MTA808",
    });
  });

  test("gives back what it took when it is half open", async () => {
    const before = double.leaks();
    double.fail("cuStreamCreate", 1, OUT_OF_MEMORY);
    await expect(open()).rejects.toMatchObject({ code: "MTA833" });
    expect(double.leaks()).toBe(before);
  });

  test("is of no use once it is closed", async () => {
    const launcher = await createCudaLauncher(device, artifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 2, Lk: 2 });
    await device.close();
    await device.close();
    await expect(launcher.forward(inputs)).rejects.toMatchObject({ code: "MTA806" });
    await expect(download(device, inputs.q)).rejects.toMatchObject({ code: "MTA806" });
    expect(() => allocate(device, [4], "f32")).toThrow("was closed");
    launcher.destroy();
  });

  test("works on a stream of the caller's", async () => {
    const { backend } = device;
    const foreign = await openCuda({ driver: double.path, compiler: "images", stream: 0x400000010n });
    // The first stream that the double made has this handle.
    const tensor = upload(foreign, { shape: [3], data: Float32Array.of(1, 2, 3) }, "f32");
    expect(await download(foreign, tensor)).toEqual(Float32Array.of(1, 2, 3));
    await foreign.close();
    // Still there: it is not the second device's to destroy.
    await backend.finish();
  });
});

describe("tensors", () => {
  test("travel to the device and back, whatever their storage and strides", async () => {
    const data = Float32Array.of(1, -2, 0.5, 3, 65504, 6);
    for (const storage of ["f32", "f16"] as const) {
      const tensor = upload(device, { shape: [2, 3], data }, storage, [4, 1]);
      data.fill(0);
      expect(await download(device, tensor)).toEqual(Float32Array.of(1, -2, 0.5, 3, 65504, 6));
      data.set([1, -2, 0.5, 3, 65504, 6]);
    }
    const rounded = upload(device, { shape: [2], data: Float32Array.of(1.001, -Math.PI) }, "bf16");
    expect(await download(device, rounded)).toEqual(Float32Array.of(1, -3.140625));
    const integers = upload(device, { shape: [2], data: Int32Array.of(-1, 7) }, "i32");
    expect(await download(device, integers)).toEqual(Int32Array.of(-1, 7));
    const zero = allocate(device, [5], "f32");
    expect(await download(device, zero)).toEqual(new Float32Array(5));
    expect(() => upload(device, { shape: [3], data: Float32Array.of(1) }, "f32")).toThrow(
      "host data has 1 elements, its shape [3] 3",
    );
  });

  test("larger than a chunk arrive whole", async () => {
    const data = ramp(5 * 2 ** 20);
    const tensor = upload(device, { shape: [data.length], data }, "f32");
    const back = await download(device, tensor);
    // A comparison of bytes: vitest's own takes half a minute.
    expect(Buffer.compare(Buffer.from(back.buffer), Buffer.from(data.buffer))).toBe(0);
    expect(double.log().filter((line) => line === "cuMemcpyDtoHAsync_v2")).toHaveLength(2);
  });

  test("are freed once", () => {
    const tensor = allocate(device, [4], "f32");
    release(device, tensor);
    expect(() => release(device, tensor)).toThrow(expect.objectContaining({ code: "MTA825" }));
  });

  test("are destroyed by their owner, once, whoever has the memory next", async () => {
    const tensor = allocate(device, [4], "f32");
    const before = double.leaks();
    tensor.destroy();
    tensor.destroy();
    expect(double.leaks()).toBe(before - 1);
    expect(() => release(device, tensor)).toThrow(expect.objectContaining({ code: "MTA825" }));
    const released = allocate(device, [4], "f32");
    release(device, released);
    const next = upload(device, { shape: [1], data: Float32Array.of(7) }, "f32");
    released[Symbol.dispose]();
    expect(await download(device, next)).toEqual(Float32Array.of(7));
    const used = double.leaks();
    next[Symbol.dispose]();
    expect(double.leaks()).toBe(used - 1);
    const left = allocate(device, [4], "f32");
    await device.close();
    left.destroy();
  });

  test("find the context that they belong to", async () => {
    const tensor = upload(device, { shape: [1], data: Float32Array.of(5) }, "f32");
    double.forgetContext();
    expect(await download(device, tensor)).toEqual(Float32Array.of(5));
  });
});

describe("the launcher", () => {
  test("computes, with a launch for each step of the plan", async () => {
    const launcher = await createCudaLauncher(device, artifact(), WEIGHT, { timestamps: true });
    const { o, lse, statistics } = await launcher.forward(tinyInputs(device, { B: 2, Lq: 5, Lk: 6 }));
    expect(await download(device, o)).toEqual(scaled(80));
    expect(lse === null ? null : await download(device, lse)).toEqual(
      Float32Array.from({ length: 20 }, (_, index) => index % 5),
    );
    expect(double.log().filter((line) => line.startsWith("launch"))).toEqual(
      new Array(6).fill("launch tiny_scale 1 2 1 threads 64 shared 16"),
    );
    expect(statistics).toMatchObject({
      schedule: "single_pass",
      kernels: 6,
      deviceMs: 1.5,
      counters: null,
      kernelCounters: [],
      compulsoryBytes: 320 + 2 * 192 + 320 + 16,
      workspaceBytes: 80,
    });
    launcher.destroy();
  });

  test("reads integers, strides and offsets", async () => {
    const launcher = await createCudaLauncher(device, artifact(), WEIGHT);
    const held = upload(device, { shape: [1, 3, 2, 4], data: ramp(24) }, "f32");
    const k = upload(device, { shape: [1, 1, 3, 4], data: ramp(12) }, "f32");
    // [B, L, H, D] behind the first row, seen as [B, H, L, D].
    const q = { ...held, offset: 32, shape: [1, 2, 2, 4], strides: [24, 4, 8, 1] };
    const positions = upload(device, { shape: [1], data: Int32Array.of(1) }, "i32");
    const { o, lse } = await launcher.forward({ q, k, v: k, positions });
    expect(await download(device, o)).toEqual(
      Float32Array.of(8, 18, 30, 44, 16, 34, 54, 76, 12, 26, 42, 60, 20, 42, 66, 92),
    );
    expect(lse === null ? null : await download(device, lse)).toEqual(Float32Array.of(1, 2, 1, 2));
    launcher.destroy();
  });

  test("times the same call again and again, and frees what it allocated", async () => {
    const launcher = await createCudaLauncher(device, artifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 2, Lk: 2 });
    const before = double.leaks();
    const timing = await launcher.time(inputs, { repeats: 3 });
    expect(timing.wallMs).toHaveLength(3);
    expect(timing.deviceMs).toEqual([0.25, 0.25, 0.25]);
    expect(timing.footprint.kernels).toBe(1);
    expect(double.leaks()).toBe(before);
    launcher.destroy();
  });

  test("takes new parameters, calls under way keep the old", async () => {
    const launcher = await createCudaLauncher(device, artifact(), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 2, Lk: 2 });
    const under = launcher.forward(inputs);
    launcher.setParameters(new Map([["output.norm.weight", Float32Array.of(2, 4, 6, 8)]]));
    const { o: first } = await under;
    const { o: second } = await launcher.forward(inputs);
    expect(await download(device, first)).toEqual(scaled(16));
    expect(await download(device, second)).toEqual(scaled(16, 2));
    expect(() => launcher.setParameters(new Map([["output.norm.weight", Float32Array.of(1)]]))).toThrow(
      expect.objectContaining({ code: "MTA840" }),
    );
    launcher.destroy();
    await expect(launcher.forward(inputs)).rejects.toMatchObject({ code: "MTA841" });
  });

  test("does not block the event loop in a call of many launches", async () => {
    const launcher = await createCudaLauncher(device, artifact(), WEIGHT);
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const { statistics } = await launcher.forward(tinyInputs(device, { B: 2, Lq: 1500, Lk: 1500 }));
    clearInterval(timer);
    expect(statistics.kernels).toBe(1500);
    expect(turns).toBeGreaterThan(1);
    launcher.destroy();
  });

  test("asks for shared memory above 48 KiB, once", async () => {
    const bytes = 100_000;
    const launcher = await createCudaLauncher(device, artifact({}, { workgroupBytes: bytes }), WEIGHT);
    const { o } = await launcher.forward(tinyInputs(device, { B: 1, Lq: 4, Lk: 4 }));
    expect(await download(device, o)).toEqual(scaled(32));
    expect(double.log().filter((line) => line === "cuFuncSetAttribute")).toHaveLength(1);
    const tooMuch = await createCudaLauncher(device, artifact({}, { workgroupBytes: 170_000 }), WEIGHT);
    await expect(tooMuch.forward(tinyInputs(device, { B: 1, Lq: 4, Lk: 4 }))).rejects.toMatchObject({
      code: "MTA831",
      kernel: "scale",
      message: expect.stringMatching(/166.02 KiB of dynamic.*163 KiB.*tiny\.mta:4:3/),
    });
    for (const each of [launcher, tooMuch]) each.destroy();
  });

  test("shares modules between launchers, and moves to another device", async () => {
    const launcher = await createCudaLauncher(device, artifact(), WEIGHT);
    (await createCudaLauncher(device, artifact(), WEIGHT)).destroy();
    expect(double.log().filter((line) => line === "cuModuleLoadDataEx")).toHaveLength(1);
    const other = await open();
    const moved = await launcher.rebuild(other);
    const { o } = await moved.forward(tinyInputs(other, { B: 1, Lq: 2, Lk: 2 }));
    expect(await download(other, o)).toEqual(scaled(16));
    await other.close();
    launcher.destroy();
  });

  test("reuses its workspace", async () => {
    const launcher = await createCudaLauncher(
      device,
      artifact({ workspace: [{ name: "maps", bytes: ["mul", "B", 1000] }] }),
      WEIGHT,
    );
    const inputs = tinyInputs(device, { B: 1, Lq: 2, Lk: 2 });
    for (let call = 0; call < 3; call++) await launcher.forward(inputs);
    expect(device.pool.created).toBe(1);
    expect(device.pool.idleBytes).toBe(1024);
    releaseWorkspace(device);
    expect(device.pool.idleBytes).toBe(0);
    launcher.destroy();
  });

  test("waits for calls under way when the device is closed", async () => {
    const launcher = await createCudaLauncher(
      device,
      artifact({ workspace: [{ name: "maps", bytes: 4096 }] }),
      WEIGHT,
    );
    const call = launcher.forward(tinyInputs(device, { B: 1, Lq: 4, Lk: 4 }));
    const closed = device.close();
    await Promise.allSettled([call, closed]);
    launcher.destroy();
  });
});

test("a kernel's parameters arrive, values and pointers", async () => {
  const image = doubleImage("kernel double_saxpy static=0 threads=64 params=v4,v4,p,p");
  const { backend } = device;
  const bytes = typeof image.data === "string" ? Buffer.from(image.data, "base64") : image.data;
  const module = backend.load({ kind: "cubin", bytes }, "saxpy");
  const x = upload(device, { shape: [3], data: Float32Array.of(1, 2, 3) }, "f32");
  const y = upload(device, { shape: [3], data: Float32Array.of(10, 20, 30) }, "f32");
  const parameters = new DataView(new ArrayBuffer(24));
  parameters.setInt32(0, 3, true);
  parameters.setFloat32(4, 2, true);
  parameters.setBigUint64(8, x.address, true);
  parameters.setBigUint64(16, y.address, true);
  const parts = [0, 4, 8, 16].map((offset) => ({ offset, bytes: offset < 8 ? 4 : 8 }));
  backend.launch(module.kernel("double_saxpy"), {
    grid: [1, 1, 1],
    threads: 64,
    sharedBytes: 0,
    parameters: { bytes: new Uint8Array(parameters.buffer), parts },
  });
  // What the launcher does with its copy after the launch changes nothing.
  parameters.setInt32(0, 1, true);
  expect(await download(device, y)).toEqual(Float32Array.of(12, 24, 36));
  backend.unload(module);
});
