// `node wasm-modules.mjs`: makes templates/c/{plain,relaxed}{,-backward}.wasm of the C sources beside them. `--check` compares instead, byte for byte.
// Needs @yowasp/clang of this very version, which is no dependency of mtac: `npm install --no-save @yowasp/clang@22.0.0-git20542-10`.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const FOLDER = new URL("templates/c/", import.meta.url);

/** Shared memory, so that threads can be had; nothing of a C library; sums and products as one operation where there is one. */
const FLAGS = [
  "--target=wasm32",
  "-std=c11",
  "-O3",
  "-msimd128",
  "-matomics",
  "-mbulk-memory",
  "-ffp-contract=fast",
  "-fno-math-errno",
  "-fno-builtin",
  // Small: what is worth unrolling, or has vectors, says so.
  "-fno-unroll-loops",
  "-fno-vectorize",
  "-fno-slp-vectorize",
  "-nostdlib",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-Wl,--no-entry,--import-memory,--shared-memory,--max-memory=4294967296,--export=__stack_pointer,--export=__heap_base,--strip-all",
];
const VARIANTS = { plain: [], relaxed: ["-mrelaxed-simd"] };
/**
 * What there is of each variant: the module that every page loads, and what those that train load, too. Both lie in one memory, so that neither may
 * have data of its own.
 */
const PASSES = { "": "wasm.c", "-backward": "wasm-backward.c" };

/** @returns {Promise<typeof import("@yowasp/clang")>} */
async function loadClang() {
  // From where the command runs: CI installs it beside the project.
  const require = createRequire(pathToFileURL(`${process.cwd()}/package.json`));
  return import(pathToFileURL(require.resolve("@yowasp/clang")).href);
}

/** Whether a module has a section of data. @param {Buffer} bytes */
function hasData(bytes) {
  for (let at = 8; at < bytes.length; ) {
    const id = bytes[at++];
    let size = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      const byte = bytes[at++] ?? 0;
      size += (byte & 0x7f) << shift;
      more = byte >= 0x80;
    }
    if (id === 11) return true;
    at += size;
  }
  return false;
}

const { runClang } = await loadClang();
const names = readdirSync(FOLDER).filter((name) => /\.[ch]$/.test(name));
const sources = Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, FOLDER))]));
const say = (/** @type {Uint8Array | null} */ bytes) => void (bytes && process.stderr.write(bytes));
let differing = 0;
const modules = Object.entries(VARIANTS).flatMap(([variant, flags]) =>
  Object.entries(PASSES).map(([pass, source]) => ({ name: variant + pass, flags, source })),
);
for (const { name, flags, source } of modules) {
  const args = ["clang", ...FLAGS, ...flags, source, "-o", "out.wasm"];
  const made = Buffer.from(
    (await runClang(args, sources, { stderr: say, fetchProgress: () => {} }))["out.wasm"],
  );
  if (hasData(made)) throw new Error(`${name}.wasm has data of its own, where other modules' memory is`);
  const file = new URL(`${name}.wasm`, FOLDER);
  if (!process.argv.includes("--check")) {
    writeFileSync(file, made);
    console.log(`${name}.wasm: ${made.length} bytes`);
  } else if (made.equals(readFileSync(file))) console.log(`${name}.wasm is what its sources give`);
  else {
    differing += 1;
    console.error(`${name}.wasm is not what its sources give: run node wasm-modules.mjs`);
  }
}
process.exitCode = differing === 0 ? 0 : 1;
