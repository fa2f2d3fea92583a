import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { setFlagsFromString } from "node:v8";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { emitArtifact } from "../../compiler/emit/index.ts";
import {
  type AutoArtifact,
  createAutoLauncher,
  download,
  openDevice,
  upload,
} from "../../runtime/auto/index.ts";
import type { Float64Tensor } from "../../runtime/contract/index.ts";
import { randomParameters } from "../../runtime/contract/init.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { relativeError } from "../support/errors.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { Random } from "../support/random.ts";

const PIPELINE = pipelineOf("attention a { heads 2 head_dim 8 mask causal scores { conv 2x3 } }", "a");
const PARAMETERS = randomParameters(PIPELINE, 1);
const loaded = vi.fn<(kind: string) => void>();
const ARTIFACT: AutoArtifact = {
  name: "a",
  digest: "1",
  webgpu: async () => {
    loaded("webgpu");
    return { artifact: emitArtifact(PIPELINE) };
  },
  wasm: async () => {
    loaded("wasm");
    return { artifact: emitArtifact(PIPELINE, { target: "cpu" }) };
  },
};

const random = new Random(3);
const draw = (): Float64Tensor => ({
  shape: [1, 2, 19, 8],
  data: Float64Array.from(Float32Array.from(random.normals(2 * 19 * 8))),
});
const HOST = { q: draw(), k: draw(), v: draw() };
const EXPECTED = referenceForward(
  PIPELINE,
  new Map([...PARAMETERS].map(([name, { shape, data }]) => [name, { shape, data: Float64Array.from(data) }])),
  HOST,
).o.data;

/** WebGPU, on Dawn. */
let gpu: GPU;
beforeAll(async () => {
  setFlagsFromString("--experimental-wasm-relaxed-simd");
  gpu = (await openNodeGpu()).gpu;
});

/** A page: it fetches the package's files. */
beforeEach(() => {
  const serve = async (file: URL) =>
    new Response(
      new Uint8Array(
        await readFile(new URL(`../../templates/c/${basename(file.pathname)}`, import.meta.url)),
      ),
    );
  vi.stubGlobal("fetch", serve);
  vi.stubGlobal("isSecureContext", true);
  vi.stubGlobal("navigator", { hardwareConcurrency: 2 });
});
afterEach(() => {
  vi.unstubAllGlobals();
  loaded.mockReset();
});

/** One call on whatever the page has. */
async function errorOn(device: Awaited<ReturnType<typeof openDevice>>): Promise<number> {
  const launcher = await createAutoLauncher(device, ARTIFACT, PARAMETERS);
  const put = (tensor: Float64Tensor) => upload(device, tensor, "f32");
  const { o } = await launcher.forward({ q: put(HOST.q), k: put(HOST.k), v: put(HOST.v) });
  const error = relativeError(await download(device, o), EXPECTED);
  o.destroy();
  launcher.destroy();
  return error;
}

/** The adapter as one of hardware, which it is not. */
function stubGpu(isFallbackAdapter: boolean): void {
  const requestAdapter = async (): Promise<GPUAdapter | null> => {
    const adapter = await gpu.requestAdapter();
    if (adapter !== null) Object.defineProperty(adapter, "info", { value: { isFallbackAdapter } });
    return adapter;
  };
  vi.stubGlobal("navigator", { hardwareConcurrency: 2, gpu: { requestAdapter } });
}

describe("openDevice", () => {
  test("takes the GPU where there is one, and its kernels only", async () => {
    stubGpu(false);
    const device = await openDevice();
    expect(device).toMatchObject({ kind: "webgpu", reason: null });
    expect(device.gpu).not.toBeNull();
    expect(await errorOn(device)).toBeLessThan(5e-6);
    expect(loaded.mock.calls).toEqual([["webgpu"]]);
    await device.close();
  });

  test.each([
    ["the browser has no WebGPU", () => undefined, "this browser has no WebGPU"],
    ["the page is not secure", () => vi.stubGlobal("isSecureContext", false), "https"],
    [
      "it finds no GPU",
      () => vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => null } }),
      "no GPU",
    ],
    [
      "it fails to look for one",
      () => vi.stubGlobal("navigator", { gpu: { requestAdapter: () => Promise.reject(new Error("no")) } }),
      "no GPU",
    ],
    ["the GPU is the processor", () => stubGpu(true), "software"],
  ])("takes the processor where %s, and its kernels only", async (_, stub, reason) => {
    stub();
    const device = await openDevice();
    expect(device).toMatchObject({ kind: "wasm", gpu: null, reason: expect.stringContaining(reason) });
    expect(await errorOn(device)).toBeLessThan(5e-6);
    expect(loaded.mock.calls).toEqual([["wasm"]]);
    await device.close();
  });

  test("takes the processor where a GPU cannot be opened", async () => {
    const adapter = {
      info: {},
      limits: {},
      features: new Set(),
      requestDevice: () => Promise.reject(new Error("busy")),
    };
    vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => adapter } });
    const device = await openDevice();
    expect(device.kind).toBe("wasm");
    expect(device.reason).toContain("busy");
    await device.close();
  });

  test("takes what is asked for, or says why it cannot", async () => {
    stubGpu(true);
    const device = await openDevice({ kind: "webgpu" });
    expect(device.kind).toBe("webgpu");
    await device.close();
    vi.stubGlobal("navigator", {});
    await expect(openDevice({ kind: "webgpu" })).rejects.toMatchObject({ code: "MTA707" });
    vi.stubGlobal("fetch", async () => new Response(null, { status: 404 }));
    await expect(openDevice({ kind: "wasm" })).rejects.toMatchObject({ code: "MTA884" });
    await expect(openDevice({ wasm: { threads: 0 } })).rejects.toMatchObject({ code: "MTA886" });
  });
});

test("a launcher moves to a device of another kind, with its parameters", async () => {
  stubGpu(false);
  const first = await openDevice();
  const launcher = await createAutoLauncher(first, ARTIFACT, PARAMETERS);
  const halves = new Map([...PARAMETERS].map(([name, { data }]) => [name, data.map((value) => value / 2)]));
  launcher.setParameters(halves);
  await first.close();
  const second = await openDevice({ kind: "wasm" });
  const moved = await launcher.rebuild(second);
  expect(moved.device).toBe(second);
  expect(moved.plan.target).toBe("cpu");
  const [[name = "", values] = []] = halves;
  expect(moved.parameters.get(name)?.data).toEqual(values);
  await second.close();
});

test("what is no device, or lies on another, is an error with a code", async () => {
  stubGpu(false);
  const device = await openDevice({ kind: "wasm" });
  const other = await openDevice({ kind: "webgpu" });
  const launcher = await createAutoLauncher(device, ARTIFACT, PARAMETERS);
  const tensor = upload(other, HOST.q, "f32");
  await expect(launcher.forward({ q: tensor, k: tensor, v: tensor })).rejects.toMatchObject({
    code: "MTA614",
  });
  await expect(download(device, tensor)).rejects.toMatchObject({ code: "MTA614" });
  const promise = Promise.resolve(device);
  expect(() => Reflect.apply(upload, null, [promise, HOST.q, "f32"])).toThrow(
    expect.objectContaining({ code: "MTA619" }),
  );
  await other.close();
  await device.close();
});
