import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { hasNodeGpu, openNodeGpu } from "../../runtime/node.ts";
import { unpackSwiftShader } from "../../runtime/webgpu/swiftshader.ts";
import { withoutDriverNoise } from "../support/driver-noise.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

interface Ended {
  readonly status: number | null;
  readonly output: string;
  readonly complaints: string;
}

function runChild(program: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--expose-gc", "--import", "tsx", path.join(ROOT, program)], {
      cwd: ROOT,
      timeout: 30_000,
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    let errors = "";
    child.stderr.on("data", (chunk: Buffer) => {
      errors += chunk.toString();
    });
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output, complaints: withoutDriverNoise(errors).trim() }));
  });
}

it("lets the process exit by itself, quietly", async () => {
  const { status, output, complaints } = await runChild("test/webgpu-runtime/exits.ts");
  expect(output).toBe("0 2 6 12\n");
  expect(complaints).toBe("");
  expect(status).toBe(0);
});

it("keeps global scope and environment as they were", async () => {
  const before = { ...process.env };
  const { adapter, description } = await openNodeGpu({ fallback: "always" });
  expect(adapter.info.isFallbackAdapter).toBe(true);
  expect(description).toMatch(/SwiftShader/i);
  expect(process.env).toEqual(before);
  expect("GPUBufferUsage" in globalThis).toBe(false);
});

it("takes no software for a GPU", async () => {
  const found = await openNodeGpu({ fallback: "never" }).catch((error: unknown) => error);
  if (await hasNodeGpu()) expect(found).toMatchObject({ isFallback: false });
  else expect(found).toMatchObject({ code: expect.stringMatching(/^MTA70[12]$/) });
});

it("unpacks SwiftShader once, whole, and again when it is gone", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "mtac-test-"));
  try {
    const { manifest } = unpackSwiftShader(folder);
    const version = path.basename(path.dirname(manifest));
    expect(version).toMatch(/^swiftshader-\d+\.\d+/);
    expect(fs.readdirSync(folder)).toEqual([version]);
    const { mtimeMs } = fs.statSync(manifest);
    unpackSwiftShader(folder);
    expect(fs.statSync(manifest).mtimeMs).toBe(mtimeMs);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

it("explains a cache folder that cannot be written", () => {
  expect(() => unpackSwiftShader("/dev/null/cache")).toThrow(
    expect.objectContaining({ code: "MTA703", remedy: expect.stringContaining("XDG_CACHE_HOME") }),
  );
});
