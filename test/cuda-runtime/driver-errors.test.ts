import { describe, expect, test } from "vitest";
import { launchBytes } from "../../runtime/contract/launch.ts";
import { allocate, type CudaDevice, createCudaLauncher, download } from "../../runtime/cuda/index.ts";
import { LAUNCH } from "../webgpu-runtime/tiny-plans.ts";
import { artifact, device, double, ILLEGAL_ADDRESS, OUT_OF_MEMORY, reopen } from "./driver-fixture.ts";
import { doubleImage, SCALE_IMAGE, tinyInputs, WEIGHT } from "./fixture.ts";

describe("errors of the driver", () => {
  test("a block of more threads than the kernel can have", async () => {
    const image = doubleImage(
      `kernel tiny_scale static=0 threads=32 params=v${launchBytes(LAUNCH)},p,p,p,p,p`,
    );
    const launcher = await createCudaLauncher(device, artifact({}, {}, [image]), WEIGHT);
    await expect(launcher.forward(tinyInputs(device, { B: 1, Lq: 2, Lk: 2 }))).rejects.toMatchObject({
      code: "MTA831",
      kernel: "scale",
      result: "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
    });
    launcher.destroy();
  });

  test("a module that it refuses, with its log", async () => {
    const broken = { ...SCALE_IMAGE, data: Buffer.from("junk").toString("base64") };
    await expect(createCudaLauncher(device, artifact({}, {}, [broken]), WEIGHT)).rejects.toMatchObject({
      code: "MTA814",
      result: "CUDA_ERROR_INVALID_PTX",
      message: expect.stringContaining("ptxas fatal : line 3"),
    });
  });

  test("a module without the kernel", async () => {
    const other = doubleImage("kernel double_saxpy static=0 threads=64 params=v4");
    await expect(createCudaLauncher(device, artifact({}, {}, [other]), WEIGHT)).rejects.toMatchObject({
      code: "MTA816",
      kernel: "scale",
      message: expect.stringContaining("CUDA_ERROR_NOT_FOUND"),
    });
  });

  test("no image and no compiler: every way is named", async () => {
    await expect(createCudaLauncher(device, artifact({}, {}, []), WEIGHT)).rejects.toMatchObject({
      code: "MTA815",
      message: expect.stringMatching(/NVRTC.*nvcc.*precompiled/),
      remedy: expect.stringMatching(/NVRTC.*nvcc.*images/),
    });
  });

  test("memory that runs out is first taken from idle workspace", async () => {
    double.limitMemory(20_000);
    const bytes = ["mul", "B", 8000] as const;
    const launcher = await createCudaLauncher(
      device,
      artifact({ workspace: [{ name: "maps", bytes }] }),
      WEIGHT,
    );
    const one = tinyInputs(device, { B: 1, Lq: 2, Lk: 2 });
    await launcher.forward(one);
    expect(device.pool.idleBytes).toBe(8192);
    const two = tinyInputs(device, { B: 2, Lq: 2, Lk: 2 });
    await launcher.forward(two);
    expect(device.pool.idleBytes).toBe(16384);
    const three = tinyInputs(device, { B: 3, Lq: 2, Lk: 2 });
    const before = double.leaks();
    await expect(launcher.forward(three)).rejects.toMatchObject({
      code: "MTA832",
      result: "CUDA_ERROR_OUT_OF_MEMORY",
      message: expect.stringMatching(/allocating 24 KiB \(mtac workspace maps, .* are free\)/),
    });
    // The idle workspace is gone, and so are the results that the failed call had begun with.
    expect(double.leaks()).toBe(before - 1);
    launcher.destroy();
  });

  test("a kernel that faults breaks the context, and every later call says so", async () => {
    const changes = { entryPoint: "tiny_fault" };
    const image = doubleImage(
      `kernel tiny_fault static=0 threads=64 params=v${launchBytes(LAUNCH)},p,p,p,p,p`,
    );
    const launcher = await createCudaLauncher(device, artifact({}, changes, [image]), WEIGHT);
    const inputs = tinyInputs(device, { B: 1, Lq: 2, Lk: 2 });
    await expect(launcher.forward(inputs)).rejects.toMatchObject({
      code: "MTA834",
      result: "CUDA_ERROR_ILLEGAL_ADDRESS",
      kernel: "scale",
      message: expect.stringMatching(/illegal memory access.*kernel "scale", tiny\.mta:4:3/),
    });
    await expect(launcher.forward(inputs)).rejects.toMatchObject({
      code: "MTA805",
      result: "CUDA_ERROR_ILLEGAL_ADDRESS",
    });
    expect(() => allocate(device, [1], "f32")).toThrow(expect.objectContaining({ code: "MTA805" }));
    launcher.destroy();
  });

  test("every call may fail at any time, and leaves nothing behind", async () => {
    const names = [
      "cuMemAlloc_v2",
      "cuMemcpyHtoDAsync_v2",
      "cuMemcpyDtoHAsync_v2",
      "cuLaunchKernel",
      "cuEventCreate",
      "cuEventRecord",
      "cuEventQuery",
      "cuEventElapsedTime",
      "cuModuleGetFunction",
      "cuCtxSetCurrent",
      "cuStreamSynchronize",
    ];
    for (const name of names)
      for (let nth = 1; nth <= 6; nth++)
        for (const result of [OUT_OF_MEMORY, ILLEGAL_ADDRESS]) {
          await reopen();
          double.fail(name, nth, result);
          const failure = await tryAll(device).then(
            () => null,
            (error: unknown) => error,
          );
          double.fail("", 0, 0);
          if (failure !== null)
            expect(failure, `${name} ${nth}`).toMatchObject({ name: "CudaError", kind: "device" });
          await device.close();
          expect(double.violations(), `${name} ${nth} ${result}`).toEqual([]);
          expect(double.leaks(), `${name} ${nth} ${result}`).toBe(0);
        }
  });

  async function tryAll(on: CudaDevice): Promise<void> {
    const changes = { workspace: [{ name: "maps", bytes: 4096 }] };
    const launcher = await createCudaLauncher(on, artifact(changes), WEIGHT, { timestamps: true });
    try {
      const { o } = await launcher.forward(tinyInputs(on, { B: 2, Lq: 4, Lk: 4 }));
      await download(on, o);
    } finally {
      launcher.destroy();
    }
  }
});
