import { afterEach, expect, it, vi } from "vitest";
import { openNodeGpu } from "../../runtime/node.ts";

vi.mock("webgpu", () => {
  throw new Error("dlopen(dawn.node): symbol not found");
});

afterEach(() => vi.unstubAllGlobals());

it("where Dawn's addon cannot be loaded, Bun is named as the cause, and Node as the remedy", async () => {
  vi.stubGlobal("process", { ...process, versions: { ...process.versions, bun: "1.2.0" } });
  await expect(openNodeGpu()).rejects.toMatchObject({
    code: "MTA702",
    message: expect.stringContaining("by Bun"),
    remedy: expect.stringContaining("run this with Node"),
  });
});

it("elsewhere the addon's own error is told, with what to install", async () => {
  await expect(openNodeGpu()).rejects.toMatchObject({
    code: "MTA702",
    message: expect.stringContaining("cannot be loaded"),
    remedy: expect.stringContaining("npm install"),
  });
});
