// Builds dist/: bundles for the command line, the compiler and the runtime (esbuild), declarations (tsc).
// Every file that esbuild writes lies two folders below the package root, as the sources do, so that
// `new URL("../../templates/", import.meta.url)` means the same in both.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { builtinModules, createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, transform } from "esbuild";
import { forBrowsers } from "./browser-modules.mjs";

const root = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const output = join(root, "dist");
const staging = join(root, `dist.${process.pid}`);

/** Loaded when they are needed, from the user's node_modules; never bundled. unplugin has webpack load files of its own. */
const external = ["webgpu", "@sparticuz/chromium", "ts-morph", "koffi", "unplugin"];

/** What runs in browsers: nothing that it loads may name a Node module. */
const browserEntries = [
  "runtime/index",
  "runtime/wasm",
  "runtime/auto",
  "runtime/hot",
  "hot/wasm",
  "hot/auto",
  "compiler/browser",
];

const builtins = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));

/**
 * CommonJS packages call `require("node:events")`, which an ES module does not have: such a call becomes an import
 * of all that the module exports by name, which is what these packages use.
 * @type {import("esbuild").Plugin}
 */
export const requiredBuiltins = {
  name: "required-builtins",
  setup(context) {
    context.onResolve({ filter: /^[a-z_:/]+$/ }, ({ path, kind }) =>
      kind === "require-call" && builtins.has(path) ? { path, namespace: "builtin" } : undefined,
    );
    context.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `export * from ${JSON.stringify(path)};`,
      loader: "js",
    }));
  },
};

/**
 * The drawing library's own names tell users nothing, and shorter ones make it a third smaller. Only names within its modules:
 * what they share stays as it is.
 * @type {import("esbuild").Plugin}
 */
const shortNames = {
  name: "short-names",
  setup(context) {
    context.onLoad({ filter: /node_modules[\\/](echarts|zrender)[\\/].*\.js$/ }, async ({ path }) => {
      const { code } = await transform(readFileSync(path, "utf8"), { minify: true, format: "esm" });
      return { contents: code, loader: "js" };
    });
  },
};

const LICENCE_FILES = ["LICENSE", "LICENSE.txt", "LICENSE.md", "License.txt", "license"];

const pluginHosts = ["vite", "rollup", "rolldown", "webpack", "esbuild", "bun"];

const entryPoints = {
  "cli/main": "compiler/cli/main.ts",
  "compiler/index": "compiler/index.ts",
  "compiler/browser": "compiler/browser.ts",
  ...Object.fromEntries(pluginHosts.map((host) => [`plugin/${host}`, `compiler/plugin/${host}.ts`])),
  "runtime/index": "runtime/index.ts",
  "runtime/auto": "runtime/auto/index.ts",
  "runtime/hot": "runtime/hot.ts",
  // As deep as all others.
  "hot/wasm": "runtime/hot/wasm.ts",
  "hot/auto": "runtime/hot/auto.ts",
  "runtime/node": "runtime/node.ts",
  "runtime/cuda": "runtime/cuda/index.ts",
  "runtime/cpu": "runtime/cpu/index.ts",
  "runtime/wasm": "runtime/wasm/index.ts",
  "runtime/reference": "runtime/reference/index.ts",
};

async function bundle() {
  const missing = Object.values(entryPoints).filter((file) => !existsSync(join(root, file)));
  if (missing.length > 0) throw new Error(`entry points are missing: ${missing.join(", ")}`);
  const result = await build({
    absWorkingDir: root,
    entryPoints,
    outdir: staging,
    entryNames: "[dir]/[name]",
    chunkNames: "chunks/[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    mainFields: ["module", "main"],
    target: "node20.19",
    external,
    plugins: [requiredBuiltins, shortNames, forBrowsers],
    legalComments: "none",
    // Identifiers stay as they are, for stack traces; comments and white space cost start-up time. Without `keepNames`, whose calls have
    // side effects as far as bundlers can tell: nothing of the runtime could be dropped by who uses a part of it.
    minifySyntax: true,
    minifyWhitespace: true,
    // Node shows the whole line that threw: of a file in one line, screens full of code before the message.
    lineLimit: 160,
    metafile: true,
    logLevel: "warning",
  });
  return result.metafile;
}

/** @param {import("esbuild").Metafile} metafile @param {string} entry */
function checkBrowserEntry({ outputs }, entry) {
  const start = Object.keys(outputs).find((file) => file.endsWith(`${entry}.js`));
  const queue = [start];
  const seen = new Set();
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    for (const imported of outputs[file].imports) {
      if (!imported.external) queue.push(imported.path);
      else if (imported.kind === "import-statement")
        throw new Error(`${entry} must run in browsers, but ${file} imports "${imported.path}"`);
    }
  }
}

/**
 * The licences of what bundles contain.
 * @param {import("esbuild").Metafile} metafile
 * @returns {string}
 */
export function noticesFor(metafile) {
  const packages = new Map();
  for (const input of Object.keys(metafile.inputs)) {
    const match = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(input);
    if (match) packages.set(match[2], join(root, match[1]));
  }
  const notices = [...packages].sort().map(([name, folder]) => {
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const own = LICENCE_FILES.find((each) => existsSync(join(folder, each)));
    // Apache's licence wants the notices of others kept, too.
    const files = [own, "NOTICE"].filter((each) => each !== undefined && existsSync(join(folder, each)));
    const text = files.map((file) => `\n${readFileSync(join(folder, file), "utf8").trim()}\n`).join("");
    return `${name} ${version} (${license})\n${text}`;
  });
  return `The bundles in this folder contain the following packages.\n\n${notices.join(`\n${"-".repeat(80)}\n\n`)}`;
}

function emitDeclarations() {
  const compiler = require.resolve("typescript/lib/tsc.js");
  const types = relative(root, join(staging, "types"));
  execFileSync(process.execPath, [compiler, "-p", "tsconfig.types.json", "--outDir", types], {
    cwd: root,
    stdio: "inherit",
  });
}

/**
 * From TypeScript 6 on, its own DOM types describe WebGPU, and those of `@webgpu/types` contradict them: package.json offers such
 * versions declarations that do not refer to the latter.
 */
function writeDeclarationsForDom() {
  for (const name of ["index", "node", "auto/index"]) {
    const text = readFileSync(join(staging, `types/runtime/${name}.d.ts`), "utf8");
    const lines = text.split("\n").filter((line) => !line.startsWith('/// <reference types="@webgpu/types"'));
    if (lines.length === text.split("\n").length)
      throw new Error(`types/runtime/${name}.d.ts refers to no WebGPU types`);
    writeFileSync(join(staging, `types/runtime/${name}.dom.d.ts`), lines.join("\n"));
  }
}

/** The C library goes into the cache, where there is a compiler: the first program that computes with it starts at once. */
async function compileForThisProcessor() {
  const { openCpu } = await import(pathToFileURL(join(output, "runtime/cpu.js")).href);
  const device = await openCpu();
  await device.close();
}

async function buildPackage() {
  try {
    const metafile = await bundle();
    for (const entry of browserEntries) checkBrowserEntry(metafile, entry);
    writeFileSync(join(staging, "THIRD_PARTY_NOTICES.txt"), noticesFor(metafile));
    emitDeclarations();
    writeDeclarationsForDom();
    chmodSync(join(staging, "cli/main.js"), 0o755);
    // Other programs' processes and pages run these: they stay files.
    cpSync(join(root, "compiler/bench/peers/programs"), join(staging, "peers"), { recursive: true });
    // A build that fails leaves the previous one as it was.
    rmSync(output, { recursive: true, force: true });
    renameSync(staging, output);
    await compileForThisProcessor();
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

// The editor extension's build imports this file for what both share.
const [, program] = process.argv;
if (program !== undefined && realpathSync(program) === fileURLToPath(import.meta.url)) await buildPackage();
