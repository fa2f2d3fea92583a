import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as esbuild, transform } from "esbuild";
import { rolldown } from "rolldown";
import { rollup } from "rollup";
import { build as viteBuild } from "vite";
import { afterAll } from "vitest";
import webpack, { type Configuration } from "webpack";
import mtacEsbuild from "../../compiler/plugin/esbuild.ts";
import type { PluginOptions } from "../../compiler/plugin/options.ts";
import mtacRolldown from "../../compiler/plugin/rolldown.ts";
import mtacRollup from "../../compiler/plugin/rollup.ts";
import mtacVite from "../../compiler/plugin/vite.ts";
import mtacWebpack from "../../compiler/plugin/webpack.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What a bundler made of `main.js`, and what it had to say. */
export interface Bundle {
  readonly code: string;
  readonly map: string;
  readonly warnings: readonly string[];
}

export type Bundler = (folder: string, options?: PluginOptions) => Promise<Bundle>;

/** A project of its own: the fixture, and mtac installed as it is built here. */
export function project(): string {
  const folder = mkdtempSync(join(tmpdir(), "mtac-plugin-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(ROOT, "test/plugin/fixture"), folder, { recursive: true });
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(ROOT, join(folder, "node_modules/mtac"), "dir");
  return folder;
}

/** Rolldown warns of plugins that take long, which all do on a busy machine. */
export const NO_TIMINGS = { bundlerTimings: false };

/** Every bundler, minified, with source maps. */
export const BUNDLERS: Readonly<Record<string, Bundler>> = {
  vite: async (folder, options) => {
    const warnings: string[] = [];
    const result = await viteBuild({
      root: folder,
      configFile: false,
      logLevel: "silent",
      plugins: [mtacVite(options)],
      build: {
        write: false,
        sourcemap: true,
        rolldownOptions: {
          input: join(folder, "main.js"),
          checks: NO_TIMINGS,
          onwarn: ({ message }) => void warnings.push(message),
        },
      },
    });
    if (!("output" in result)) throw new Error("Vite gives no output");
    return { ...firstChunk(result), warnings };
  },
  rollup: async (folder, options) => {
    const warnings: string[] = [];
    const bundle = await rollup({
      input: join(folder, "main.js"),
      plugins: [mtacRollup(options), RUNTIME],
      onwarn: ({ message }) => void warnings.push(message),
    });
    const { code, map } = firstChunk(
      await bundle.generate({ sourcemap: true, file: join(folder, "out.js") }),
    );
    // Rollup does not minify: its users do so with another tool.
    const small = await transform(code, { minify: true, format: "esm" });
    return { code: small.code, map, warnings };
  },
  rolldown: async (folder, options) => {
    const warnings: string[] = [];
    const bundle = await rolldown({
      input: join(folder, "main.js"),
      plugins: [mtacRolldown(options)],
      checks: NO_TIMINGS,
      onwarn: ({ message }) => void warnings.push(message),
    });
    const output = await bundle.generate({ sourcemap: true, minify: true, file: join(folder, "out.js") });
    return { ...firstChunk(output), warnings };
  },
  esbuild: async (folder, options) => {
    const { outputFiles, warnings } = await esbuild({
      entryPoints: [join(folder, "main.js")],
      absWorkingDir: folder,
      bundle: true,
      format: "esm",
      minify: true,
      sourcemap: "external",
      write: false,
      outfile: "out.js",
      logLevel: "silent",
      plugins: [mtacEsbuild(options)],
    });
    const text = (ending: string): string =>
      outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? "";
    return { code: text(".js"), map: text(".map"), warnings: warnings.map((warning) => warning.text) };
  },
  webpack: async (folder, options) => {
    const warnings = await runWebpack({
      mode: "production",
      context: folder,
      entry: "./main.js",
      devtool: "source-map",
      output: { path: join(folder, "out"), filename: "out.js" },
      plugins: [mtacWebpack(options)],
    });
    const text = (name: string): string => readFileSync(join(folder, "out", name), "utf8");
    return { code: text("out.js"), map: text("out.js.map"), warnings };
  },
};

/** Runs webpack; gives its warnings. */
export function runWebpack(configuration: Configuration): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    webpack(configuration, (error, stats) => {
      const { errors = [], warnings = [] } =
        stats?.toJson({ all: false, errors: true, warnings: true }) ?? {};
      const [first] = errors;
      if (error != null) reject(error);
      else if (first !== undefined) reject(new Error(`${errors.length} errors: ${first.message}`));
      else resolve(warnings.map(({ message }) => message));
    });
  });
}

/** Rollup itself knows nothing of packages. */
export const RUNTIME = {
  name: "runtime",
  resolveId: (source: string) => {
    const [, name] = /^mtac\/runtime(?:\/(\w+))?$/.exec(source) ?? [];
    return source.startsWith("mtac/runtime") ? join(ROOT, `dist/runtime/${name ?? "index"}.js`) : null;
  },
};

/** As much of an output as all of Rollup's kin have. */
interface Output {
  readonly output: readonly [{ readonly code: string; readonly map: object | null }, ...unknown[]];
}

function firstChunk({ output }: Output): Omit<Bundle, "warnings"> {
  const [{ code, map }] = output;
  return { code, map: JSON.stringify(map) };
}
