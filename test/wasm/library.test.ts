import { readFile } from "node:fs/promises";
import { setFlagsFromString } from "node:v8";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { emitArtifact } from "../../compiler/emit/index.ts";
import type { Float64Tensor } from "../../runtime/contract/index.ts";
import { randomParameters } from "../../runtime/contract/init.ts";
import { CpuDevice } from "../../runtime/cpu/device.ts";
import { createCpuLauncher } from "../../runtime/cpu/launcher.ts";
import type { CpuLibrary } from "../../runtime/cpu/library.ts";
import { download, upload } from "../../runtime/cpu/tensors.ts";
import { openWasm, type WasmHost } from "../../runtime/cpu/wasm/library.ts";
import { openNodeWasm } from "../../runtime/cpu/wasm/node.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { openWasm as openPage } from "../../runtime/wasm/open.ts";
import { relativeError } from "../support/errors.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { Random } from "../support/random.ts";

const PIPELINE = pipelineOf("attention a { heads 2 head_dim 8 mask causal scores { conv 2x3 } }", "a");
const FILES = new URL("../../templates/c/", import.meta.url);

const read: WasmHost["read"] = async (name) => new Uint8Array(await readFile(new URL(`${name}.wasm`, FILES)));

beforeAll(() => setFlagsFromString("--experimental-wasm-relaxed-simd"));
afterEach(() => vi.unstubAllGlobals());

/** ‖o − reference‖ / ‖reference‖ of a call in a library, which is closed then. */
async function errorOf(library: CpuLibrary): Promise<number> {
  const device = new CpuDevice(library);
  const random = new Random(3);
  const draw = (): Float64Tensor => ({
    shape: [1, 2, 37, 8],
    data: Float64Array.from(Float32Array.from(random.normals(2 * 37 * 8))),
  });
  const host = { q: draw(), k: draw(), v: draw() };
  const parameters = randomParameters(PIPELINE, 1);
  const launcher = await createCpuLauncher(device, emitArtifact(PIPELINE, { target: "cpu" }), parameters);
  const put = (tensor: Float64Tensor) => upload(device, tensor, "f32");
  const { o } = await launcher.forward({ q: put(host.q), k: put(host.k), v: put(host.v) });
  const values = new Map(
    [...parameters].map(([name, { shape, data }]) => [name, { shape, data: Float64Array.from(data) }]),
  );
  const actual = await download(device, o);
  await device.close();
  return relativeError(actual, referenceForward(PIPELINE, values, host).o.data);
}

/** An engine that refuses some memories. */
function stubMemory(refuses: (descriptor: WebAssembly.MemoryDescriptor) => boolean): void {
  const { Memory } = WebAssembly;
  const Choosy = class extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      if (refuses(descriptor)) throw new RangeError("could not allocate memory");
      super(descriptor);
    }
  };
  vi.stubGlobal("WebAssembly", Object.assign(Object.create(WebAssembly), { Memory: Choosy }));
}

test("threads start where they can", async () => {
  const library = await openNodeWasm(3);
  expect(library.threads).toBe(3);
  expect(await errorOf(library)).toBeLessThan(5e-6);
});

test("an engine that shares no memory computes on one thread", async () => {
  stubMemory(({ shared }) => shared === true);
  const library = await openNodeWasm(3);
  expect(library.threads).toBe(1);
  expect(await errorOf(library)).toBeLessThan(5e-6);
});

test("an engine that keeps no 4 GiB of addresses gets less", async () => {
  stubMemory(({ maximum = 0 }) => maximum > 2 ** 14);
  const library = await openNodeWasm(2);
  expect(library.threads).toBe(2);
  expect(await errorOf(library)).toBeLessThan(5e-6);
});

test.each([
  [
    "at once",
    () => {
      throw new Error("the policy forbids it");
    },
  ],
  [
    "later",
    () => ({
      ready: Promise.reject(new Error("the policy forbids it")),
      compute: () => Promise.reject(new Error("it never started")),
      end: () => undefined,
    }),
  ],
] satisfies readonly [string, () => ReturnType<NonNullable<WasmHost["start"]>>][])(
  "threads that fail to start, %s, are done without",
  async (_, start) => {
    const library = await openWasm({ read, start, threads: 4 });
    expect(library.threads).toBe(1);
    expect(await errorOf(library)).toBeLessThan(5e-6);
  },
);

test("fetches one module: the fastest that the engine takes", async () => {
  const fetched: string[] = [];
  const host: WasmHost = {
    read: async (name) => {
      fetched.push(name);
      return read(name);
    },
    start: null,
    threads: 1,
  };
  expect((await openWasm(host)).description).toContain("relaxed");
  // The probe of relaxed SIMD ends so.
  const validate = (bytes: Uint8Array): boolean => !(bytes[bytes.length - 3] === 0x85);
  vi.stubGlobal("WebAssembly", Object.assign(Object.create(WebAssembly), { validate }));
  const plain = await openWasm(host);
  expect(plain.description).not.toContain("relaxed");
  expect(await errorOf(plain)).toBeLessThan(5e-6);
  expect(fetched).toEqual(["relaxed", "plain"]);
});

test("what computes gradients is fetched when it is asked for, once it can be", async () => {
  const fetched: string[] = [];
  let served = false;
  const host: WasmHost = {
    read: async (name) => {
      fetched.push(name);
      if (name.endsWith("-backward") && !served) throw new Error("not served");
      return read(name);
    },
    start: null,
    threads: 1,
  };
  const library = await openWasm(host);
  await expect(library.backward()).rejects.toThrow("not served");
  served = true;
  expect(await library.backward()).toBe(await library.backward());
  expect(fetched).toEqual(["relaxed", "relaxed-backward", "relaxed-backward"]);
  await library.close();
});

test("an engine without WebAssembly, or without SIMD, is an error with a code", async () => {
  const host: WasmHost = { read, start: null, threads: 1 };
  vi.stubGlobal("WebAssembly", undefined);
  await expect(openWasm(host)).rejects.toMatchObject({ code: "MTA885" });
  vi.stubGlobal("WebAssembly", { validate: () => false });
  await expect(openWasm(host)).rejects.toMatchObject({ code: "MTA885" });
});

test("what is no module, or may not be compiled, is an error that says how to mend it", async () => {
  const host: WasmHost = { read: async () => new Uint8Array(8), start: null, threads: 1 };
  await expect(openWasm(host)).rejects.toMatchObject({ code: "MTA884" });
  const compile = () =>
    Promise.reject(new Error("Wasm code generation disallowed by this page's Content Security Policy"));
  vi.stubGlobal("WebAssembly", Object.assign(Object.create(WebAssembly), { compile }));
  await expect(openWasm({ ...host, read })).rejects.toMatchObject({
    code: "MTA884",
    remedy: expect.stringContaining("'wasm-unsafe-eval'"),
  });
});

test("elsewhere than in a page, or where nothing is served, `openWasm` says so", async () => {
  await expect(openPage()).rejects.toMatchObject({
    code: "MTA884",
    remedy: expect.stringContaining("openCpu"),
  });
  vi.stubGlobal("fetch", async () => new Response(null, { status: 404, statusText: "Not Found" }));
  const modules = { relaxed: "https://a.test/relaxed.wasm", plain: "https://a.test/plain.wasm" };
  await expect(openPage({ modules })).rejects.toMatchObject({
    code: "MTA884",
    message: expect.stringContaining("404"),
    remedy: expect.stringContaining("modules"),
  });
});
