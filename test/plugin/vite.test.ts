import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { createServer, type ViteDevServer } from "vite";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { packageVersion } from "../../compiler/package.ts";
import mtac from "../../compiler/plugin/vite.ts";
import { exportTuning } from "../../compiler/tune/export.ts";
import { project } from "./hosts.ts";

const folder = project();
const spec = join(folder, "spec.mta");
const original = readFileSync(spec, "utf8");
const tuning = join(folder, "tuning.json");
const results = JSON.stringify(exportTuning([], { mtac: packageVersion() }));
let server: ViteDevServer;
const sent = vi.fn<(...payload: readonly unknown[]) => void>();

beforeAll(async () => {
  writeFileSync(tuning, results);
  server = await createServer({
    root: folder,
    configFile: false,
    logLevel: "silent",
    plugins: [mtac({ tuning })],
    // What the watcher would say is said by the tests, at once.
    server: { middlewareMode: true, ws: false, watch: null },
  });
  vi.spyOn(server.environments.client.hot, "send").mockImplementation(sent);
});
afterAll(() => server.close());

async function load(url: string) {
  const result = await server.transformRequest(url);
  if (result === null) throw new Error(`Vite has no ${url}`);
  return result;
}

/** Waits for what the server tells pages after a change. */
async function afterChange(text: string, file = spec): Promise<unknown> {
  sent.mockClear();
  writeFileSync(file, text);
  server.watcher.emit("change", file);
  await vi.waitFor(() => expect(sent).toHaveBeenCalled(), { timeout: 10_000 });
  return sent.mock.calls[0]?.[0];
}

describe("Vite's development server", () => {
  test("serves a spec as a module that accepts its own changes", async () => {
    const { code } = await load("/spec.mta");
    expect(code).toContain("import.meta.hot.accept()");
    expect(code).toContain("/spec.mta?import&mtac=used");
    expect(code).toContain('publish("spec.mta"');
    const launcher = await load("/spec.mta?mtac=used");
    expect(launcher.code).toContain("/runtime/hot.js");
  });

  test("serves kernels with a map to the spec's lines", async () => {
    const { code, map } = await load("/spec.mta?mtac=used.kernels");
    const trace = new TraceMap(JSON.stringify(map));
    const line = code.split("\n").findIndex((each) => each.includes("block = scores_conv(")) + 1;
    expect(originalPositionFor(trace, { line, column: 8 })).toMatchObject({ line: 5, source: "spec.mta" });
  });

  test("writes the spec's types beside it, once", async () => {
    await load("/spec.mta");
    const file = `${spec}.d.ts`;
    expect(readFileSync(file, "utf8")).toContain("export declare function createUsed(");
    const { ino } = statSync(file);
    server.moduleGraph.invalidateAll();
    await load("/spec.mta");
    expect(statSync(file).ino).toBe(ino);
    expect(existsSync(join(folder, "spec.d.mta.ts"))).toBe(false);
  });

  test("sends an update for a changed spec, an error for a broken one, an update for the mended one", async () => {
    await load("/main.js");
    await load("/spec.mta");
    const updated = { type: "update", updates: [{ path: "/spec.mta", acceptedPath: "/spec.mta" }] };
    expect(await afterChange(original.replace("2x3", "3x3"))).toMatchObject(updated);
    await load("/spec.mta");
    const broken = await afterChange(original.replace("head_dim 8", "head_dimm 8"));
    expect(broken).toMatchObject({
      type: "error",
      err: {
        plugin: "mtac",
        id: spec,
        message: expect.stringMatching(/^MTA\d+: .*head_dimm.*\n.*fix: .*head_dim/s),
        loc: { file: spec, line: 4, column: 2 },
        frame: expect.stringContaining("4 |   head_dimm 8\n    |   ^^^^^^^^^"),
      },
    });
    expect(await afterChange(original)).toMatchObject(updated);
  });

  test("does so for a file that a build depends on, too", async () => {
    await load("/main.js");
    await load("/spec.mta");
    const broken = {
      type: "error",
      err: { id: spec, message: expect.stringMatching(/^MTA874: .*tuning\.json/) },
    };
    expect(await afterChange("{}", tuning)).toMatchObject(broken);
    const updated = { type: "update", updates: [{ path: "/spec.mta", acceptedPath: "/spec.mta" }] };
    expect(await afterChange(results, tuning)).toMatchObject(updated);
  });
});
