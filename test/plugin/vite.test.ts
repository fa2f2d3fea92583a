import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { transform } from "esbuild";
import { createServer, type ViteDevServer } from "vite";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { isRecord } from "../../compiler/language/builder-reader.ts";
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
  return vi.waitFor(
    () => {
      // That modules are gone which nobody imports any more is said whenever Vite notices it.
      const told = sent.mock.calls.map(([payload]) => payload);
      const news = told.find((payload) => !(isRecord(payload) && payload["type"] === "prune"));
      expect(news).toBeDefined();
      return news;
    },
    { timeout: 10_000 },
  );
}

function importOf(code: string, pattern: RegExp): string {
  const [, address] = pattern.exec(code) ?? [];
  if (address === undefined) throw new Error(`no import ${pattern} in\n${code}`);
  return address;
}

// Browsers cut addresses at `#` and `?`, so such specs are served under names without.
describe.each(["a#b.mta", "a?b.mta", "#.mta", "a~23b#c.mta", "50%#.mta"])("a spec named %s", (name) => {
  const own = project();
  const file = join(own, name);
  let server: ViteDevServer;
  const sent = vi.fn<(...payload: readonly unknown[]) => void>();
  beforeAll(async () => {
    renameSync(join(own, "spec.mta"), file);
    const main = readFileSync(join(own, "main.js"), "utf8");
    writeFileSync(join(own, "main.js"), main.replace("./spec.mta", `./${name}`));
    server = await createServer({
      root: own,
      configFile: false,
      logLevel: "silent",
      plugins: [mtac({ types: false })],
      server: { port: 0, ws: false, watch: null },
    });
    await server.listen();
    vi.spyOn(server.environments.client.hot, "send").mockImplementation(sent);
  });
  afterAll(() => server.close());

  /** The text of an address, as browsers fetch it: without what stands behind a `#`. */
  async function fetched(address: string): Promise<string> {
    const response = await fetch(new URL(address, server.resolvedUrls?.local[0]));
    expect(response.status, address).toBe(200);
    return response.text();
  }

  test("is served under addresses that browsers leave whole, and follows its changes", async () => {
    const facade = await fetched(importOf(await fetched("/main.js"), /from "([^"]*\.mta[^"]*)"/));
    expect(facade).toContain(`publish("${name}"`);
    expect(facade).toContain("import.meta.hot.accept()");
    const address = importOf(facade, /from "([^"]*mtac=used\.kernels[^"]*)"/);
    const kernels = await fetched(address);
    expect(kernels).toContain("block = scores_conv(");
    writeFileSync(file, readFileSync(file, "utf8").replace("heads 2", "heads 4"));
    server.watcher.emit("change", file);
    await vi.waitFor(() => expect(sent).toHaveBeenCalled(), { timeout: 10_000 });
    expect(sent.mock.calls[0]?.[0]).toMatchObject({ type: "update" });
    expect(await fetched(address)).not.toBe(kernels);
  });
});

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

  test("sends the text of a broken spec to those who want the text", async () => {
    writeFileSync(
      join(folder, "text.js"),
      'import text from "./spec.mta?raw"; import.meta.hot.accept(); text;',
    );
    await load("/text.js");
    await load("/spec.mta?raw");
    sent.mockClear();
    const broken = original.replace("head_dim 8", "head_dimm 8");
    expect(await afterChange(broken)).toMatchObject({ type: "error" });
    await vi.waitFor(() => expect(sent).toHaveBeenCalledTimes(2));
    expect(sent.mock.calls[1]?.[0]).toMatchObject({
      type: "update",
      updates: [{ acceptedPath: "/text.js" }],
    });
    await afterChange(original);
  });

  test("says in the terminal, too, where an error stands", async () => {
    const { logger } = server.environments.client;
    const error = vi.spyOn(logger, "error").mockImplementation(() => undefined);
    await load("/spec.mta");
    await afterChange(original.replace("head_dim 8", "head_dimm 8"));
    await vi.waitFor(() =>
      expect(error).toHaveBeenCalledWith(expect.stringContaining(`File: ${spec}:4:3\n`), expect.anything()),
    );
    error.mockRestore();
    await afterChange(original);
  });

  test("serves a spec that has no attention yet", async () => {
    const empty = join(folder, "empty.mta");
    writeFileSync(empty, "// Soon.\n");
    const { code } = await load("/empty.mta");
    expect(code).toContain('publish("empty.mta"');
    // Parses: there is no list of exports without one.
    await expect(transform(code, { format: "esm" })).resolves.toBeDefined();
  });

  test("reloads no page on behalf of an attention that is gone, and knows it anew when it comes back", async () => {
    const both = `${original}\nattention guest { heads 1 head_dim 8 }\n`;
    const part = "/spec.mta?mtac=guest.kernels";
    await load("/main.js");
    await load("/spec.mta");
    await afterChange(both);
    await load("/spec.mta");
    expect((await load(part)).code).toContain("head_dim 8");
    await afterChange(original);
    await load("/spec.mta");
    const changed = original.replace("head_dim 8", "head_dim 16");
    expect(await afterChange(changed)).toMatchObject({ type: "update" });
    await load("/spec.mta");
    await afterChange(both.replace("heads 1 head_dim 8", "heads 1 head_dim 24"));
    await load("/spec.mta");
    expect((await load(part)).code).toContain("head_dim 24");
    await afterChange(original);
  });

  test("loads pages again when names come back that they may have asked for in vain", async () => {
    const renamed = original.replaceAll(/\bused\b/g, "renamed");
    await load("/main.js");
    expect((await load("/spec.mta")).code).toContain("createUsed");
    // The page loads again, lacks a name, and runs nothing: it would hear of no update.
    expect(await afterChange(renamed)).toMatchObject({ type: "full-reload" });
    const { code } = await load("/spec.mta");
    expect(code).toContain("createRenamed");
    expect(code).not.toContain("createUsed");
    expect(await afterChange(original)).toMatchObject({ type: "full-reload" });
    expect((await load("/spec.mta")).code).toContain("createUsed");
    // Kernels alone: an update, as ever.
    expect(await afterChange(original.replace("2x3", "3x3"))).toMatchObject({ type: "update" });
    await load("/spec.mta");
    await afterChange(original);
    await load("/spec.mta");
  });

  test("tells pages that were opened on a broken spec that it is mended", async () => {
    const broken = original.replace("head_dim 8", "head_dimm 8");
    const late = join(folder, "late.mta");
    writeFileSync(late, broken);
    writeFileSync(join(folder, "late.js"), 'import { create } from "./late.mta"; create;');
    await load("/late.js");
    await expect(server.transformRequest("/late.mta")).rejects.toThrow(/MTA\d+/);
    expect(await afterChange(original, late)).toMatchObject({ type: "full-reload" });
  });
});
