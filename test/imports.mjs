// Checks who imports whom: no cycles, and data flows one way (architecture: language → ir → plan → emit → cli; the
// runtime knows nothing of the compiler). Types count as well as values: a cycle of types couples files just as much.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What each folder may import, beside itself; the longest matching prefix counts. */
const ALLOWED = {
  "compiler/": ["compiler/", "runtime/"],
  "compiler/cli/": ["compiler/", "runtime/"],
  "compiler/terminal/": [],
  "compiler/report/": [
    "compiler/terminal/",
    "compiler/plan/",
    "compiler/ir/",
    "compiler/language/",
    "runtime/contract/",
  ],
  // What options may be: a leaf.
  "compiler/options.ts": ["runtime/contract/"],
  "compiler/toolchain/": ["compiler/terminal/", "runtime/contract/"],
  "compiler/compile/": [
    "compiler/options.ts",
    "compiler/emit/",
    "compiler/plan/",
    "compiler/ir/",
    "compiler/language/",
    "compiler/package.ts",
    "compiler/package-version.ts",
    "compiler/targets.ts",
    "runtime/contract/",
  ],
  "compiler/files/": ["compiler/package.ts", "runtime/contract/", "runtime/safetensors/"],
  "compiler/config/": [
    "compiler/files/",
    "compiler/language/",
    "compiler/options.ts",
    "compiler/targets.ts",
    "runtime/contract/",
  ],
  "compiler/lsp/": [
    "compiler/plan/",
    "compiler/ir/",
    "compiler/language/",
    "compiler/report/describe.ts",
    "compiler/report/units.ts",
    "compiler/targets.ts",
    "runtime/contract/",
  ],
  "compiler/plugin/": [
    "compiler/options.ts",
    "compiler/compile/",
    "compiler/config/",
    "compiler/tune/tuned-winners.ts",
    "compiler/package.ts",
    "compiler/targets.ts",
    // Writing files, and the errors of it.
    "compiler/files/",
    "compiler/emit/",
    "compiler/ir/",
    "compiler/language/",
    "runtime/contract/",
  ],
  "compiler/weights/": ["runtime/contract/", "runtime/safetensors/"],
  "compiler/execution/": [
    "compiler/files/",
    "compiler/weights/",
    "compiler/emit/",
    "compiler/plan/",
    "compiler/ir/",
    "compiler/targets.ts",
    "runtime/",
  ],
  "compiler/targets/": [
    "compiler/execution/",
    "compiler/emit/",
    "compiler/plan/",
    "compiler/ir/",
    "compiler/targets.ts",
    "runtime/",
  ],
  "compiler/tune/": [
    "compiler/package.ts",
    "compiler/report/units.ts",
    "compiler/files/",
    "compiler/execution/",
    "compiler/plan/",
    "compiler/emit/",
    "compiler/ir/",
    "compiler/language/",
    "compiler/targets.ts",
    "runtime/contract/",
    "runtime/reference/",
  ],
  "compiler/bench/": [
    "compiler/execution/",
    "compiler/tune/",
    "compiler/emit/",
    "compiler/plan/",
    "compiler/ir/",
    "compiler/language/",
    "compiler/package.ts",
    "compiler/targets.ts",
    "compiler/report/units.ts",
    "runtime/",
  ],
  "compiler/emit/": ["compiler/ir/", "runtime/contract/"],
  // Where plans are chosen for an artifact's devices; all else is told by the plan.
  "compiler/emit/artifact.ts": [
    "compiler/emit/",
    "compiler/plan/index.ts",
    "compiler/options.ts",
    "compiler/targets.ts",
    "runtime/contract/",
  ],
  // Packages for PyTorch.
  "compiler/python/": [
    "compiler/emit/",
    "compiler/ir/",
    "compiler/options.ts",
    "compiler/weights/",
    "runtime/contract/",
  ],
  "compiler/plan/": ["compiler/ir/", "compiler/options.ts", "runtime/contract/"],
  "compiler/ir/": ["compiler/language/", "runtime/contract/"],
  "compiler/language/": ["runtime/contract/"],
  "runtime/": ["runtime/"],
  "runtime/launcher/": ["runtime/contract/"],
  "runtime/webgpu/": ["runtime/contract/", "runtime/launcher/"],
  "runtime/reference/": ["runtime/contract/"],
  "runtime/safetensors/": ["runtime/contract/"],
  "runtime/cuda/": ["runtime/contract/", "runtime/emulator/", "runtime/foreign/", "runtime/launcher/"],
  "runtime/cpu/": ["runtime/contract/", "runtime/foreign/", "runtime/launcher/"],
  "runtime/wasm/": ["runtime/cpu/"],
  // Pages that choose when they run.
  "runtime/auto/": [
    "runtime/contract/",
    "runtime/cpu/",
    "runtime/launcher/",
    "runtime/wasm/",
    "runtime/webgpu/",
  ],
  "runtime/foreign/": [],
  "runtime/emulator/": ["runtime/contract/"],
  "runtime/contract/": [],
};

function sourceFiles(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
}

function importsOf(file) {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(root, file), "utf8"), true, true);
  return importedFiles
    .map(({ fileName }) => fileName)
    .filter((name) => name.startsWith("."))
    .map((name) => relative(root, resolve(root, dirname(file), name)).replaceAll("\\", "/"));
}

function layerOf(file) {
  return Object.keys(ALLOWED)
    .filter((prefix) => file.startsWith(prefix))
    .reduce((longest, prefix) => (prefix.length > longest.length ? prefix : longest), "");
}

function findLayerFaults(graph) {
  const faults = [];
  for (const [file, imports] of graph)
    for (const imported of imports) {
      const layer = layerOf(file);
      const fine = [layer, ...ALLOWED[layer]].some((prefix) => imported.startsWith(prefix));
      if (!fine) faults.push(`${file} must not import ${imported}`);
    }
  return faults;
}

/** Cycles found by depth-first search, each once. */
function findCycles(graph) {
  const cycles = [];
  const state = new Map();
  const path = [];
  const visit = (file) => {
    state.set(file, "open");
    path.push(file);
    for (const next of graph.get(file) ?? [])
      if (state.get(next) === "open") cycles.push([...path.slice(path.indexOf(next)), next].join(" → "));
      else if (!state.has(next)) visit(next);
    path.pop();
    state.set(file, "done");
  };
  for (const file of graph.keys()) if (!state.has(file)) visit(file);
  return cycles;
}

const graph = new Map(
  [...sourceFiles("compiler"), ...sourceFiles("runtime")].map((file) => [file, importsOf(file)]),
);
const faults = [...findLayerFaults(graph), ...findCycles(graph).map((cycle) => `cycle: ${cycle}`)];
for (const fault of faults) console.error(fault);
console.log(`${graph.size} files, ${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;
