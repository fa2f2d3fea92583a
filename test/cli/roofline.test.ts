import { describe, expect, test } from "vitest";
import { mtac, temporaryFolder, write } from "./harness.ts";

/** A terminal with room for rows that are not broken. */
const WIDE = { env: { COLUMNS: "200" } };
const folder = temporaryFolder();
const PAPER = ["examples/mta_830m.mta", "--name", "mta_830m", "--length", "512"];

interface Candidate {
  readonly schedule: string;
  readonly reason: string | null;
  readonly chosen: boolean;
  readonly floorShare: number;
  readonly roofline: {
    readonly seconds: number;
    readonly bound: string;
    readonly kernels: readonly object[];
  };
}

interface Roofline {
  readonly gpu: string;
  readonly target: string;
  readonly limits: { readonly architecture?: { readonly name: string } };
  readonly figures: Readonly<Record<string, { readonly value: number; readonly source: string }>>;
  readonly floor: { readonly seconds: number; readonly bound: string };
  readonly candidates: readonly Candidate[];
}

function explainJson(...args: readonly string[]): readonly Roofline[] {
  const { code, stdout } = mtac(["explain", ...args, "--json"]);
  expect(code).toBe(0);
  const { attentions }: { attentions: readonly { rooflines: readonly Roofline[] }[] } = JSON.parse(stdout);
  expect(attentions).toHaveLength(1);
  return attentions[0]?.rooflines ?? [];
}

const places = (rooflines: readonly Roofline[]): readonly string[] =>
  rooflines.map(({ gpu, target, limits }) => `${gpu} ${limits.architecture?.name ?? target}`);

describe("explain --roofline", () => {
  test("shows a table a GPU: floor, predicted times, bounds, the planner's choice", () => {
    const { code, stdout, stderr } = mtac(["explain", ...PAPER, "--gpu", "a100,m1"], WIDE);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(
      "NVIDIA A100 SXM 80 GB (cuda, sm_80)\n  tensor cores 312 TFLOP/s · f32 19.5 TFLOP/s",
    );
    expect(stdout).toContain("Apple M1, 8 GPU cores (webgpu)\n  f32 2.6 TFLOP/s · memory 68.3 GB/s");
    expect(stdout).toMatch(
      / {5}candidate +predicted +bound +of floor +knobs\n {5}floor +[\d.]+ µs +tensor cores +100 %/,
    );
    expect(stdout).toMatch(
      /→ {2}staged +[\d.]+ µs +(tensor cores|shared memory) +[\d.]+ % {2}lowering toeplitz/,
    );
    // The convolutions of WGSL read every tap from workgroup memory.
    expect(stdout).toMatch(/→ {2}staged +[\d.]+ ms +workgroup memory +[\d.]+ % {2}tile_q/);
    expect(stdout).toContain("nothing is measured");
    expect(stdout).not.toContain("Candidates");
  });

  test("of an attention with dropout is that of the kernels which drop nothing: none is faster than the floor", () => {
    const text =
      "attention a { heads 2 head_dim 64 dtype bf16 mask causal weights { conv 2x3 dropout 0.1 } }";
    const spec = write(folder, "a.mta", text);
    const [found] = explainJson(spec, "--length", "4096", "--gpu", "a100");
    expect(found?.floor.bound).toBe("tensor cores");
    const legal = found?.candidates.filter(({ reason }) => reason === null) ?? [];
    expect(legal.length).toBeGreaterThan(0);
    for (const { floorShare } of legal) expect(floorShare).toBeLessThanOrEqual(1);
  });

  test("shows the best dozen and the planner's choice, and all on request", () => {
    const rows = (text: string): number =>
      text.split("\n").filter((line) => /^ {2}[ →] {2}(staged|two_pass) /.test(line)).length;
    const { stdout: few } = mtac(["explain", ...PAPER, "--gpu", "h100"], WIDE);
    expect(rows(few)).toBe(12);
    const hidden = Number(/and (\d+) slower candidates \(with --all\)/.exec(few)?.[1]);
    const { stdout: all } = mtac(["explain", ...PAPER, "--gpu", "h100", "--all"], WIDE);
    expect(rows(all)).toBe(12 + hidden);
    expect(all).not.toContain("slower candidates");
    expect(few).toContain("of which mma.sync reaches 62.9 %");
    // In the toy the planner's choice is not among the dozen of the shortest bounds.
    const { stdout: toy } = mtac(
      ["explain", "examples/mta_toy.mta", "--name", "mta_toy", "--gpu", "m1"],
      WIDE,
    );
    expect(toy.match(/^ {2}[ →] {2}\w+_?\w* .* tile_q/gm)).toHaveLength(13);
    expect(toy.match(/^ {2}→ {2}/gm)).toHaveLength(1);
  });

  test("--json gives the same as plain data, with sources, work and kernels", () => {
    const [h100] = explainJson(...PAPER, "--length", "4096", "--gpu", "h100");
    expect(h100).toMatchObject({
      gpu: "h100",
      target: "cuda",
      floor: { bound: "tensor cores", matrix: true, memoryBytes: expect.any(Number) },
      figures: {
        memoryBandwidth: { value: 3.35e12, basis: "published", source: expect.stringContaining("H100") },
      },
    });
    const legal = (h100?.candidates ?? []).filter(({ reason }) => reason === null);
    const seconds = legal.map(({ roofline }) => roofline.seconds);
    expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
    expect(legal.filter(({ chosen }) => chosen)).toHaveLength(1);
    expect(legal[0]).toMatchObject({
      schedule: "staged",
      knobs: { lowering: "toeplitz" },
      roofline: { kernels: [{ kernel: "scores_conv" }, {}, {}, {}, { kernel: "product" }] },
      work: [{ kernel: "scores_conv", matrixMultiplyAdds: expect.any(Number) }, {}, {}, {}, {}],
    });
    for (const { floorShare, roofline } of legal)
      expect(floorShare).toBeCloseTo((h100?.floor.seconds ?? 0) / roofline.seconds, 12);
    const dropped = (h100?.candidates ?? []).filter(({ reason }) => reason !== null);
    expect(dropped).toContainEqual(expect.objectContaining({ schedule: "single_pass", roofline: null }));
  });

  test("people's text goes to stderr with --json", () => {
    const { stdout, stderr } = mtac(["explain", ...PAPER, "--gpu", "a100", "--json"]);
    expect(() => JSON.parse(stdout)).not.toThrow();
    expect(stderr).toContain("NVIDIA A100");
  });

  test("takes all GPUs of the target, the architecture from the GPU, names in any case", () => {
    // One schedule: less to print.
    const few = ["examples/mta_toy.mta", "--name", "mta_toy", "--schedule", "single_pass"];
    const webgpu = places(explainJson(...few, "--roofline"));
    expect(webgpu).toEqual(places(explainJson(...few, "--roofline", "--target", "webgpu")));
    expect(webgpu).toContain("rtx-4090 webgpu");
    expect(webgpu).not.toContain("a100 sm_80");
    const cuda = ["a100 sm_80", "h100 sm_90", "rtx-4090 sm_89"];
    expect(places(explainJson(...few, "--roofline", "--target", "cuda"))).toEqual(cuda);
    expect(places(explainJson(...few, "--gpu", "all", "--target", "cuda"))).toEqual(cuda);
    expect(places(explainJson(...few, "--gpu", "all"))).toEqual(
      expect.arrayContaining([...cuda, "m2-max webgpu", "immortalis-g715 webgpu", "iris-xe webgpu"]),
    );
    expect(places(explainJson(...few, "--gpu", "RTX-4090,H100"))).toEqual(["rtx-4090 sm_89", "h100 sm_90"]);
    expect(places(explainJson(...few, "--gpu", "rtx-4090", "--target", "wgsl"))).toEqual(["rtx-4090 webgpu"]);
  });

  test("follows --length, --batch and --schedule", () => {
    const best = (...args: readonly string[]): number =>
      explainJson(...PAPER, "--gpu", "a100", ...args)[0]?.candidates[0]?.roofline.seconds ?? 0;
    expect(best("--length", "1024")).toBeGreaterThan(2 * best());
    expect(best("--batch", "2") / best()).toBeCloseTo(2, 1);
    const [two] = explainJson(...PAPER, "--gpu", "a100", "--schedule", "two_pass");
    expect(new Set(two?.candidates.map(({ schedule }) => schedule))).toEqual(new Set(["two_pass"]));
    expect(two?.candidates.filter(({ chosen }) => chosen)).toHaveLength(1);
  });

  test("an attention that nothing fits: the reason, and exit code 1", () => {
    const { code, stdout, stderr } = mtac([
      "explain",
      ...PAPER,
      "--gpu",
      "a100",
      "--schedule",
      "single_pass",
    ]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/✗ stages after the softmax need/);
    expect(stderr).toContain("error MTA405: no schedule of `mta_830m` fits NVIDIA A100 SXM 80 GB");
  });

  test.each([
    [["--gpu", "h10"], "MTA922", "did you mean `h100`? the table has `a100`, `h100`"],
    [["--gpu", "a100,voodoo"], "MTA922", "fix: the table has `a100`, `h100`, `rtx-4090`"],
    [["--gpu", "all,rtx4090"], "MTA922", "did you mean `rtx-4090`?"],
    [["--gpu", "m1", "--target", "cuda"], "MTA923", "use `--target webgpu`, or leave `--target` out"],
    [["--gpu", "rtx-4090", "--arch", "sm_80"], "MTA900", "choose GPUs with `--gpu`"],
    [["--all"], "MTA900", "add `--roofline`"],
    [["--roofline", "--target", "metal"], "MTA903", "choose `webgpu`, `cuda`"],
    [["--gpu", "a100,,h100"], "MTA900", ""],
  ])("%j is wrong usage: %s", (args, code, remedy) => {
    const result = mtac(["explain", ...PAPER, ...args]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain(`error ${code}: `);
    expect(result.stderr).toContain(remedy);
    const { stdout } = mtac(["explain", ...PAPER, ...args, "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code, kind: "usage" } });
  });

  test("help names the options", () => {
    const stdout = mtac(["explain", "--help"]).stdout.replaceAll(/\s+/g, " ");
    for (const part of ["--roofline", "--gpu <names>", "--all", "implies --roofline"])
      expect(stdout).toContain(part);
  });
});
