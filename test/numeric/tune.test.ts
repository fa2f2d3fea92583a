import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { openStore } from "../../compiler/tune/store.ts";
import { mtac } from "../cli/harness.ts";
import { Random } from "../support/random.ts";
import { runsOf, SEED } from "../support/seed.ts";

// `mtac tune` itself, on this machine's WebGPU device.

const folder = mkdtempSync(path.join(tmpdir(), "mtac-tune-"));
const spec = path.join(folder, "tuned.mta");
writeFileSync(
  spec,
  `attention tuned { heads 2 head_dim 16 scores { conv 2x5 } }
tune tuned { lengths 24, 60 }
`,
);
const WEBGPU = ["--target", "webgpu"];
const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("mtac tune", () => {
  const store = path.join(folder, "store.jsonl");
  const tune = (...flags: string[]) =>
    mtac(["tune", spec, ...WEBGPU, "--store", store, "--candidates", "6", "--json", ...flags]);

  test("measures the lengths of the tune block and stores winners", () => {
    const { code, stdout } = tune();
    expect(code).toBe(0);
    const { shapes, interrupted } = JSON.parse(stdout);
    expect(interrupted).toBe(false);
    expect(shapes.map(({ shape }: { shape: { Lq: number } }) => shape.Lq)).toEqual([24, 60]);
    for (const { measured, winner, ended } of shapes) {
      expect(measured).toBe(6);
      expect(ended).toBe("finished");
      expect(winner.measurement.clock).toBe("device");
      expect(winner.measurement.low).toBeLessThanOrEqual(winner.measurement.median);
    }
  });

  test("knows the next time what it has measured", () => {
    const { shapes } = JSON.parse(tune().stdout);
    for (const { measured, remembered, runs } of shapes)
      expect([measured, remembered, runs]).toEqual([0, 6, 0]);
  });

  test("verify takes the winner, computes the same, and says so; --no-tuned does not", () => {
    const verify = (...flags: string[]) =>
      JSON.parse(
        mtac(["verify", spec, ...WEBGPU, "--length", "50", "--store", store, "--json", ...flags]).stdout,
      );
    expect(verify()).toMatchObject({ choice: "tuned", errors: [{ ok: true }, { ok: true }] });
    expect(verify("--no-tuned").choice).toBe("planner");
    expect(verify("--schedule", "staged").choice).toBe("planner");
  });

  test("compile carries winners to launchers", () => {
    const out = path.join(folder, "out");
    const { code } = mtac(["compile", spec, "--target", "wgsl", "--out", out, "--store", store]);
    expect(code).toBe(0);
    const { plans, tuned } = JSON.parse(readFileSync(path.join(out, "tuned.plan.json"), "utf8"));
    expect(tuned.map(({ bucket }: { bucket: { Lk: number } }) => bucket.Lk)).toEqual([32, 64]);
    for (const { plan } of tuned) expect(plans[plan].schedule).toBeTypeOf("string");
    const plain = path.join(folder, "plain");
    mtac(["compile", spec, "--target", "wgsl", "--out", plain, "--store", store, "--no-tuned"]);
    expect(JSON.parse(readFileSync(path.join(plain, "tuned.plan.json"), "utf8"))).not.toHaveProperty("tuned");
  });

  test("an exported file does the same without the store", () => {
    const file = path.join(folder, "shipped.json");
    expect(mtac(["tune", "export", spec, "--out", file, "--store", store]).code).toBe(0);
    const out = path.join(folder, "shipped");
    const elsewhere = ["--store", path.join(folder, "nothing.jsonl")];
    expect(
      mtac(["compile", spec, "--target", "wgsl", "--out", out, "--tuning", file, ...elsewhere]).code,
    ).toBe(0);
    const read = (name: string) => readFileSync(path.join(folder, name, "tuned.plan.json"), "utf8");
    expect(read("shipped")).toBe(read("out"));
    writeFileSync(file, '{"format":1');
    const { code, stderr } = mtac(["compile", spec, "--out", out, "--tuning", file]);
    expect(code).toBe(1);
    expect(stderr).toContain("MTA874");
  });

  test("a knob that nobody has is an error", () => {
    const { code, stdout } = tune("--sweep", "tileq=3");
    expect(code).toBe(1);
    expect(JSON.parse(stdout).error).toMatchObject({ code: "MTA406", remedy: "did you mean `tile_q`?" });
    expect(JSON.parse(tune("--sweep", "tile_q=3").stdout).error.code).toBe("MTA407");
  });

  test("shards measure different candidates, and merge", () => {
    const parts = ["1/2", "2/2"].map((shard, index) => {
      const part = path.join(folder, `part${index}.jsonl`);
      mtac([
        "tune",
        spec,
        ...WEBGPU,
        "--store",
        part,
        "--candidates",
        "6",
        "--lengths",
        "24",
        "--shard",
        shard,
      ]);
      return part;
    });
    const sources = parts.map(
      (part) =>
        new Set(
          openStore(part)
            .read()
            .records.map(({ candidate }) => candidate.source),
        ),
    );
    expect(sources.map(({ size }) => size)).toEqual([3, 3]);
    expect(new Set(sources.flatMap((each) => [...each])).size).toBe(6);
    const merged = path.join(folder, "merged.jsonl");
    expect(mtac(["tune", "merge", ...parts, "--store", merged]).code).toBe(0);
    expect(openStore(merged).read().records).toHaveLength(
      parts.reduce((sum, part) => sum + openStore(part).read().records.length, 0),
    );
  });
});

test("what was measured on the processor is what launchers on it take", () => {
  const store = path.join(folder, "processor.jsonl");
  const cpu = ["--target", "cpu", "--store", store];
  const { code, stdout } = mtac(["tune", spec, ...cpu, "--sweep", "threads=1", "--json"]);
  expect(code).toBe(0);
  const { shapes } = JSON.parse(stdout);
  expect(shapes).toHaveLength(2);
  for (const { winner } of shapes) expect(winner.candidate.knobs).toMatchObject({ threads: 1 });
  const verified = JSON.parse(mtac(["verify", spec, ...cpu, "--length", "50", "--json"]).stdout);
  expect(verified).toMatchObject({ choice: "tuned", errors: [{ ok: true }, { ok: true }] });
  const out = path.join(folder, "processor");
  expect(mtac(["compile", spec, ...cpu, "--out", out]).code).toBe(0);
  const { plans, tuned } = JSON.parse(readFileSync(path.join(out, "tuned.cpu.plan.json"), "utf8"));
  expect(tuned).toHaveLength(2);
  for (const { plan } of tuned) expect(plans[plan].knobs).toMatchObject({ threads: 1 });
});

describe("mtac tune --grad", () => {
  const store = path.join(folder, "gradients.jsonl");
  const tuneOn = (target: string, ...flags: string[]) =>
    JSON.parse(
      mtac(["tune", spec, "--target", target, "--grad", "--store", store, "--json", ...flags]).stdout,
    ).shapes;

  test("on the processor: launchers take the winners of both passes, and of the forward pass alone without gradients", () => {
    const tune = () => tuneOn("cpu", "--sweep", "threads=1");
    const found = tune();
    expect(found.map(({ direction }: { direction: string }) => direction)).toEqual([
      ...["forward", "backward", "forward", "backward"],
    ]);
    for (const { winner } of found) expect(winner.candidate.knobs).toMatchObject({ threads: 1 });
    for (const { runs, remembered, rejected } of tune()) {
      expect(runs).toBe(0);
      expect(remembered).toBeGreaterThan(0);
      expect(rejected).toEqual([]);
    }
    const verify = (...flags: string[]) =>
      JSON.parse(
        mtac(["verify", spec, "--target", "cpu", "--grad", "--length", "50", "--json", ...flags]).stdout,
      );
    const tuned = verify("--store", store);
    expect(tuned).toMatchObject({ choice: "tuned", backward: { choice: "tuned" } });
    expect(tuned.errors.every(({ ok }: { ok: boolean }) => ok)).toBe(true);
    expect(verify("--no-tuned")).toMatchObject({ choice: "planner", backward: { choice: "planner" } });
    const compiled = (name: string, ...flags: string[]) => {
      const out = path.join(folder, name);
      mtac(["compile", spec, "--target", "cpu", "--store", store, "--out", out, ...flags]);
      return JSON.parse(readFileSync(path.join(out, "tuned.cpu.plan.json"), "utf8"));
    };
    const { backward, tunedBackward } = compiled("trained", "--grad");
    expect(tunedBackward).toHaveLength(2);
    for (const { plan } of tunedBackward) expect(backward[plan].knobs).toMatchObject({ threads: 1 });
    const plain = compiled("untrained");
    expect(plain.tuned).toHaveLength(2);
    expect(plain).not.toHaveProperty("tunedBackward");
  });

  test("with dropout: calls that drop weights take the planner's choice, others the winner", () => {
    const drops = path.join(folder, "drops.mta");
    writeFileSync(drops, "attention drops { heads 2 head_dim 16 weights { conv 2x5 dropout 0.5 } }");
    const cpu = ["--target", "cpu", "--store", path.join(folder, "drops.jsonl"), "--json"];
    const sweep = ["--sweep", "threads=1", "--lengths", "24"];
    expect(mtac(["tune", drops, ...cpu, "--grad", ...sweep]).code).toBe(0);
    const verify = (...flags: string[]) => mtac(["verify", drops, ...cpu, "--length", "24", ...flags]);
    expect(JSON.parse(verify().stdout)).toMatchObject({
      choice: "tuned",
      errors: [{ ok: true }, { ok: true }],
    });
    const trained = verify("--grad");
    expect(trained.code).toBe(0);
    expect(JSON.parse(trained.stdout)).toMatchObject({ choice: "planner", backward: { choice: "planner" } });
  });

  test("on WebGPU: tiles of every size are right", () => {
    const some = ["--sweep", "tile_q=16,64", "--sweep", "strip_rows=64", "--candidates", "3"];
    const [, backward] = tuneOn("webgpu", "--lengths", "80", ...some);
    expect(backward).toMatchObject({ direction: "backward", rejected: [], measured: 3, ended: "finished" });
    expect(backward.winner.measurement.clock).toBe("device");
    const { stdout } = mtac(["tune", "show", spec, "--target", "webgpu", "--store", store]);
    expect(stdout).toMatch(/tuned +backward +webgpu f32/);
  });

  test("a knob that neither pass has is refused, one of one pass is not", () => {
    const { stdout } = mtac([
      ...["tune", spec, ...WEBGPU, "--grad", "--store", store, "--json", "--sweep", "stripe_rows=3"],
    ]);
    expect(JSON.parse(stdout).error).toMatchObject({ code: "MTA406", remedy: "did you mean `strip_rows`?" });
  });
});

function startTuner(store: string, length: number): ChildProcess {
  return spawn(
    process.execPath,
    [CLI, "tune", spec, ...WEBGPU, "--store", store, "--candidates", "6", ...lengthFlags(length)],
    { stdio: "ignore" },
  );
}

/** One of them tunes gradients, too. */
function lengthFlags(length: number): readonly string[] {
  return ["--lengths", String(length), ...(length === 20 ? ["--grad"] : [])];
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function ended(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => child.once("exit", resolve));
}

describe("tuners that are killed", () => {
  const rounds = runsOf(5);

  test(`four at a time, ${4 * rounds} in all, lose nothing and go on where they were (seed ${SEED})`, async () => {
    const store = path.join(folder, "killed.jsonl");
    const random = new Random(SEED);
    const lengths = [20, 33, 47, 70];
    let known: readonly string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const tuners = lengths.map((length) => startTuner(store, length));
      // Half of the rounds end while something is being measured, however slow the machine is; the others at any moment.
      const before = openStore(store).read().records.length;
      for (let wait = 0; round % 2 === 1 && wait < 200; wait += 1) {
        if (openStore(store).read().records.length > before) break;
        await sleep(50);
      }
      await sleep(random.uniform() * (round % 2 === 1 ? 500 : 2000));
      const exits = tuners.map(ended);
      for (const tuner of tuners) if (tuner.exitCode === null) tuner.kill("SIGKILL");
      await Promise.all(exits.filter((_, index) => tuners[index]?.exitCode === null));
      const lines = openStore(store)
        .read()
        .records.map((record) => JSON.stringify(record));
      expect(lines.slice(0, known.length)).toEqual(known);
      known = lines;
    }
    expect(known.length, "the tuners had time to measure something").toBeGreaterThan(0);
    // What is left is measured now; what is there is not measured again.
    for (const length of lengths) {
      const { stdout } = mtac([
        "tune",
        spec,
        ...WEBGPU,
        "--store",
        store,
        "--candidates",
        "6",
        ...lengthFlags(length),
        "--json",
      ]);
      for (const { measured, remembered, winner } of JSON.parse(stdout).shapes) {
        expect(measured + remembered).toBe(6);
        expect(winner).not.toBeNull();
      }
    }
    const { errors, choice } = JSON.parse(
      mtac(["verify", spec, ...WEBGPU, "--length", "47", "--store", store, "--json"]).stdout,
    );
    expect(choice).toBe("tuned");
    expect(errors.every(({ ok }: { ok: boolean }) => ok)).toBe(true);
    const first = new Map<string, number>();
    for (const { key, candidate, kind, ...rest } of openStore(store).read().records) {
      if (kind !== "measured" || !("rung" in rest)) continue;
      const name = JSON.stringify([key.bucket, key.direction, rest.shape, candidate.source, rest.rung]);
      first.set(name, (first.get(name) ?? 0) + 1);
    }
    expect([...first.values()].filter((count) => count > 1)).toEqual([]);
    console.log(`seed ${SEED}: ${known.length} measurements survived ${4 * rounds} kills`);
  }, 300_000);
});
