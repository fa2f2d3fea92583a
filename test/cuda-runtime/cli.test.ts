import { spawnSync } from "node:child_process";
import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { MAIN, mtac } from "../cli/harness.ts";
import { driverDouble, temporaryFolder } from "./doubles.ts";

/** The built command line on the driver's stand-in and without anything. */

const double = driverDouble();
const spec = "examples/mta_toy.mta";
const NOTHING = { PATH: "/nowhere", CUDA_HOME: "", CUDA_PATH: "", MTAC_LIBNVRTC: "" };

interface Listed {
  readonly target: string;
  readonly device?: string;
  readonly limits?: Readonly<Record<string, number>>;
  readonly error?: { readonly code: string; readonly remedy: string };
}

function devices(env: NodeJS.ProcessEnv): Listed[] {
  const { code, stdout } = mtac(["devices", "--json"], { env });
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

describe("devices", () => {
  test("lists what the driver has, and the emulator with its compiler", () => {
    const listed = devices({ MTAC_LIBCUDA: double.path });
    expect(listed.find(({ target }) => target === "cuda")).toMatchObject({
      device: "Double of an A100",
      software: false,
      features: ["sm_80"],
      limits: { sharedBytesPerBlock: 166912, threadsPerBlock: 1024, multiprocessors: 108 },
    });
    expect(listed.find(({ target }) => target === "cuda-emulated")).toMatchObject({
      device: expect.stringMatching(/nvcc \d+\.\d+\.\d+/),
      software: true,
    });
  });

  test("says why there is none", () => {
    const listed = devices({ MTAC_LIBCUDA: "/nowhere/libcuda.so.1", ...NOTHING });
    const errors = listed.filter(({ target }) => target.startsWith("cuda"));
    expect(errors.map(({ error }) => error?.code)).toEqual(["MTA801", "MTA807"]);
    const none = devices({ MTAC_LIBCUDA: double.path, MTAC_DOUBLE_DEVICES: "0" });
    expect(none.find(({ target }) => target === "cuda")?.error?.code).toBe("MTA803");
  });
});

describe("verify", () => {
  test("without a driver names the target that needs none", () => {
    const { code, stderr } = mtac(["verify", spec, "--target", "cuda"], {
      env: { MTAC_LIBCUDA: "/nowhere/libcuda.so.1" },
    });
    expect(stderr).toMatch(/MTA801.*no CUDA driver.*cuda-emulated/s);
    expect(code).toBe(3);
  });

  test("without nvcc says that the emulator needs it", () => {
    const { code, stderr } = mtac(["verify", spec, "--target", "cuda-emulated"], { env: NOTHING });
    expect(stderr).toMatch(/MTA807.*needs nvcc/);
    expect(code).toBe(3);
  });

  test("refuses an architecture that there is not", () => {
    const { code, stderr } = mtac(["verify", spec, "--target", "cuda-emulated", "--arch", "hopper"]);
    expect(stderr).toMatch(/MTA915.*hopper/);
    expect(code).toBe(2);
  });
});

test("without koffi the emulator works, and the driver says what is missing", () => {
  const folder = temporaryFolder();
  // A copy of what is built, out of reach of any node_modules.
  cpSync(join(MAIN, "../.."), join(folder, "dist"), { recursive: true });
  const runtime = pathToFileURL(join(folder, "dist/runtime/cuda.js")).href;
  const program = `
    const { openCuda, openEmulatedCuda } = await import(${JSON.stringify(runtime)});
    const device = await openEmulatedCuda();
    const refusal = await openCuda().catch(({ code, message, remedy }) => ({ code, message, remedy }));
    console.log(JSON.stringify({ emulated: device.properties.name, refusal }));
    await device.close();`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: folder,
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({
    emulated: "emulated sm_80",
    refusal: {
      code: "MTA802",
      message: "the package koffi, which calls C libraries, is not installed",
      remedy: "npm install koffi@3, or use the target cuda-emulated",
    },
  });
});

describe("tune", () => {
  test("a driver that loads no module ends the sweep with its own words: that is no candidate's fault", () => {
    const store = join(temporaryFolder(), "store.jsonl");
    const { code, stdout } = mtac(
      ["tune", spec, "--target", "cuda", "--lengths", "64", "--candidates", "2", "--store", store, "--json"],
      { env: { MTAC_LIBCUDA: double.path } },
    );
    expect(code).toBe(3);
    expect(JSON.parse(stdout).error).toMatchObject({
      code: "MTA814",
      message: expect.stringContaining("CUDA_ERROR_INVALID_PTX"),
    });
    expect(existsSync(store)).toBe(false);
  });
});
