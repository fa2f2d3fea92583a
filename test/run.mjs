// `npm test`: every check there is, one after the other, each shown as it runs. The last line counts them: a vitest test
// counts as one, any other check as one. `npm test -- unit golden` runs some parts only. `cuda` and `peers` need
// more than `npm ci` brings, and some minutes: they run when they are named.
import { spawnSync } from "node:child_process";
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

function run(args) {
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (error !== undefined) console.error(String(error));
  return status === 0;
}

function check(args) {
  return () => (run(args) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });
}

function vitest(project) {
  return () => {
    const report = join(scratch, `${project}.json`);
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const fine = run([command("vitest"), "run", "--project", project, "--passWithNoTests", ...reporters]);
    const { numPassedTests: passed, numFailedTests: failed } = readReport(report);
    // A file that cannot be loaded fails the run without a failed test.
    return { passed, failed: fine ? failed : Math.max(failed, 1) };
  };
}

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return { numPassedTests: 0, numFailedTests: 1 };
  }
}

const parts = {
  types: check([require.resolve("typescript/lib/tsc.js"), "-p", "."]),
  style: check([command("@biomejs/biome", "biome"), "check", "."]),
  imports: check(["test/imports.mjs"]),
  build: check(["build.mjs"]),
  unit: vitest("unit"),
  golden: vitest("golden"),
  numeric: vitest("numeric"),
  cpu: vitest("cpu"),
  package: vitest("package"),
  docs: vitest("docs"),
  sanitize: vitest("sanitize"),
  cuda: vitest("cuda"),
  peers: vitest("peers"),
};
/** What does not run unless it is named, and what it needs. */
const onRequest = new Map([
  ["sanitize", "a C compiler with sanitizers"],
  ["cuda", "nvcc and a C compiler"],
  ["peers", "onnxruntime-node, onnxruntime-web and a Python with PyTorch"],
]);

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(parts, name));
if (unknown.length > 0) {
  console.error(`there is no part ${unknown.join(", ")}; there are ${Object.keys(parts).join(", ")}`);
  process.exit(2);
}

const results = [];
try {
  for (const [name, part] of Object.entries(parts)) {
    if (wanted.length > 0 ? !wanted.includes(name) : onRequest.has(name)) continue;
    console.log(`\n== ${name}`);
    const start = performance.now();
    results.push({ name, ...part(), seconds: (performance.now() - start) / 1000 });
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

console.log("\n== summary");
for (const { name, passed, failed, seconds } of results)
  console.log(
    `${failed === 0 ? "ok    " : "FAILED"} ${name.padEnd(8)} ${String(passed).padStart(5)} passed, ${failed} failed  (${seconds.toFixed(0)} s)`,
  );
for (const [name, needs] of onRequest)
  if (wanted.length === 0) console.log(`NOT RUN ${name}: needs ${needs}; node test/run.mjs ${name}`);
const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
console.log(`${total("passed")} passed, ${total("failed")} failed`);
process.exitCode = total("failed") === 0 ? 0 : 1;
