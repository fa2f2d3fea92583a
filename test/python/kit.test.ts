import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  candidateTable,
  deviceOf,
  hasTroubles,
  kitReports,
  ratioTable,
  stepTable,
  troublesOf,
} from "../../compiler/bench/kit/report.ts";
import { type KitResults, readKitResults } from "../../compiler/bench/kit/results.ts";
import { loadGradients } from "../../compiler/emit/index.ts";
import { driverDouble, temporaryFolder } from "../cuda-runtime/doubles.ts";
import { type KitContents, makeKit } from "../gpu-kit/make.ts";
import { PYTHON, python } from "./python.ts";

// A small kit for a GPU, made and run: on the processor; with a double of the GPU, so that all that only a GPU gets to do is done once; and
// with steps that crash and hang.

const SPEC =
  "attention small { heads 2 head_dim 16 mask causal documents scores { conv 2x3 } weights { dropout 0.25 } output { norm } }";
const TIMED = {
  package: "small",
  attention: "small",
  types: ["bf16"],
  lengths: [32],
  processorLengths: [24],
};

const scratch = temporaryFolder();
const kit = join(scratch, "kit");
const double = driverDouble();
const said: string[] = [];
let bytes = 0;

beforeAll(async () => {
  await loadGradients();
  bytes = makeKit(
    kit,
    {
      specs: [{ name: "small", text: SPEC }],
      vectors: [someVectors()],
      main: [TIMED],
      others: [],
      candidates: { package: "small", attention: "small", most: 2 },
      cubins: null,
    },
    (line) => said.push(line),
  );
  change("kit/random_calls.py", (text) => text.replace("ROUNDS = 40", "ROUNDS = 1"));
}, 120_000);

afterAll(() => double.reset());

/** A folder of three vectors: all 15 take a while. */
function someVectors(): string {
  const all = fileURLToPath(new URL("../vectors", import.meta.url));
  const folder = join(scratch, "vectors");
  const index: readonly { case: string }[] = JSON.parse(readFileSync(join(all, "index.json"), "utf8"));
  const some = index.filter(({ case: name }) => /^(17|33|45)_/.test(name));
  for (const { case: name } of some) cpSync(join(all, name), join(folder, name), { recursive: true });
  writeFileSync(join(folder, "index.json"), JSON.stringify(some));
  return folder;
}

/** As if all kernels had been compiled beforehand, in the double's form. */
async function writeImages(): Promise<void> {
  await python(
    ["-c", "from pathlib import Path; from kit.orchestrate import unpack; unpack(Path.cwd())"],
    kit,
  );
  for (const name of ["small", "vectors", "candidates"]) {
    const place = join(kit, "packages", name, name, "_cuda");
    const lines = new Map<string, Set<string>>();
    for (const file of readdirSync(place).filter((each) => each.endsWith(".json"))) {
      const { passes }: Plans = JSON.parse(readFileSync(join(place, file), "utf8"));
      for (const { file: source, entryPoint } of Object.values(passes)
        .flat()
        .flatMap(({ kernels }) => kernels)) {
        const own = lines.get(source) ?? new Set(["MTAC-DOUBLE"]);
        lines.set(source, own.add(`kernel ${entryPoint} static=0 threads=1024`));
      }
    }
    for (const [source, kernels] of lines)
      writeFileSync(image(place, source, "sm_80"), [...kernels].join("\n"));
  }
}

interface Plans {
  readonly passes: Readonly<
    Record<string, readonly { kernels: readonly { file: string; entryPoint: string }[] }[]>
  >;
}

/** Where a source's machine code lies. */
function image(place: string, source: string, architecture: string): string {
  const digest = createHash("sha256")
    .update(readFileSync(join(place, source)))
    .digest("hex");
  return join(place, `${source.slice(0, -3)}-${digest.slice(0, 8)}.${architecture}.cubin`);
}

function change(file: string, by: (text: string) => string): void {
  const path = join(kit, file);
  writeFileSync(path, by(readFileSync(path, "utf8")));
}

interface Run {
  readonly results: KitResults;
  readonly said: string;
  /** The exit status. */
  readonly status: number;
}

async function run(args: readonly string[], variables: Readonly<Record<string, string>> = {}): Promise<Run> {
  const status = `import subprocess, sys; sys.exit(print(subprocess.run([sys.executable, *sys.argv[1:]]).returncode))`;
  const lines = await python(
    ["-c", status, "run.py", "--seed", "5", "--minutes", "6", ...args],
    kit,
    false,
    variables,
  );
  const file = [join(kit, "results.json"), join(variables["TMPDIR"] ?? "", "mtac-gpu-kit-results.json")];
  const text = readFileSync(file.find((each) => existsSync(each)) ?? "", "utf8");
  rmSync(join(kit, "results.json"), { force: true });
  return {
    results: readKitResults(text, "results.json"),
    said: lines,
    status: Number(lines.trim().split("\n").at(-1)),
  };
}

/** Of processes that believe in a GPU; `folder` has programs that they find first. */
function doubleVariables(folder: string): Readonly<Record<string, string>> {
  return {
    MTAC_LIBCUDA: double.path,
    PYTHONPATH: fileURLToPath(new URL("gpu-double", import.meta.url)),
    PATH: `${folder}:${process.env["PATH"]}`,
    CUDA_HOME: "",
    CUDA_PATH: "",
  };
}

function isRunning(pid: number): boolean {
  try {
    // Nobody may be left to wait for it: it is a zombie then.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

function statesOf({ steps }: KitResults): Readonly<Record<string, string>> {
  return Object.fromEntries(steps.map(({ name, status }) => [name, status]));
}

test("a kit is a folder of its runner, packages and vectors", () => {
  expect(said).toEqual(["3 packages, 3 vectors, 4 other plans"]);
  expect(bytes).toBeLessThan(6 * 2 ** 20);
});

test("a kit that cannot be made whole says what is missing, and leaves nothing behind", () => {
  const contents = {
    specs: [{ name: "small", text: SPEC }],
    vectors: [],
    main: [TIMED],
    others: [],
    candidates: null,
  };
  const cubins = { architectures: ["sm_90"], python: join(scratch, "no-python") };
  const folder = join(scratch, "half a kit");
  const make = (more: Partial<KitContents>) => () =>
    makeKit(folder, { ...contents, cubins: null, ...more }, () => {});
  expect(make({ cubins })).toThrow("set MTAC_PYTHON to one that does");
  expect(existsSync(folder)).toBe(false);
  expect(make({ vectors: [join(scratch, "no-vectors")] })).toThrow("ENOENT");
  expect(readdirSync(folder)).toEqual([]);
});

test("without a GPU its parts are missing, and the processor's are done", async () => {
  const steps = "environment,kernels,vectors_forward,vectors_backward,random,timing";
  const { results, said: lines, status } = await run(["--only", steps]);
  expect(troublesOf(results)).toEqual([]);
  expect(statesOf(results)).toEqual({
    environment: "passed",
    kernels: "missing",
    vectors_forward: "passed",
    vectors_backward: "passed",
    random: "passed",
    timing: "passed",
  });
  expect(status).toBe(3);
  expect(lines).toContain("a CUDA device");
  expect(results.finished).toBe(true);
  const vectors = results.steps.find(({ name }) => name === "vectors_backward");
  expect(vectors?.cases).toHaveLength(9);

  const [report, ...more] = kitReports(results);
  expect(more).toEqual([]);
  expect(report?.target).toBe("cpu");
  expect(report?.lengths.map(({ rows }) => rows.map(({ subject }) => subject))).toEqual([
    ["mtac", "sdpa flash", "plain", "mtac backward", "sdpa flash backward", "plain backward"],
  ]);
  expect(report?.missing).toMatchObject([{ name: "flex_attention" }]);
  if (report === undefined) throw new Error("there is no report");
  expect(ratioTable(report).rows).toHaveLength(4);
  expect(stepTable(results).rows).toHaveLength(6);
});

test("what only a GPU does is done on a double of it", async () => {
  const folder = temporaryFolder();
  const tool = join(folder, "compute-sanitizer");
  // Runs what it should watch.
  writeFileSync(
    tool,
    '#!/bin/sh\nwhile [ "$1" != "-m" ]; do program=$1; shift; done\nexec "$program" "$@"\n',
  );
  chmodSync(tool, 0o755);
  await writeImages();
  const steps = "kernels,random,timing,sanitizer,schedules,graphs";
  const { results, status } = await run(["--only", steps], doubleVariables(folder));
  expect(troublesOf(results)).toEqual([expect.stringContaining("the replay gives another")]);
  const { graphs, ...others } = statesOf(results);
  expect(new Set(Object.values(others))).toEqual(new Set(["passed"]));
  expect(graphs).toBe("wrong");
  expect(status).toBe(1);
  expect(hasTroubles(results)).toBe(true);
  const sanitized = results.steps.find(({ name }) => name === "sanitizer");
  expect(sanitized?.cases.map(({ name }) => name)).toEqual([
    "memcheck small bf16",
    "racecheck small bf16",
    "memcheck small f32",
    "racecheck small f32",
  ]);
  expect(deviceOf(results).onGpu).toBe(true);
  const [report] = kitReports(results);
  expect(report?.lengths[0]?.rows[0]).toMatchObject({
    subject: "mtac",
    peakBytes: 4000,
    time: { clock: "device" },
  });
  expect(candidateTable(results).rows).toHaveLength(4);
});

test("machine code that the driver does not take is compiled anew", async () => {
  await writeImages();
  const place = image(join(kit, "packages/small/small/_cuda"), "small.f32.cu", "sm_80");
  const good = readFileSync(place, "utf8");
  writeFileSync(place, "of a compiler that is too new for the driver");
  const program = `
import json, time
from pathlib import Path
from kit import kernels
from kit.context import Context

context = Context(Path.cwd(), "auto", 1, time.monotonic() + 60)
package = context.packages["small"]
package.module("_runtime.cuda").image = lambda *_: ${JSON.stringify(good)}.encode()
print(json.dumps([kernels._compile(context, package) for _ in range(2)]))`;
  // The double is for processes of the kit: they name one of its modules.
  const said = await python(["-c", program, "kit.worker"], kit, false, doubleVariables(scratch));
  const [first, second] = JSON.parse(said);
  expect(first).toMatchObject({
    status: "passed",
    data: { compiled: 1, unloadable: [expect.stringContaining("MTA814: loading small.f32.cu")] },
  });
  expect(second).toMatchObject({ status: "passed", data: { compiled: 1, unloadable: [] } });
});

test("what is slow is timed fewer times, and a backward pass that fails takes no forward time with it", async () => {
  const program = `
import json, time
import torch
from pathlib import Path
from kit import devices, peers, timing
from kit.context import Context
from kit.orchestrate import unpack

unpack(Path.cwd())
context = Context(Path.cwd(), "cpu", 1, time.monotonic() + 60)
slow = len(devices._samples(lambda: time.sleep(0.5) or 1.0, 0.1))
quick = len(devices._samples(lambda: 1.0, 0.1))

class Fails(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, d):
        raise MemoryError("no bytes")

def subject(call, device):
    q = call.tensors["q"]
    return peers.Subject(lambda: Fails.apply(q), [q])

peers.SUBJECTS["plain"] = subject
found = timing._measure(context, context.packages["small"], "small", "f32", "plain", 32)
print(json.dumps([slow, quick, found]))`;
  const [slow, quick, found] = JSON.parse(await python(["-c", program], kit));
  expect(slow).toBe(2);
  expect(quick).toBe(30);
  expect(found).toMatchObject({
    status: "passed",
    data: { forward: { clock: "wall" }, backward: null, why: "no backward pass: no memory: no bytes" },
  });
});

test("a GPU is warm before it is timed, though a run takes no time", async () => {
  const program = `
from kit import devices

runs = []
times = devices.Gpu().samples(lambda: runs.append(0), 0.4)
print(len(times), len(runs) > 1000)`;
  const said = await python(["-c", program, "kit.worker"], kit, false, doubleVariables(scratch));
  expect(said).toBe("30 True\n");
});

test("FlexAttention is compiled at each length", async () => {
  const program = `
import functools, time
from pathlib import Path
import torch
from torch._dynamo.utils import counters
from kit import peers
from kit.calls import Call
from kit.context import Context
from kit.orchestrate import unpack

torch.compile = functools.partial(torch.compile, backend="eager")
unpack(Path.cwd())
context = Context(Path.cwd(), "cpu", 1, time.monotonic() + 60)
package = context.packages["small"]
for length in range(128, 128 + 16 * 12, 16):
    call = Call.of_example(package, package.function("small"), (1, length, length, 0), torch.float32, 1)
    for each in call.tensors.values():
        each.requires_grad_(False)
    peers._flex(call, context.device).compute()
    with torch.no_grad():
        peers._flex(call, context.device).compute()
print([*counters["unimplemented"]])`;
  expect(await python(["-c", program], kit)).toBe("[]\n");
});

describe("a step that goes wrong", () => {
  const MODULE = `import os, time
from .context import Case

def cases(context, step):
    yield Case("first", lambda: {"status": "passed"})
    yield Case("crash", lambda: os._exit(9))
    yield Case("error", lambda: 1 / 0)
    yield Case("hang", lambda: time.sleep(100))
    yield Case("last", lambda: {"status": "passed"})
`;

  test("is told case by case, and the next step goes on", async () => {
    const before = readFileSync(join(kit, "kit/determinism.py"), "utf8");
    change("kit/determinism.py", () => MODULE);
    change("kit/steps.py", (text) => text.replace("case_limit: float = 60", "case_limit: float = 3"));
    const { results, status } = await run(["--only", "determinism,graphs"]);
    change("kit/determinism.py", () => before);
    change("kit/steps.py", (text) => text.replace("case_limit: float = 3", "case_limit: float = 60"));
    expect(results.steps[1]?.cases.map(({ name, status: state }) => [name, state])).toEqual([
      ["first", "passed"],
      ["crash", "crashed"],
      ["error", "failed"],
      ["hang", "hung"],
      ["last", "passed"],
    ]);
    expect(statesOf(results)).toEqual({
      environment: "passed",
      determinism: "hung",
      graphs: "missing",
    });
    expect(status).toBe(1);
  });
});

describe("a run", () => {
  async function withModule(text: string, then: () => Promise<void>): Promise<void> {
    const before = readFileSync(join(kit, "kit/determinism.py"), "utf8");
    change("kit/determinism.py", () => text);
    await then().finally(() => change("kit/determinism.py", () => before));
  }

  test("that is stopped keeps what it found, and ends what it started", async () => {
    const child = join(scratch, "child");
    const text = `import subprocess, sys, time
from pathlib import Path
from .context import Case

def hang():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(${JSON.stringify(child)}).write_text(str(child.pid))
    time.sleep(600)

def cases(context, step):
    yield Case("first", lambda: {"status": "passed"})
    yield Case("second", hang)
`;
    await withModule(text, async () => {
      const process_ = spawn(PYTHON, ["run.py", "--seed", "5", "--only", "determinism"], { cwd: kit });
      const ended = once(process_, "close");
      await expect.poll(() => existsSync(child), { timeout: 60_000 }).toBe(true);
      process_.kill("SIGTERM");
      expect((await ended)[0]).toBe(130);
      const results = readKitResults(readFileSync(join(kit, "results.json"), "utf8"), "results.json");
      expect(results.finished).toBe(false);
      expect(statesOf(results)).toEqual({ environment: "passed", determinism: "unfinished" });
      expect(results.steps[1]?.cases.map(({ name }) => name)).toEqual(["first"]);
      const pid = Number(readFileSync(child, "utf8"));
      await expect.poll(() => isRunning(pid), { timeout: 5000 }).toBe(false);
    });
  });

  test("does not wait for a process that nothing ends", async () => {
    const program = `
import subprocess
from kit import orchestrate

class Stuck(subprocess.Popen):
    def wait(self, timeout=None):
        if timeout is None:
            raise AssertionError("it is waited for without end")
        raise subprocess.TimeoutExpired("stuck", timeout)

stuck = Stuck(["sleep", "600"], start_new_session=True)
orchestrate._kill(stuck)
print(subprocess.Popen.wait(stuck, 10))`;
    expect(await python(["-c", program], kit)).toBe("-9\n");
  });

  test("goes on with the first case where a process ends before it, but not for ever", async () => {
    const mark = join(scratch, "started");
    const text = `import os
from pathlib import Path
from .context import Case

def cases(context, step):
    mark = Path(${JSON.stringify(mark)})
    mark.write_text(mark.read_text() + "+" if mark.exists() else "+")
    if mark.read_text() in LIMITS:
        os._exit(9)
    yield Case("first", lambda: {"status": "passed"})
`;
    const namesAfter = async (limits: string): Promise<unknown> => {
      rmSync(mark, { force: true });
      let found: unknown;
      await withModule(text.replace("LIMITS", limits), async () => {
        const { results } = await run(["--only", "determinism"]);
        found = results.steps[1]?.cases.map(({ name }) => name);
      });
      return found;
    };
    expect(await namesAfter('("+",)')).toEqual(["start", "first"]);
    expect(await namesAfter('"+" * 9')).toEqual(["start", "start"]);
  });

  test("writes its results elsewhere where their place is gone, and keeps those of earlier runs", async () => {
    const place = join(scratch, "place");
    const elsewhere = temporaryFolder();
    mkdirSync(place);
    writeFileSync(join(place, "results.json"), "earlier");
    const text = `import shutil
from .context import Case

def cases(context, step):
    yield Case("first", lambda: shutil.rmtree(${JSON.stringify(place)}) or {"status": "passed"})
`;
    await withModule(text, async () => {
      const early = run(["--only", "determinism", "--out", join(place, "results.json")], {
        TMPDIR: elsewhere,
      });
      await expect.poll(() => existsSync(join(place, "results-1.json")), { timeout: 60_000 }).toBe(true);
      expect(readFileSync(join(place, "results-1.json"), "utf8")).toBe("earlier");
      const { said: lines } = await early;
      expect(lines).toContain("results could not be written");
      const kept = readFileSync(join(elsewhere, "mtac-gpu-kit-results.json"), "utf8");
      expect(readKitResults(kept, "results").finished).toBe(true);
    });
  });

  test("unpacks again what is of another archive, and works where the kit cannot be written", async () => {
    const copy = join(temporaryFolder(), "a kit, and more");
    cpSync(kit, copy, { recursive: true });
    writeFileSync(join(copy, "packages/.archive"), "of another kit");
    rmSync(join(copy, "packages/small/small/functional.py"));
    // Nothing can be written to a file that is a folder: so it is on a disk that takes nothing.
    mkdirSync(join(copy, ".trial"));
    const elsewhere = temporaryFolder();
    // Nor can what is compiled be kept.
    const cache = join(elsewhere, "no-folder");
    writeFileSync(cache, "");
    const said = await python(
      [join(copy, "run.py"), "--only", "determinism", "--seed", "5"],
      elsewhere,
      false,
      { XDG_CACHE_HOME: cache },
    );
    expect(said).toContain("passed  determinism");
    expect(existsSync(join(elsewhere, "results.json"))).toBe(true);
    expect(existsSync(join(copy, "packages/small/small/functional.py"))).toBe(false);
    rmSync(join(copy, ".trial"), { recursive: true });
    await python([join(copy, "run.py"), "--only", "determinism", "--seed", "5"], elsewhere);
    expect(existsSync(join(copy, "packages/small/small/functional.py"))).toBe(true);
  });

  test.each([
    ["--minutes", "nan"],
    ["--minutes", "inf"],
    ["--minutes", "0"],
    ["--minutes", "soon"],
    ["--seed", "-1"],
    ["--only", "tests"],
    ["--out", "/nowhere/results.json"],
    ["--out", "kit"],
  ])("with %s %s is refused before anything is computed", async (flag, value) => {
    await expect(python(["run.py", `${flag}=${value}`], kit)).rejects.toThrow(
      /run\.py: error|cannot run here/,
    );
  });

  test("whose compute-sanitizer does not get on with the device says so once", async () => {
    const folder = temporaryFolder();
    const tool = join(folder, "compute-sanitizer");
    writeFileSync(tool, "#!/bin/sh\necho Device not supported\nexit 1\n");
    chmodSync(tool, 0o755);
    const { results } = await run(["--only", "sanitizer"], doubleVariables(folder));
    expect(results.steps[1]).toMatchObject({
      status: "missing",
      lacking: "a compute-sanitizer that works: Device not supported",
    });
  });
});

test("the runner passes ruff and mypy", async () => {
  const runner = fileURLToPath(new URL("../../compiler/bench/kit/runner", import.meta.url));
  const rules = ["--isolated", "--target-version", "py310", "--line-length", "120"];
  await python(
    ["-m", "ruff", "check", "--no-cache", ...rules, "--select", "E,F,I,UP,B,SIM,RUF", "."],
    runner,
  );
  await python(["-m", "ruff", "format", "--no-cache", ...rules, "--check", "."], runner);
  expect(
    await python(["-m", "mypy", "--strict", "--cache-dir", join(scratch, "mypy"), "."], runner),
  ).toContain("Success");
});
