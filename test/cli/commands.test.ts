import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { mtac, ROOT, temporaryFolder, write } from "./harness.ts";

const folder = temporaryFolder();
const TWO = "attention first { heads 1 head_dim 4 }\nattention second { heads 2 head_dim 4 }\n";

describe("the command itself", () => {
  test("prints versions", () => {
    const manifest: unknown = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    expect(JSON.parse(mtac(["version", "--json"]).stdout)).toMatchObject({
      mtac: (manifest as { version: string }).version,
      node: process.versions.node,
    });
  });

  test("lists the commands that exist, and no others", () => {
    const { code, stdout } = mtac(["--help"]);
    expect(code).toBe(0);
    for (const name of [
      "compile",
      "check",
      "fmt",
      "explain",
      "run",
      "verify",
      "bench",
      "tune",
      "devices",
      "init",
      "lsp",
      "version",
    ])
      expect(stdout).toMatch(new RegExp(`^  ${name} `, "m"));
  });

  test.each([
    [[], ""],
    [["chek"], "did you mean `check`?"],
    [["check"], "MTA927"],
    [["explain"], "missing required argument 'spec'"],
    [["check", "--colour", "x.mta"], "unknown option '--colour'"],
    [["bench"], "`mtac bench spec.mta`, or `mtac bench --import results.json`"],
    [["bench", "x.mta", "--import", "results.json"], "leave out the spec"],
    [["bench", "--import", "results.json", "--grad"], "`--grad` does not go with `--import`"],
    [["bench", "--import", "results.json", "--no-tuned", "--rounds", "5"], "`--rounds`, `--no-tuned` do not"],
    [["bench", "x.mta", "--peers", "tensorflow"], "choose from `onnxruntime-web`"],
    [["bench", "x.mta", "--target", "cuda-emulated", "--peers", "all"], "MTA925"],
    [["bench", "x.mta", "--lengths", "128,0"], "expected a whole number, at least 1"],
    [["bench", "x.mta", "--target", "reference"], "choose `webgpu`, `cuda`, `cpu`, `cuda-emulated`"],
    [["bench", "x.mta", "--arch", "sm_90"], "MTA916"],
    [["explain", "x.mta", "--length", "0"], "expected a whole number, at least 1"],
    [["run", "x.mta"], "required option '--inputs <file>'"],
    [["verify", "x.mta", "--schedule", "fast"], "Allowed choices are single_pass, two_pass, staged"],
    [["compile", "examples/mta_toy.mta", "--target", "metal"], "MTA903"],
    [["compile", "examples/mta_toy.mta", "--arch", "ampere"], "MTA915"],
    [["compile", "examples/mta_toy.mta", "--python", "--target", "cpu"], "leave out `--target`"],
    [["compile", "examples/mta_toy.mta", "--layout", "package"], "add `--python`"],
    [["compile", "examples/mta_toy.mta", "--python", "--layout", "wheel"], "package, kernel-builder"],
    [["compile", "examples/mta_toy.mta", "--arch", "90a"], "did you mean `sm_90a`?"],
    [["compile", "examples/mta_toy.mta", "--arch", "sm_75"], "set(CMAKE_CUDA_ARCHITECTURES 80)"],
  ])("%j is wrong usage", (args, message) => {
    const { code, stderr } = mtac(args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });

  test("wrong usage with --json is an object on stdout", () => {
    expect(JSON.parse(mtac(["chek", "--json"]).stdout)).toMatchObject({
      error: { code: "MTA900", kind: "usage" },
    });
  });

  test("colours only where wanted", () => {
    const bad = write(folder, "bad.mta", "attention a { heads 0 head_dim 4 }");
    expect(mtac(["check", bad]).stderr).not.toContain("\u001b[");
    expect(mtac(["check", bad], { env: { FORCE_COLOR: "1" } }).stderr).toContain("\u001b[");
    expect(mtac(["check", bad], { env: { FORCE_COLOR: "1", NO_COLOR: "1" } }).stderr).not.toContain(
      "\u001b[",
    );
  });
});

describe("check", () => {
  test("finds nothing wrong with the examples", () => {
    const examples = readdirSync(join(ROOT, "examples")).filter((name) => name.endsWith(".mta"));
    const { code, stdout } = mtac(["check", ...examples.map((name) => join("examples", name))]);
    expect(stdout).toContain(`${examples.length} files without errors`);
    expect(code).toBe(0);
  });

  test("reports every file, with exit code 1", () => {
    const one = write(folder, "one.mta", "attention a { heads 0 head_dim 4 }");
    const two = write(folder, "two.mta", "attention b { heds 2 head_dim 4 }");
    const { code, stderr, stdout } = mtac(["check", one, two]);
    expect(stderr).toContain(`${one}:1:`);
    expect(stderr).toContain("`heads`");
    expect(stdout).toContain("in 2 files");
    expect(code).toBe(1);
    const diagnostics: unknown = JSON.parse(mtac(["check", one, two, "--json"]).stdout);
    expect(diagnostics).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ code: expect.stringMatching(/^MTA\d{3}$/), file: one }),
      ]),
    );
  });

  test("a file that cannot be read", () => {
    expect(mtac(["check", folder])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("it is a folder"),
    });
  });
});

describe("compile --python", () => {
  const SPEC = "attention NAME { heads 2 head_dim 16 mask causal scores { conv 2x3 } }";

  function emit(name: string, ...more: readonly string[]): string {
    const file = write(folder, "again.mta", SPEC.replace("NAME", name));
    const out = join(folder, "again");
    expect(mtac(["compile", file, "--python", ...more, "--out", out])).toMatchObject({ code: 0 });
    return out;
  }

  test("leaves nothing of what it wrote before, and what is not its own", () => {
    const kernels = join(emit("first"), "again/_cuda");
    expect(readdirSync(kernels)).toContain("first.f32.cu");
    for (const name of ["first.f32-01234567.sm_90.cubin", "second.f32-01234567.sm_90.cubin", "notes.txt"])
      write(kernels, name, "");
    write(join(folder, "again"), "notes.md", "");
    const out = emit("second");
    expect(readdirSync(out)).toContain("notes.md");
    const names = readdirSync(kernels);
    expect(names.filter((name) => name.startsWith("first"))).toEqual([]);
    expect(names).toEqual(
      expect.arrayContaining(["notes.txt", "second.f32.cu", "second.f32-01234567.sm_90.cubin"]),
    );
  });

  test("keeps the place on the Hub that a kernel's owner chose", () => {
    const layout = ["--layout", "kernel-builder"];
    const file = join(emit("first", ...layout), "build.toml");
    const text = readFileSync(file, "utf8");
    expect(text).toContain('repo-id = "OWNER/again"');
    write(join(folder, "again"), "build.toml", text.replace("OWNER/again", "me/attention"));
    emit("second", ...layout);
    expect(readFileSync(file, "utf8")).toContain('repo-id = "me/attention"');
  });
});

describe("fmt", () => {
  test("formats in place, once", () => {
    const file = write(folder, "untidy.mta", "attention   a{heads 2\n head_dim 4}");
    expect(mtac(["fmt", "--check", file]).code).toBe(1);
    expect(mtac(["fmt", file]).code).toBe(0);
    expect(mtac(["fmt", "--check", file]).code).toBe(0);
    expect(mtac(["fmt", "-"], { input: "attention   a{heads 2\n head_dim 4}" }).stdout).toBe(
      readFileSync(file, "utf8"),
    );
  });

  test("the examples are formatted", () => {
    const examples = readdirSync(join(ROOT, "examples")).filter((name) => name.endsWith(".mta"));
    expect(mtac(["fmt", "--check", ...examples.map((name) => join("examples", name))])).toMatchObject({
      code: 0,
    });
  });

  test("leaves a broken file as it is", () => {
    const text = "attention a { heads";
    const file = write(folder, "broken.mta", text);
    expect(mtac(["fmt", file]).code).toBe(1);
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  test("leaves a file alone that is not UTF-8, whose letters it would lose", () => {
    const bytes = Buffer.from("// caf\xe9\nattention   a { heads 2 head_dim 4 }\n", "latin1");
    const file = write(folder, "latin.mta", bytes);
    const wide = write(
      folder,
      "wide.mta",
      Buffer.from("\ufeffattention a { heads 2 head_dim 4 }", "utf16le"),
    );
    for (const [name, command] of [
      [file, "fmt"],
      [file, "check"],
      [wide, "fmt"],
    ] as const)
      expect(mtac([command, name])).toMatchObject({
        code: 1,
        stderr: expect.stringContaining(`MTA905: cannot read ${name}: it is not UTF-8 text`),
      });
    expect(mtac(["fmt", "-"], { input: bytes }).stderr).toContain("cannot read stdin: it is not UTF-8 text");
    expect(readFileSync(file)).toEqual(bytes);
  });

  test("is for files: a pipe it would wait for has no end", () => {
    const pipe = join(folder, "pipe.mta");
    if (spawnSync("mkfifo", [pipe]).status !== 0) return;
    const { code, stderr } = mtac(["fmt", pipe]);
    expect(stderr).toContain("use `mtac fmt -`");
    expect(code).toBe(2);
    const within = join(write(folder, "file.mta", TWO), "within");
    expect(mtac(["fmt", within]).stderr).toContain("a part of the path is not a folder");
  });
});

describe("which attention", () => {
  const two = write(folder, "several.mta", TWO);

  test("several without a name are listed", () => {
    const { code, stderr } = mtac(["verify", two, "--target", "reference"]);
    expect(stderr).toMatch(/MTA909.*first, second/);
    expect(code).toBe(2);
  });

  test("the one named like the file wins", () => {
    const file = write(folder, "second.mta", TWO);
    const { stderr } = mtac(["verify", file, "--target", "reference", "--length", "4", "--json"]);
    expect(stderr).toContain("second on reference");
  });

  test("an unknown name", () => {
    expect(mtac(["explain", two, "--name", "third"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("MTA910"),
    });
  });

  test("a stack needs a layer, within its range", () => {
    const toy = "examples/mta_toy.mta";
    expect(mtac(["verify", toy, "--name", "mta_toy_model"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/MTA911.*stack of 4 layers/),
    });
    expect(mtac(["verify", toy, "--name", "mta_toy_model", "--layer", "4"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/MTA911.*no layer 4/),
    });
    const args = [
      "verify",
      toy,
      "--name",
      "mta_toy_model",
      "--layer",
      "2",
      "--target",
      "reference",
      "--length",
      "4",
    ];
    expect(mtac([...args, "--json"]).stderr).toContain("mta_toy on reference");
  });
});

describe("explain", () => {
  test("shows pipeline, parameters, work, candidates and plan", () => {
    const { code, stdout } = mtac([
      "explain",
      "examples/mta_830m.mta",
      "--name",
      "mta_830m",
      "--length",
      "512",
    ]);
    expect(code).toBe(0);
    for (const part of [
      "scores.conv",
      "weights.mix",
      "output.gate",
      "Parameters",
      "Work at length 512",
      "Candidates",
    ])
      expect(stdout).toContain(part);
    expect(stdout).toContain("6 layers of the 24 in mta_830m_model: 2, 6, 10, 14, 18, 22");
    expect(stdout).toMatch(/✗ single_pass: .+/);
    expect(stdout).toMatch(/workspace .* in \d+ buffers?/);
  });

  test("--json holds the whole plan", () => {
    const { stdout } = mtac(["explain", "examples/mta_toy.mta", "--json", "--schedule", "staged"]);
    const { attentions }: { attentions: unknown[] } = JSON.parse(stdout);
    expect(attentions).toHaveLength(2);
    expect(attentions[0]).toMatchObject({
      name: "mta_toy",
      plan: { format: 2, schedule: "staged", kernels: expect.any(Array), steps: expect.any(Array) },
      candidates: expect.any(Array),
      workspaceBytes: expect.any(Number),
      visiblePairs: 2 * 1024 * 1025 * 0.5,
    });
  });

  test("the 830M plan for 16384 rows needs at most 64 MiB", () => {
    const args = ["explain", "examples/mta_830m.mta", "--name", "mta_830m", "--length", "16384", "--json"];
    const { attentions }: { attentions: { workspaceBytes: number }[] } = JSON.parse(mtac(args).stdout);
    expect(attentions[0]?.workspaceBytes).toBeLessThanOrEqual(64 * 2 ** 20);
  });
});

describe("specs in TypeScript", () => {
  test("load in a folder without node_modules, with imports of their own", () => {
    write(folder, "size.ts", "export const heads: number = 4;\n");
    const file = write(
      folder,
      "built.ts",
      `import { attention, conv, type AttentionOptions } from "mtac";
import { heads } from "./size.ts";
interface Unused { readonly a: number }
const base: AttentionOptions = { heads, headDim: 8 };
export default [attention("built", { ...base, scores: [conv("2x3")] })];
`,
    );
    expect(mtac(["check", file], { cwd: folder })).toMatchObject({ code: 0, stderr: "" });
    expect(mtac(["explain", "built.ts"], { cwd: folder }).stdout).toContain("built  4 heads");
  });

  test("diagnostics name the property and the call's place in the original", () => {
    const file = write(
      folder,
      "wrong.ts",
      `import { attention } from "mtac";
interface Unused { readonly a: number }
export default attention("wrong", { heads: 3, headDim: 9999 });
`,
    );
    const { code, stderr } = mtac(["check", file]);
    expect(stderr).toContain(`${file}:3:`);
    expect(stderr).toContain("wrong.headDim");
    expect(code).toBe(1);
  });

  test.each([
    ["no-default.ts", "export const x = 1;\n", /MTA908.*no default export/],
    ["syntax.ts", "export default attention(\n", /MTA908.*syntax\.ts:2:1/],
    ["throws.ts", 'throw new Error("no luck");\n', /MTA908.*no luck/],
  ])("%s is an error", (name, text, message) => {
    const { code, stderr } = mtac(["check", write(folder, name, text)]);
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });
});

test("verify on WebGPU prints each tensor's error with its bound", () => {
  const { code, stdout } = mtac([
    "verify",
    "examples/mta_toy.mta",
    "--target",
    "webgpu",
    "--length",
    "20",
    "--json",
  ]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    target: "webgpu",
    errors: [
      { tensor: "o", error: expect.any(Number), bound: 5e-6, ok: true },
      { tensor: "lse", bound: 5e-6, ok: true },
    ],
  });
});

test("verify --grad checks the reference against finite differences", () => {
  const args = [
    "verify",
    "examples/grouped_window.mta",
    "--target",
    "reference",
    "--grad",
    "--length",
    "12",
    "--json",
  ];
  const { code, stdout } = mtac(args);
  expect(code).toBe(0);
  const { errors }: { errors: { tensor: string }[] } = JSON.parse(stdout);
  expect(errors.map(({ tensor }) => tensor)).toContain("d_scores.mix.weight");
});

test("devices lists the reference and a WebGPU adapter", () => {
  const { code, stdout } = mtac(["devices", "--json"]);
  expect(code).toBe(0);
  const devices: { target: string; limits?: Record<string, number> }[] = JSON.parse(stdout);
  expect(devices[0]).toMatchObject({ target: "reference" });
  const webgpu = devices.find(({ target, limits }) => target === "webgpu" && limits !== undefined);
  expect(webgpu?.limits).toMatchObject({ maxComputeInvocationsPerWorkgroup: expect.any(Number) });
});

test.skipIf(!existsSync("/proc/self"))("compile gives up on a folder that cannot be made", () => {
  const { code, stderr } = mtac(["compile", "examples/mta_toy.mta", "--out", "/proc/absent/deep"]);
  expect(stderr).toMatch(/MTA906: cannot write .*no such file or folder/);
  expect(code).toBe(1);
});

test("compile refuses a file as its folder, and leaves it as it was", () => {
  const file = write(folder, "taken", "text");
  const { code, stderr } = mtac(["compile", "examples/mta_toy.mta", "--out", file]);
  expect(stderr).toMatch(/MTA906: cannot write .*not a folder/);
  expect(code).toBe(1);
  expect(readFileSync(file, "utf8")).toBe("text");
});
