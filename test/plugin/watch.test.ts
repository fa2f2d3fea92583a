import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { context } from "esbuild";
import { watch as watchRollup } from "rollup";
import { describe, expect, test, vi } from "vitest";
import webpack from "webpack";
import mtacEsbuild from "../../compiler/plugin/esbuild.ts";
import type { PluginOptions } from "../../compiler/plugin/options.ts";
import mtacRollup from "../../compiler/plugin/rollup.ts";
import mtacWebpack from "../../compiler/plugin/webpack.ts";
import { project } from "./hosts.ts";

const OPTIONS: PluginOptions = { types: false };

/** Starts a build that watches; `ended` is told of the end of each build, with its errors. */
type Watcher = (folder: string, ended: (errors: string) => void) => Promise<() => Promise<unknown>>;

const WATCHERS: Readonly<Record<string, Watcher>> = {
  esbuild: async (folder, ended) => {
    const building = await context({
      entryPoints: [join(folder, "main.js")],
      bundle: true,
      format: "esm",
      outfile: join(folder, "out/out.js"),
      logLevel: "silent",
      plugins: [
        mtacEsbuild(OPTIONS),
        {
          name: "ends",
          setup: ({ onEnd }) => onEnd(({ errors }) => ended(errors.map(({ text }) => text).join("\n"))),
        },
      ],
    });
    await building.watch();
    return () => building.dispose();
  },
  rollup: async (folder, ended) => {
    const watcher = watchRollup({
      input: join(folder, "main.js"),
      external: /^mtac\//,
      plugins: [mtacRollup(OPTIONS)],
      output: { file: join(folder, "out/out.js") },
      watch: { buildDelay: 10 },
    });
    watcher.on("event", (event) => {
      if (event.code === "ERROR") ended(event.error.message);
      if (event.code === "BUNDLE_END") ended("");
    });
    return () => watcher.close();
  },
  webpack: async (folder, ended) => {
    const compiler = webpack({
      mode: "development",
      context: folder,
      entry: "./main.js",
      output: { path: join(folder, "out"), filename: "out.js" },
      plugins: [mtacWebpack(OPTIONS)],
    });
    const watching = compiler.watch({ aggregateTimeout: 10 }, (error, stats) =>
      ended(
        error?.message ??
          stats
            ?.toJson({ all: false, errors: true })
            .errors?.map(({ message }) => message)
            .join("\n") ??
          "",
      ),
    );
    return () => new Promise((resolve) => watching?.close(resolve));
  },
};

describe.each(Object.entries(WATCHERS))("%s, watching", (_name, start) => {
  test("builds again when the spec changes, when it is broken and when it is mended", async () => {
    const folder = project();
    const spec = join(folder, "spec.mta");
    const original = readFileSync(spec, "utf8");
    mkdirSync(join(folder, "out"));
    const ends: string[] = [];
    const close = await start(folder, (errors) => void ends.push(errors));
    /** The last build ended with such errors; without any, its output holds a text. */
    const settled = (errors: RegExp, text?: string): Promise<void> =>
      vi.waitFor(
        () => {
          expect(ends.at(-1)).toMatch(errors);
          if (text !== undefined) expect(readFileSync(join(folder, "out/out.js"), "utf8")).toContain(text);
        },
        { timeout: 15_000, interval: 20 },
      );
    try {
      await settled(/^$/, "conv 2x3");
      writeFileSync(spec, original.replace("conv 2x3", "conv 2x5"));
      await settled(/^$/, "conv 2x5");
      writeFileSync(spec, original.replace("conv 2x3", "konv 2x3"));
      await settled(/MTA\d+/);
      writeFileSync(spec, original);
      await settled(/^$/, "conv 2x3");
    } finally {
      await close();
    }
  });
});
