/**
 * `npm run bench:python`: what a call of an emitted package takes beside its kernels, on the stand-in for CUDA's driver and on the
 * processor, in microseconds of the calling thread. `--against FOLDER` is a package that another version of mtac wrote from the same
 * spec (the folder with `__init__.py`): the two take turns, and their ratio is printed.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compileDouble } from "../cuda-runtime/compile-double.ts";
import { PYTHON, packageOf, writeFiles } from "../python/python.ts";

const { values } = parseArgs({
  options: {
    spec: { type: "string", default: "examples/mta_830m.mta" },
    storage: { type: "string", default: "f32" },
    rows: { type: "string", default: "128" },
    rounds: { type: "string", default: "30" },
    against: { type: "string" },
  },
});

interface Measured {
  readonly launches: readonly number[];
  readonly microseconds: readonly number[];
}

/** What a call may take where kernels are launched: 60 µs, and 5 µs a launch; a step is two calls. */
function bar(kind: string, launches: number): string {
  if (launches === 0) return "";
  return ` (${launches} launches, bar ${(kind.startsWith("step") ? 120 : 60) + 5 * launches})`;
}

const folder = mkdtempSync(join(tmpdir(), "mtac-calls-"));
try {
  const file = basename(values.spec);
  writeFiles(folder, packageOf(readFileSync(values.spec, "utf8"), file, true));
  const own = join(folder, file.replace(/\.mta$/, ""));
  const packages = [...(values.against === undefined ? [] : [resolve(values.against)]), own];
  const program = fileURLToPath(new URL("../python/overhead.py", import.meta.url));
  const double = compileDouble("driver-double", folder);
  const said = execFileSync(
    PYTHON,
    [program, double, values.storage, values.rows, values.rounds, ...packages],
    { encoding: "utf8", maxBuffer: 2 ** 26 },
  );
  const results: Readonly<Record<string, Measured>> = JSON.parse(said);
  console.log(`${file}, ${values.storage}, ${values.rows} rows; µs of the calling thread, medians`);
  for (const [kind, { launches, microseconds }] of Object.entries(results)) {
    const [before = Number.NaN, after] = microseconds;
    const [count = 0] = launches;
    const times = microseconds.map((each) => each.toFixed(1)).join(" → ");
    const ratio = after === undefined ? "" : `, ratio ${(after / before).toFixed(2)}`;
    console.log(`${kind}: ${times}${ratio}${bar(kind, count)}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
