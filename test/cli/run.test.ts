import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseSafetensors, toFloat64Tensor } from "../../runtime/safetensors/index.ts";
import { nullDevice } from "../support/null-device.ts";
import { filled, mtac, temporaryFolder, write, writeTensors } from "./harness.ts";

const folder = temporaryFolder();
const spec = write(
  folder,
  "small.mta",
  "attention small { heads 2 head_dim 4 scores { conv 2x3 } output { norm } }",
);
const tensors = {
  q: [1, 2, 6, 4],
  k: [1, 2, 6, 4],
  v: [1, 2, 6, 4],
  "scores.conv.weight": [2, 1, 2, 3],
  "output.norm.weight": [4],
} as const;
const good = writeTensors(folder, "good.safetensors", tensors);

function run(inputs: string, ...rest: string[]) {
  const output = join(folder, "out.safetensors");
  return mtac(["run", spec, "--target", "reference", "--inputs", inputs, "--output", output, ...rest]);
}

function withTensors(changes: Parameters<typeof writeTensors>[2], without: readonly string[] = []) {
  const kept = Object.entries({ ...tensors, ...changes }).filter(([name]) => !without.includes(name));
  return writeTensors(folder, "changed.safetensors", Object.fromEntries(kept));
}

describe("mtac run", () => {
  test("writes o and lse as F32", () => {
    expect(run(good)).toMatchObject({ code: 0 });
    const file = join(folder, "out.safetensors");
    const written = parseSafetensors(readFileSync(file), file);
    expect([...written.keys()].sort()).toEqual(["lse", "o"]);
    expect(written.get("o")).toMatchObject({ dtype: "F32", shape: [1, 2, 6, 4] });
    expect(written.get("lse")).toMatchObject({ dtype: "F32", shape: [1, 2, 6] });
  });

  test("never writes over what it reads", () => {
    const inputs = writeTensors(folder, "own.safetensors", tensors);
    const before = readFileSync(inputs);
    const link = join(folder, "link.safetensors");
    symlinkSync(inputs, link);
    for (const output of [inputs, link, spec]) {
      const args = ["run", spec, "--target", "reference", "--inputs", inputs, "--output", output];
      const { code, stderr } = mtac(args);
      expect(code).toBe(2);
      expect(stderr).toContain("MTA930");
    }
    expect(readFileSync(inputs).equals(before)).toBe(true);
    expect(readFileSync(spec, "utf8")).toContain("attention small");
  });

  test("--output may be a device", () => {
    const device = nullDevice(folder);
    const args = ["run", spec, "--target", "reference", "--inputs", good, "--output", device];
    expect(mtac(args)).toMatchObject({ code: 0 });
    expect(statSync(device).isCharacterDevice()).toBe(true);
  });

  test("--json reports one object on stdout, and keeps people's text off it", () => {
    const { stdout, stderr } = run(good, "--json");
    expect(Object.keys(JSON.parse(stdout))).toEqual([
      "target",
      "device",
      "schedule",
      "choice",
      "kernels",
      "wallMs",
      "deviceMs",
      "peakBytes",
      "workspaceBytes",
      "compulsoryBytes",
    ]);
    expect(stderr).toContain("small on reference");
  });

  test("--grad adds gradients of the inputs and of each parameter", () => {
    const inputs = withTensors({ d_o: [1, 2, 6, 4] });
    expect(run(inputs, "--grad").code).toBe(0);
    const file = join(folder, "out.safetensors");
    expect([...parseSafetensors(readFileSync(file), file).keys()].sort()).toEqual(
      ["d_k", "d_output.norm.weight", "d_q", "d_scores.conv.weight", "d_v", "lse", "o"].sort(),
    );
  });

  test("f16 storage rounds the inputs", () => {
    const half = write(folder, "half.mta", "attention half { heads 1 head_dim 2 dtype f16 mask none }");
    const inputs = writeTensors(folder, "half.safetensors", {
      q: [1, 1, 1, 2],
      k: [1, 1, 1, 2],
      v: filled([1, 1, 1, 2], "F32", () => 1.0001),
    });
    const output = join(folder, "half-out.safetensors");
    const args = ["run", half, "--target", "reference", "--inputs", inputs, "--output", output];
    expect(mtac(args).code).toBe(0);
    const o = parseSafetensors(readFileSync(output), output).get("o");
    expect(o === undefined ? [] : [...toFloat64Tensor("o", o).data]).toEqual([1, 1]);
  });
});

describe("mtac run refuses, each with its own message", () => {
  test("a file that is not there", () => {
    const { code, stderr } = run(join(folder, "absent.safetensors"));
    expect(stderr).toMatch(/MTA905.*absent\.safetensors: there is no such file/);
    expect(code).toBe(1);
  });

  test("a truncated file", () => {
    const cut = write(folder, "cut.safetensors", readFileSync(good));
    truncateSync(cut, 300);
    const { code, stderr } = run(cut);
    expect(stderr).toMatch(/error MTA65\d: .*cut\.safetensors: /);
    expect(code).toBe(1);
  });

  test("a file that is no safetensors file", () => {
    const { code, stderr } = run(write(folder, "text.safetensors", "hello, this is text"));
    expect(stderr).toMatch(/error MTA65\d: /);
    expect(code).toBe(1);
  });

  test("a missing input", () => {
    const { code, stderr } = run(withTensors({}, ["k"]));
    expect(stderr).toMatch(/MTA601.*lacks the tensor k/);
    expect(code).toBe(1);
  });

  test("a missing parameter", () => {
    const { code, stderr } = run(withTensors({}, ["scores.conv.weight"]));
    expect(stderr).toMatch(/MTA611.*scores\.conv\.weight \[2, 1, 2, 3\] is missing/);
    expect(stderr).toMatch(/fix: put scores\.conv\.weight into .*`--weights`/);
    expect(code).toBe(1);
  });

  test("an unknown tensor, with the one that is meant", () => {
    const { code, stderr } = run(withTensors({ "score.conv.weight": [2, 1, 2, 3] }, ["scores.conv.weight"]));
    expect(stderr).toMatch(/MTA913.*score\.conv\.weight/);
    expect(stderr).toContain("did you mean scores.conv.weight?");
    expect(code).toBe(1);
  });

  test("a misshapen input", () => {
    const { code, stderr } = run(withTensors({ q: [1, 3, 6, 4] }));
    expect(stderr).toMatch(/MTA603.*q has shape \[1, 3, 6, 4\]/);
    expect(code).toBe(1);
  });

  test("a misshapen parameter", () => {
    const { code, stderr } = run(withTensors({ "scores.conv.weight": [2, 1, 3, 2] }));
    expect(stderr).toMatch(/MTA613.*expected \[2, 1, 2, 3\]/);
    expect(code).toBe(1);
  });

  test("integers where floats are expected, and F64", () => {
    for (const dtype of ["I32", "F64"] as const) {
      const { code, stderr } = run(withTensors({ q: filled([1, 2, 6, 4], dtype) }));
      expect(stderr).toMatch(new RegExp(`MTA914.*q has type ${dtype}`));
      expect(stderr).toContain("store it as F32, F16 or BF16");
      expect(code).toBe(1);
    }
  });

  test("floats where integers are expected", () => {
    const masked = write(folder, "masked.mta", "attention masked { heads 1 head_dim 2 mask lengths }");
    const shape = [1, 1, 2, 2];
    const inputs = writeTensors(folder, "masked.safetensors", { q: shape, k: shape, v: shape, lengths: [1] });
    const args = ["run", masked, "--target", "reference", "--inputs", inputs, "--output", join(folder, "o")];
    const { code, stderr } = mtac(args);
    expect(stderr).toMatch(/MTA914.*lengths has type F32/);
    expect(stderr).toContain("store it as I32 or I64");
    expect(code).toBe(1);
  });

  test("an input that the mask does not read", () => {
    const { code, stderr } = run(withTensors({ lengths: filled([1], "I32") }));
    expect(stderr).toMatch(/MTA602.*lengths/);
    expect(code).toBe(1);
  });

  test("more query rows than keys", () => {
    const { code, stderr } = run(withTensors({ q: [1, 2, 7, 4] }));
    expect(stderr).toMatch(/MTA605.*7 rows but k only 6/);
    expect(code).toBe(1);
  });

  test("an output path that cannot be written, before anything is computed", () => {
    mkdirSync(join(folder, "a-folder"), { recursive: true });
    for (const [output, reason] of [
      [join(folder, "absent", "y.safetensors"), /no such file or folder/],
      [join(folder, "a-folder"), /it is a folder/],
      [join(good, "y.safetensors"), /not a folder/],
    ] as const) {
      const args = ["run", spec, "--target", "reference", "--inputs", good, "--output", output];
      const { code, stderr } = mtac(args);
      expect(stderr).toContain("MTA906");
      expect(stderr).toMatch(reason);
      expect(code).toBe(1);
      expect(existsSync(join(folder, "absent"))).toBe(false);
    }
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("NaN and infinite inputs, with --strict", () => {
    const inputs = withTensors({
      q: filled([1, 2, 6, 4], "F32", (index) => (index === 3 ? Number.NaN : 1)),
      v: filled([1, 2, 6, 4], "F32", (index) => (index === 0 ? Number.POSITIVE_INFINITY : 1)),
    });
    const strict = run(inputs, "--strict");
    expect(strict.stderr).toMatch(/MTA912.*q, v/);
    expect(strict.code).toBe(1);
    const tolerant = run(inputs);
    expect(tolerant.stderr).toContain("warning inputs hold NaN or infinite values (q, v)");
    expect(tolerant.code).toBe(0);
  });

  test("NaN and infinite inputs on webgpu warn; with --strict nothing is written", () => {
    const inputs = withTensors({ k: filled([1, 2, 6, 4], "F32", () => Number.NaN) });
    const output = join(folder, "webgpu-nan.safetensors");
    const args = ["run", spec, "--target", "webgpu", "--inputs", inputs, "--output", output];
    const strict = mtac([...args, "--strict"]);
    expect(strict.stderr).toMatch(/MTA912.*: k/);
    expect(strict.code).toBe(1);
    expect(existsSync(output)).toBe(false);
    const tolerant = mtac(args);
    expect(tolerant.stderr).toContain("warning inputs hold NaN or infinite values (k)");
    expect(tolerant.code).toBe(0);
    expect(existsSync(output)).toBe(true);
  });

  test("what the target webgpu would refuse as well", () => {
    const args = ["run", spec, "--target", "webgpu", "--output", join(folder, "refused"), "--inputs"];
    for (const [changes, code] of [
      [{ q: [1, 2, 7, 4] }, "MTA605"],
      [{ k: [1, 2, 6, 3] }, "MTA603"],
    ] as const) {
      const refused = mtac([...args, withTensors(changes)]);
      expect(refused.stderr).toContain(code);
      expect(refused.code).toBe(1);
    }
    expect(existsSync(join(folder, "refused"))).toBe(false);
  });

  test("−∞ in bias is legal, even with --strict", () => {
    const biased = write(folder, "biased.mta", "attention biased { heads 1 head_dim 2 mask bias }");
    const shape = [1, 1, 2, 2];
    const bias = filled([1, 1, 2, 2], "F32", (index) => (index === 1 ? Number.NEGATIVE_INFINITY : 0));
    const inputs = writeTensors(folder, "biased.safetensors", { q: shape, k: shape, v: shape, bias });
    const args = ["run", biased, "--target", "reference", "--inputs", inputs, "--strict"];
    const { code, stderr } = mtac([...args, "--output", join(folder, "biased-out")]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  test("gradients without d_o", () => {
    const args = [
      "run",
      spec,
      "--target",
      "webgpu",
      "--inputs",
      good,
      "--output",
      join(folder, "o"),
      "--grad",
    ];
    expect(mtac(args)).toMatchObject({ code: 1, stderr: expect.stringContaining("lacks the tensor d_o") });
    expect(run(good, "--grad")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("lacks the tensor d_o"),
    });
  });

  test("targets that there are not", () => {
    const args = ["--inputs", good, "--output", join(folder, "o")];
    const { code, stderr } = mtac(["run", spec, "--target", "metal", ...args]);
    expect(stderr).toMatch(/MTA903.*no target `metal`/);
    expect(code).toBe(2);
    const other = mtac(["run", spec, "--target", "reference", "--arch", "sm_80", ...args]);
    expect(other.stderr).toMatch(/MTA916.*`--arch` says nothing on `reference`/);
    expect(other.code).toBe(2);
  });

  test("depth_scale without a layer", () => {
    const deep = write(
      folder,
      "deep.mta",
      "attention deep { heads 1 head_dim 2 output { norm depth_scale } }",
    );
    const { code, stderr } = mtac(["verify", deep, "--target", "reference"]);
    expect(stderr).toMatch(/MTA230.*depth_scale/);
    expect(code).toBe(2);
    expect(mtac(["verify", deep, "--target", "reference", "--layer", "3"]).code).toBe(0);
  });
});

test("a spec that no schedule fits on this device says which limit, and by how much", () => {
  const args = [
    "verify",
    "examples/mta_830m.mta",
    "--target",
    "webgpu",
    "--length",
    "4",
    "--schedule",
    "two_pass",
  ];
  const { code, stderr } = mtac(args);
  expect(stderr).toMatch(
    /MTA4\d\d: no schedule can compute "mta_830m".* two_pass: .*(more than the device has|at most \d+)/,
  );
  expect(stderr).toContain("leave out --schedule two_pass");
  expect(code).toBe(1);
});
