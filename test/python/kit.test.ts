import { createHash } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import {
  candidateTable,
  deviceOf,
  hasTroubles,
  kitReports,
  ratioTable,
  stepTable,
  troublesOf,
} from "../../compiler/bench/kit/report.ts";
import { temporaryFolder } from "../cuda-runtime/doubles.ts";
import { type KitContents, makeKit } from "../gpu-kit/make.ts";
import { python } from "./python.ts";
import { SMALL, SmallKit, statesOf } from "./small-kit.ts";

// What a kit does: on the processor, and with a double of the GPU, so that all that only a GPU gets to do is done once.

const small = new SmallKit();

/** As if all kernels had been compiled beforehand, in the double's form. */
async function writeImages(): Promise<void> {
  await python(
    ["-c", "from pathlib import Path; from kit.orchestrate import unpack; unpack(Path.cwd())"],
    small.folder,
  );
  for (const name of ["small", "vectors", "candidates"]) {
    const place = join(small.folder, "packages", name, name, "_cuda");
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

test("a kit is a folder of its runner, packages and vectors", () => {
  expect(small.said).toEqual(["3 packages, 3 vectors, 4 other plans"]);
  expect(small.bytes).toBeLessThan(6 * 2 ** 20);
});

test("a kit that cannot be made whole says what is missing, and leaves nothing behind", () => {
  const cubins = { architectures: ["sm_90"], python: join(small.scratch, "no-python") };
  const folder = join(small.scratch, "half a kit");
  const make = (more: Partial<KitContents>) => () => makeKit(folder, { ...SMALL, ...more }, () => {});
  expect(make({ cubins })).toThrow("set MTAC_PYTHON to one that does");
  expect(existsSync(folder)).toBe(false);
  expect(make({ vectors: [join(small.scratch, "no-vectors")] })).toThrow("ENOENT");
  expect(readdirSync(folder)).toEqual([]);
});

test("without a GPU its parts are missing, and the processor's are done", async () => {
  const steps = "environment,kernels,vectors_forward,vectors_backward,random,timing";
  const { results, said: lines, status } = await small.run(["--only", steps]);
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
  const { results, status } = await small.run(["--only", steps], small.doubleVariables(folder));
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
  const place = image(join(small.folder, "packages/small/small/_cuda"), "small.f32.cu", "sm_80");
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
  const said = await python(["-c", program, "kit.worker"], small.folder, false, small.doubleVariables());
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
  const [slow, quick, found] = JSON.parse(await python(["-c", program], small.folder));
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
  const said = await python(["-c", program, "kit.worker"], small.folder, false, small.doubleVariables());
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
  expect(await python(["-c", program], small.folder)).toBe("[]\n");
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
    await python(["-m", "mypy", "--strict", "--cache-dir", join(small.scratch, "mypy"), "."], runner),
  ).toContain("Success");
});
