// `node wasm-modules.mjs`: makes templates/c/{plain,relaxed}.wasm of the C sources beside them. `--check` compares instead, byte for byte.
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
  "-nostdlib",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-Wl,--no-entry,--import-memory,--shared-memory,--max-memory=4294967296,--export=__stack_pointer,--export=__heap_base,--strip-all",
];
const MODULES = { plain: [], relaxed: ["-mrelaxed-simd"] };

/** @returns {Promise<typeof import("@yowasp/clang")>} */
async function loadClang() {
  // From where the command runs: CI installs it beside the project.
  const require = createRequire(pathToFileURL(`${process.cwd()}/package.json`));
  return import(pathToFileURL(require.resolve("@yowasp/clang")).href);
}

const { runClang } = await loadClang();
const names = readdirSync(FOLDER).filter((name) => /\.[ch]$/.test(name));
const sources = Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, FOLDER))]));
const say = (/** @type {Uint8Array | null} */ bytes) => void (bytes && process.stderr.write(bytes));
let differing = 0;
for (const [name, flags] of Object.entries(MODULES)) {
  const args = ["clang", ...FLAGS, ...flags, "wasm.c", "-o", "out.wasm"];
  const made = Buffer.from(
    (await runClang(args, sources, { stderr: say, fetchProgress: () => {} }))["out.wasm"],
  );
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
