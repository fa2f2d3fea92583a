// `npm test`: every check there is, each shown as it runs. The last line counts them: a vitest test
// counts as one, any other check as one. `npm test -- unit golden` runs some parts only. `cuda`, `peers` and `python` need
// more than `npm ci` brings, and some minutes: they run when they are named.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
const scratch = mkdtempSync(join(tmpdir(), "mtac-test-"));

/** The file behind a package's command: run by this Node, it needs no shell. */
function command(name, bin = name) {
  const manifest = require.resolve(`${name}/package.json`);
  const { bin: bins } = JSON.parse(readFileSync(manifest, "utf8"));
  return join(dirname(manifest), typeof bins === "string" ? bins : bins[bin]);
}

/** Starts Node; gives whether it ended well. What it prints is shown as it comes, or at its end in one piece. */
function run(args, { env = process.env, whole = false } = {}) {
  return new Promise((resolve) => {
    const stdio = whole ? ["ignore", "pipe", "pipe"] : "inherit";
    const child = spawn(process.execPath, args, { cwd: root, stdio, env });
    const pieces = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (piece) => pieces.push(piece));
    child.once("error", (error) => console.error(String(error)));
    child.once("close", (status) => {
      process.stdout.write(Buffer.concat(pieces));
      resolve(status === 0);
    });
  });
}

function check(args, options) {
  return async () => ((await run(args, options)) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });
}

/** Checks of their own: `types` beside the others, as it takes one core and longer than all of them. */
const checks = {
  types: check([require.resolve("typescript/lib/tsc.js"), "-p", "."], { whole: true }),
  style: check([command("@biomejs/biome", "biome"), "check", "."]),
  imports: check(["test/imports.mjs"]),
  build: check(["build.mjs"]),
};
/** Projects of vitest, which run as one: files of all of them take turns, so that no worker waits for the end of a project. */
const projects = [
  "unit",
  "alone",
  "golden",
  "numeric",
  "cpu",
  "package",
  "docs",
  "sanitize",
  "cuda",
  "peers",
  "python",
];
/** What does not run unless it is named, and what it needs. */
const onRequest = new Map([
  ["sanitize", "a C compiler with sanitizers"],
  ["cuda", "nvcc and a C compiler"],
  ["peers", "onnxruntime-node, onnxruntime-web and a Python with PyTorch"],
  ["python", "a C compiler and a Python (MTAC_PYTHON) with torch, ruff, mypy and pyright"],
]);

/** Runs projects of vitest, and gives what `test/support/tally.ts` counted in each. */
async function vitest(names) {
  const tally = join(scratch, "tally.json");
  const args = [command("vitest"), "run", "--passWithNoTests", ...names.map((name) => `--project=${name}`)];
  const reporters = ["--reporter=default", "--reporter=./test/support/tally.ts"];
  const fine = await run([...args, ...reporters], { env: { ...process.env, MTAC_TALLY: tally } });
  const counted = readTally(tally);
  const results = names.map((name) => ({ name, ...(counted[name] ?? { passed: 0, failed: 0, seconds: 0 }) }));
  // Vitest may fail without a failed test: an error that nobody awaited.
  if (!fine && results.every(({ failed }) => failed === 0)) results[0].failed += 1;
  return results;
}

function readTally(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return {};
  }
}

async function timed(name) {
  const start = performance.now();
  return { name, ...(await checks[name]()), seconds: (performance.now() - start) / 1000 };
}

const wanted = process.argv.slice(2);
const names = [...Object.keys(checks), ...projects];
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`there is no part ${unknown.join(", ")}; there are ${names.join(", ")}`);
  process.exit(2);
}
const isWanted = (name) => (wanted.length > 0 ? wanted.includes(name) : !onRequest.has(name));

const start = performance.now();
const results = [];
try {
  const types = isWanted("types") ? [timed("types")] : [];
  for (const name of Object.keys(checks)) {
    if (name === "types" || !isWanted(name)) continue;
    console.log(`\n== ${name}`);
    results.push(await timed(name));
  }
  const tested = projects.filter(isWanted);
  if (tested.length > 0) {
    console.log(`\n== ${tested.join(", ")}`);
    results.push(...(await vitest(tested)));
  }
  results.unshift(...(await Promise.all(types)));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

console.log("\n== summary, with the seconds of all files together");
for (const { name, passed, failed, seconds } of results)
  console.log(
    `${failed === 0 ? "ok    " : "FAILED"} ${name.padEnd(8)} ${String(passed).padStart(5)} passed, ${failed} failed  (${seconds.toFixed(0)} s)`,
  );
for (const [name, needs] of onRequest)
  if (wanted.length === 0) console.log(`NOT RUN ${name}: needs ${needs}; node test/run.mjs ${name}`);
const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
console.log(`${((performance.now() - start) / 1000).toFixed(0)} s`);
console.log(`${total("passed")} passed, ${total("failed")} failed`);
process.exitCode = total("failed") === 0 ? 0 : 1;
