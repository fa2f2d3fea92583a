import { afterEach, describe, expect, test, vi } from "vitest";
import { openBrowserGpu } from "../../runtime/index.ts";
import { describeAdapter } from "../../runtime/webgpu/adapter-name.ts";

/** As little of an adapter as `openBrowserGpu` reads. */
function fakeAdapter(
  options: { lost?: Promise<{ reason: string; message: string }>; refuses?: boolean } = {},
) {
  const lost = options.lost ?? new Promise(() => undefined);
  const device = { lost, queue: {}, createBuffer: () => ({}) };
  return {
    info: { vendor: "acme", architecture: "gpu-9", device: "", description: "", isFallbackAdapter: false },
    features: new Set(["shader-f16"]),
    limits: new Proxy({}, { get: () => 65_536 }),
    requestDevice: vi.fn(async (_descriptor: object) => {
      if (options.refuses === true) throw new Error("the adapter was consumed");
      return device;
    }),
    device,
  };
}

function browserWith(gpu: object | undefined, isSecureContext: boolean | undefined = true): void {
  vi.stubGlobal("navigator", gpu === undefined ? {} : { gpu });
  vi.stubGlobal("isSecureContext", isSecureContext);
}

afterEach(() => vi.unstubAllGlobals());

describe("openBrowserGpu", () => {
  test("opens the fast adapter, with the caller's options for the device", async () => {
    const adapter = fakeAdapter();
    const requestAdapter = vi.fn(async () => adapter);
    browserWith({ requestAdapter });
    const opened = await openBrowserGpu({ label: "mine", limits: { maxBufferSize: 1024 } });
    expect(opened.device).toBe(adapter.device);
    expect(opened.adapter).toBe(adapter);
    expect(opened).toMatchObject({ description: "acme gpu-9", isFallback: false });
    expect(requestAdapter).toHaveBeenCalledWith({ powerPreference: "high-performance" });
    expect(adapter.requestDevice).toHaveBeenCalledWith(
      expect.objectContaining({
        label: "mine",
        requiredFeatures: ["shader-f16"],
        requiredLimits: expect.objectContaining({ maxBufferSize: 1024 }),
      }),
    );
  });

  test("says that a browser has no WebGPU", async () => {
    browserWith(undefined);
    await expect(openBrowserGpu()).rejects.toMatchObject({
      name: "GpuError",
      code: "MTA707",
      kind: "device",
      message: "this browser has no WebGPU",
      remedy: expect.stringContaining("Chrome"),
    });
  });

  test("says that this is no browser, and what to do in Node", async () => {
    for (const navigator of [undefined, {}]) {
      vi.stubGlobal("navigator", navigator);
      await expect(openBrowserGpu()).rejects.toMatchObject({
        code: "MTA707",
        remedy: expect.stringContaining("openNodeGpu"),
      });
    }
  });

  test("says that a page was not loaded over https", async () => {
    browserWith(undefined, false);
    await expect(openBrowserGpu()).rejects.toMatchObject({
      code: "MTA708",
      message: expect.stringContaining("https"),
      remedy: expect.stringContaining("localhost"),
    });
  });

  test("says that there is no adapter, or why", async () => {
    browserWith({ requestAdapter: async () => null });
    await expect(openBrowserGpu()).rejects.toMatchObject({
      code: "MTA701",
      message: expect.stringContaining("found no GPU"),
    });
    browserWith({
      requestAdapter: async () => {
        throw new TypeError("blocked");
      },
    });
    await expect(openBrowserGpu()).rejects.toMatchObject({
      code: "MTA701",
      message: expect.stringContaining("blocked"),
    });
  });

  test("refuses a device that comes back lost, and what the adapter refuses", async () => {
    const lost = Promise.resolve({ reason: "unknown", message: "the GPU process died" });
    browserWith({ requestAdapter: async () => fakeAdapter({ lost }) });
    await expect(openBrowserGpu()).rejects.toMatchObject({
      code: "MTA709",
      message: expect.stringContaining("the GPU process died"),
      remedy: expect.stringContaining("load the page again"),
    });
    browserWith({ requestAdapter: async () => fakeAdapter({ refuses: true }) });
    await expect(openBrowserGpu()).rejects.toMatchObject({ code: "MTA704" });
    browserWith({ requestAdapter: async () => fakeAdapter() });
    await expect(openBrowserGpu({ features: ["subgroups"] })).rejects.toMatchObject({ code: "MTA706" });
  });
});

test("adapters are named by what they tell", () => {
  const name = (parts: Partial<Omit<GPUAdapterInfo, "__brand">>): string =>
    describeAdapter({
      __brand: "GPUAdapterInfo",
      vendor: "",
      architecture: "",
      device: "",
      description: "",
      subgroupMinSize: 4,
      subgroupMaxSize: 64,
      isFallbackAdapter: false,
      ...parts,
    });
  expect(name({ vendor: "google", architecture: "swiftshader", description: "SwiftShader 5" })).toBe(
    "SwiftShader 5 (google swiftshader)",
  );
  expect(name({ vendor: "nvidia", architecture: "ampere" })).toBe("nvidia ampere");
  expect(name({ device: "0x10de" })).toBe("0x10de");
  expect(name({})).toBe("unnamed adapter");
});
