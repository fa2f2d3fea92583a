import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  fromValues,
  parseSafetensors,
  readParameters,
  type StoredTensor,
  toFloat64Tensor,
  writeSafetensors,
} from "../../runtime/safetensors/index.ts";
import { type CliResult, MAIN, mtac, temporaryFolder, write, writeTensors } from "../cli/harness.ts";

// What `authors.py` beside this file computes from a state dict, and what mtac computes from the same after `mtac weights`.
const here = fileURLToPath(new URL("./", import.meta.url));
const fixture = (name: string): string => join(here, "fixtures", `${name}.safetensors`);
const folder = temporaryFolder();
const out = (name: string): string => join(folder, `${name}.safetensors`);

function read(path: string): Map<string, StoredTensor> {
  return new Map(parseSafetensors(readFileSync(path), path, { foreign: new Map() }));
}

function values(path: string, name: string): Float64Array {
  const tensor = read(path).get(name);
  if (tensor === undefined) throw new Error(`${path} has no ${name}`);
  return toFloat64Tensor(name, tensor).data;
}

function weights(spec: string, state: string, ...rest: string[]): CliResult {
  const paths = rest.includes("--output") ? [] : ["--output", out("weights")];
  return mtac(["weights", join(here, spec), state, ...paths, ...rest]);
}

/** Relative error of o against what numpy gives for `expected`. */
function errorOf(
  spec: string,
  target: string,
  expected: readonly [string, string],
  ...rest: string[]
): number {
  const output = out("o");
  const files = ["--inputs", fixture("inputs"), "--output", output];
  const { code, stderr } = mtac(["run", join(here, spec), "--target", target, ...files, ...rest]);
  expect(code, stderr).toBe(0);
  const [found, right] = [values(output, "o"), values(fixture(expected[0]), expected[1])];
  return Math.hypot(...right.map((value, index) => value - (found[index] ?? 0))) / Math.hypot(...right);
}

const TARGETS = ["reference", "webgpu"];

describe("a state dict of the authors' model", () => {
  test.each(TARGETS)("one layer, with wpsm and head_kernel, gives numpy's result on %s", (target) => {
    expect(weights("layer.mta", fixture("layer.state"), "--layout", "ram")).toMatchObject({ code: 0 });
    const given = ["--weights", out("weights")];
    expect(errorOf("layer.mta", target, ["layer.expected", "o"], ...given)).toBeLessThan(1e-6);
  });

  test.each(TARGETS)("a whole stack gives numpy's result in every layer on %s", (target) => {
    const all = ["--layout", "ram", "--name", "whole"];
    expect(weights("model.mta", fixture("model.state"), ...all)).toMatchObject({ code: 0 });
    for (const layer of [0, 1, 2]) {
      const given = ["--weights", out("weights"), "--name", "whole", "--layer", `${layer}`];
      expect(errorOf("model.mta", target, ["model.expected", `o.${layer}`], ...given)).toBeLessThan(1e-6);
    }
  });

  test("head_kernel is transposed, and wpsm is not: otherwise the result is another one", () => {
    const given = ["--layout", "ram", "--map", "head_kernel=weights.mix.weight"];
    expect(weights("layer.mta", fixture("layer.state"), ...given)).toMatchObject({ code: 0 });
    const wrong = errorOf("layer.mta", "reference", ["layer.expected", "o"], "--weights", out("weights"));
    expect(wrong).toBeGreaterThan(0.1);
    const same = ["--layout", "ram", "--map", "head_kernel=weights.mix.weight:transpose"];
    expect(weights("layer.mta", fixture("layer.state"), ...same)).toMatchObject({ code: 0 });
    const right = errorOf("layer.mta", "reference", ["layer.expected", "o"], "--weights", out("weights"));
    expect(right).toBeLessThan(1e-6);
  });

  test("--map alone does what the layout does", () => {
    const maps = [
      "attention.mta_kernel=scores.conv.weight",
      "attention.wpsm.weight=scores.mix.weight",
      "mta_kernel_after_sm=weights.conv.weight",
      "attention.head_kernel=weights.mix.weight:transpose",
      "attention.subln.weight=output.norm.weight",
      "attention.gate.weight=output.gate.weight",
      "attention.gate.bias=output.gate.bias",
    ].flatMap((map) => ["--map", map]);
    const mapped = weights("layer.mta", fixture("layer.state"), "--prefix", "attention.", ...maps);
    expect(mapped).toMatchObject({ code: 0 });
    const byMap = readFileSync(out("weights"));
    expect(weights("layer.mta", fixture("layer.state"), "--layout", "ram")).toMatchObject({ code: 0 });
    expect(readFileSync(out("weights")).equals(byMap)).toBe(true);
  });

  test("one layer of a whole model, by its number or its prefix", () => {
    for (const chosen of [
      ["--name", "whole", "--layer", "1"],
      ["--layer", "1"],
      ["--prefix", "layers.1.attention."],
      ["--prefix", "layers.{layer}.attention.", "--layer", "1"],
    ]) {
      const { code, stderr } = weights("model.mta", fixture("model.state"), "--layout", "ram", ...chosen);
      expect(code, stderr).toBe(0);
      expect(values(out("weights"), "scores.conv.weight")).toEqual(
        values(fixture("model.state"), "layers.1.attention.mta_kernel"),
      );
    }
  });

  test("--json says what became what, and what is left", () => {
    const { stdout } = weights("layer.mta", fixture("layer.state"), "--layout", "ram", "--json");
    const report: { mapped: object[]; left: object[]; prefix: string } = JSON.parse(stdout);
    expect(report.prefix).toBe("attention.");
    expect(report.mapped).toContainEqual({
      parameter: "weights.mix.weight",
      from: "attention.head_kernel",
      shape: [2, 2, 2],
      dtype: "F32",
      transposed: true,
    });
    expect(report.mapped.length).toBe(7);
    expect(report.left).toContainEqual({ name: "attention.wq.weight", reason: null });
    expect(report.left.length).toBe(4);
  });

  test("F16, BF16 and F64 become F32; what the spec has no stage for, and another order of stages, are warned of", () => {
    const text = "attention mixed { heads 2 head_dim 2 scores { mix 2 conv 1x1 } output { norm } }";
    const state = writeTensors(folder, "mixed.safetensors", {
      mta_kernel: fromValues("F32", [2, 1, 1, 1], [1, 2]),
      "wpsm.weight": fromValues("BF16", [2, 2], [1, 2, 3, 4]),
      "subln.weight": fromValues("F64", [2], [0.1, Number.NaN]),
      "wposm.weight": fromValues("F16", [2, 2], [1, 0, 0, 1]),
    });
    const spec = write(folder, "mixed.mta", text);
    const args = ["weights", spec, state, "--layout", "ram", "--output", out("weights")];
    const { code, stderr } = mtac(args);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("wposm.weight is left: `mixed` has no mix in weights");
    expect(stderr).toContain("`mixed` applies the stages of scores in another order than the authors' MTA");
    expect(stderr).toContain("subln.weight holds NaN or infinite values");
    const written = read(out("weights"));
    expect(written.get("scores.mix.weight")).toMatchObject({ dtype: "F32", shape: [1, 2, 2] });
    expect(written.get("scores.mix.weight")?.data).toEqual(Float32Array.of(1, 2, 3, 4));
    expect(written.get("output.norm.weight")?.data).toEqual(Float32Array.of(0.1, Number.NaN));
  });
});

describe("what does not fit is refused, and nothing is written", () => {
  const layer = fixture("layer.state");
  const model = fixture("model.state");
  const twice = writeTensors(folder, "twice.safetensors", {
    ...Object.fromEntries(read(layer)),
    "attention.wposm.weight": [4, 4],
  });
  const integers = writeTensors(folder, "integers.safetensors", {
    ...Object.fromEntries(read(layer)),
    "attention.mta_kernel": fromValues("I32", [4, 1, 3, 5], new Array(60).fill(1)),
  });
  const lying = writeTensors(folder, "lying.safetensors", {
    ...Object.fromEntries(read(layer)),
    "attention.mta_kernel": [4, 1, 5, 3],
  });
  const ram = ["--layout", "ram"];

  test.each<readonly [string, string, RegExp, readonly string[]]>([
    ["model.mta", model, /MTA946.*holds 3 sets(.|\n)*--layer 0/, [...ram, "--name", "plain"]],
    ["model.mta", model, /MTA946(.|\n)*--layout ram/, ["--name", "whole"]],
    ["layer.mta", fixture("inputs"), /MTA946.*no tensor named mta_kernel/, ram],
    [
      "model.mta",
      model,
      /MTA947.*lacks layers\.0\.attention\.mta_kernel, which is scores/,
      [...ram, "--layer", "0"],
    ],
    [
      "layer.mta",
      model,
      /MTA947.*lacks layers\.1\.attentionmta_kernel(.|\n)*without `--prefix` it is looked for/,
      [...ram, "--prefix", "layers.1.attention"],
    ],
    [
      "layer.mta",
      layer,
      /MTA947.*lacks none, which is scores.mix/,
      [...ram, "--map", "none=scores.mix.weight"],
    ],
    [
      "layer.mta",
      model,
      /MTA948.*wposm\.weight has shape \[4, 4\], but .* needs \[2, 2, 2\]/,
      [...ram, "--layer", "1"],
    ],
    [
      "model.mta",
      model,
      /MTA946.*--prefix layers\.1\.attention\..* is the same for every layer/,
      [...ram, "--name", "whole", "--prefix", "layers.1.attention."],
    ],
    ["model.mta", layer, /MTA946.*no tensor named wpsm\.weight/, [...ram, "--name", "whole"]],
    ["layer.mta", lying, /MTA948.*mta_kernel has shape \[4, 1, 5, 3\], but .* needs \[4, 1, 3, 5\]/, ram],
    ["layer.mta", twice, /MTA949.*2 tensors .*wposm\.weight, attention\.head_kernel/, ram],
    ["layer.mta", integers, /MTA662.*mta_kernel is of type I32/, ram],
    ["layer.mta", layer, /MTA945.*how tensors are mapped/, [...ram, "--map", "x"]],
    [
      "layer.mta",
      layer,
      /MTA945(.|\n)*did you mean scores\.mix\.weight/,
      [...ram, "--map", "x=score.mix.weight"],
    ],
    ["layer.mta", layer, /MTA930/, [...ram, "--output", layer]],
    ["layer.mta", layer, /MTA930/, [...ram, "--output", join(here, "layer.mta")]],
  ])("%s, %s: %s", (spec, state, message, rest) => {
    const before = readFileSync(layer);
    const paths = rest.includes("--output") ? [] : ["--output", out("refused")];
    const { code, stderr } = mtac(["weights", join(here, spec), state, ...paths, ...rest]);
    expect(stderr).toMatch(message);
    expect(code).toBe(/MTA9(45|30)/.test(stderr) ? 2 : 1);
    expect(existsSync(out("refused"))).toBe(false);
    expect(readFileSync(layer).equals(before)).toBe(true);
  });
});

describe("a state dict larger than Node reads at once", () => {
  const BIG = 3e9;
  const spec = write(folder, "big.mta", "attention big { heads 2 head_dim 4 scores { conv 2x3 } }\n");
  const weight = fromValues(
    "F32",
    [2, 1, 2, 3],
    Array.from({ length: 12 }, (_, index) => index),
  );

  test("gives its parameters, of which alone it is read", () => {
    const entry = (dtype: string, shape: number[], begin: number, bytes: number) => ({
      dtype,
      shape,
      data_offsets: [begin, begin + bytes],
    });
    const header = JSON.stringify({
      embedding: entry("F16", [BIG / 2], 0, BIG),
      mta_kernel: entry("F32", [2, 1, 2, 3], BIG, 48),
    });
    const length = new BigUint64Array([BigInt(header.length)]);
    const state = write(
      folder,
      "big.state",
      Buffer.concat([Buffer.from(length.buffer), Buffer.from(header)]),
    );
    // A hole, which takes no room on disk.
    truncateSync(state, 8 + header.length + BIG);
    appendFileSync(state, Buffer.from(weight.data.buffer));
    const converted = ["weights", spec, state, "--layout", "ram", "--output", out("big")];
    expect(mtac(converted)).toMatchObject({ code: 0, stderr: "" });
    expect(values(out("big"), "scores.conv.weight")).toEqual(Float64Array.from(weight.data, Number));
    truncateSync(state, 8 + header.length + BIG);
    expect(mtac(converted).stderr).toContain("MTA656");
    rmSync(state);
  });

  test("comes through a pipe, too, where it is small", () => {
    const state = writeTensors(folder, "piped.state", { mta_kernel: weight });
    const args = ["weights", spec, "/dev/stdin", "--layout", "ram", "--output", out("piped")];
    const { status, stderr } = spawnSync(
      "sh",
      ["-c", 'state="$1"; shift; cat "$state" | "$@"', "sh", state, process.execPath, MAIN, ...args],
      { encoding: "utf8" },
    );
    expect(status, stderr).toBe(0);
    expect(values(out("piped"), "scores.conv.weight")).toEqual(Float64Array.from(weight.data, Number));
  });
});

describe("run", () => {
  const run = (...rest: string[]): CliResult =>
    mtac(["run", ...rest, "--target", "reference", "--output", out("o")]);

  test("--weights reports what it does not use, and knows the authors' names", () => {
    const spec = join(here, "model.mta");
    const all = ["--layout", "ram", "--name", "whole"];
    expect(weights("model.mta", fixture("model.state"), ...all)).toMatchObject({ code: 0 });
    const given = ["--inputs", fixture("inputs"), "--name", "whole", "--layer", "2"];
    const { code, stderr } = run(spec, ...given, "--weights", out("weights"));
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/12 tensors of .* not used: layers\.0\..*, and 4 more/);
    const raw = run(spec, ...given, "--weights", fixture("model.state"));
    expect(raw.stderr).toMatch(/MTA946(.|\n)*mtac weights SPEC STATE --layout ram/);
    expect(raw.code).toBe(1);
  });

  test("--inputs with the authors' names leads to mtac weights; another name is to be changed", () => {
    const spec = join(here, "layer.mta");
    const raw = run(spec, "--inputs", fixture("layer.state"));
    expect(raw.stderr).toMatch(/MTA913(.|\n)*mtac weights SPEC (.|\n)*--layout ram/);
    const odd = writeTensors(folder, "odd.safetensors", {
      ...Object.fromEntries(read(fixture("inputs"))),
      odd: [1],
    });
    expect(run(spec, "--inputs", odd).stderr).toMatch(/MTA913(.|\n)*rename it, or leave it out/);
  });
});

describe("readParameters", () => {
  const like = { "scores.mix.weight": { shape: [1, 2, 2], data: new Float32Array(4) } } as const;
  const file = (name: string, tensor: StoredTensor): Uint8Array =>
    writeSafetensors(
      new Map([
        [name, tensor],
        ["other", fromValues("I64", [1], [7])],
      ]),
    );

  test("gives copies with the file's values, as f32", () => {
    const bytes = file("scores.mix.weight", fromValues("F16", [1, 2, 2], [1, 2, 3, 0.5]));
    expect(readParameters(bytes, like)["scores.mix.weight"]).toEqual({
      shape: [1, 2, 2],
      data: Float32Array.of(1, 2, 3, 0.5),
    });
    expect(like["scores.mix.weight"].data).toEqual(new Float32Array(4));
  });

  test("finds the layers of a stack", () => {
    const bytes = file("layers.1.scores.mix.weight", fromValues("F64", [1, 2, 2], [1, 2, 3, 4]));
    const [, layer] = readParameters(bytes, [{}, like] as const);
    expect(layer["scores.mix.weight"].data).toEqual(Float32Array.of(1, 2, 3, 4));
    const alone = readParameters(bytes, like, { prefix: "layers.1." });
    expect(alone["scores.mix.weight"].data).toEqual(Float32Array.of(1, 2, 3, 4));
  });

  test.each<readonly [string, Uint8Array]>([
    ["MTA662", file("scores.mix.weight", fromValues("I32", [1, 2, 2], [1, 2, 3, 4]))],
    ["MTA663", file("scores.mix", fromValues("F32", [1, 2, 2], [1, 2, 3, 4]))],
    ["MTA664", file("scores.mix.weight", fromValues("F32", [2, 2], [1, 2, 3, 4]))],
    ["MTA651", new Uint8Array(3)],
  ])("refuses with %s what does not fit", (code, bytes) => {
    expect(() => readParameters(bytes, like)).toThrow(expect.objectContaining({ code }));
  });
});
