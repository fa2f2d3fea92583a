import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pluginSettings } from "../../compiler/plugin/options.ts";
import { TARGETS } from "../../compiler/targets.ts";
import { hasNodeGpu } from "../../runtime/node.ts";
import { mtac, temporaryFolder, write } from "./harness.ts";

const folder = temporaryFolder();
const spec = write(folder, "small.mta", "attention small { heads 2 head_dim 4 }\n");

/** What commands take; each lists it in its help, and in the error for another word. */
const COMMANDS: readonly [command: string, targets: readonly string[]][] = [
  ["run", TARGETS],
  ["verify", TARGETS],
  ["bench", ["webgpu", "cuda", "cpu", "cuda-emulated"]],
  ["tune", ["webgpu", "cuda", "cpu", "cuda-emulated"]],
  ["compile", ["webgpu", "cuda"]],
  ["explain", ["webgpu", "cuda"]],
  ["types", ["webgpu", "cuda"]],
];

describe.each(COMMANDS)("mtac %s", (command, targets) => {
  test("--help lists the targets", () => {
    const help = mtac([command, "--help"]).stdout.replace(/\s+/g, " ");
    expect(help).toContain(`choices: ${targets.map((target) => `"${target}"`).join(", ")}`);
  });

  test("another word is refused with the list", () => {
    const { code, stderr } = mtac([command, spec, "--target", "metal"]);
    expect(code).toBe(2);
    expect(stderr).toContain("MTA903");
    expect(stderr).toContain(`choose ${targets.map((target) => `\`${target}\``).join(", ")}`);
  });
});

test.each(["run", "verify", "bench", "tune"])(
  "mtac %s computes on the GPU, where there is one, unless it is told another",
  (command) => {
    const help = mtac([command, "--help"]).stdout.replace(/\s+/g, " ");
    expect(help).toMatch(/--target <target> [^-]*\(default: webgpu where there is a GPU, else cpu\)/);
  },
);

test("verify says nothing but what it found, and takes the GPU only where there is one", async () => {
  const { code, stdout, stderr } = mtac(["verify", spec, "--length", "8", "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({ target: (await hasNodeGpu()) ? "webgpu" : "cpu" });
  expect(stderr).toMatch(/^small on (webgpu|cpu)\n/);
  expect(code).toBe(0);
});

test.each(["run", "verify", "bench", "tune"])(
  "mtac %s refuses a misspelt --arch before it opens a device",
  (command) => {
    const files = command === "run" ? ["--inputs", "none", "--output", "none"] : [];
    const args = [command, spec, ...files, "--target", "cuda", "--arch"];
    for (const [arch, meant] of [
      ["90", "did you mean `sm_90`?"],
      ["compute_80", ""],
      ["sm80", ""],
    ] as const) {
      const { code, stderr } = mtac([...args, arch]);
      expect(stderr).toContain(`MTA915: \`${arch}\``);
      expect(stderr).toContain(meant);
      expect(code).toBe(2);
    }
  },
);

test("compile writes the same for webgpu and for wgsl", () => {
  const made = (target: string) => {
    const out = join(folder, `${target}.out`);
    expect(mtac(["compile", spec, "--target", target, "--out", out])).toMatchObject({ code: 0 });
    return readdirSync(out, { recursive: true }).map(String).sort();
  };
  const files = made("webgpu");
  expect(files.some((file) => file.endsWith(".wgsl"))).toBe(true);
  expect(files.some((file) => file.endsWith(".cu"))).toBe(false);
  expect(made("wgsl")).toEqual(files);
});

test("the plugin takes both names", () => {
  expect(pluginSettings({ target: "wgsl" }).target).toBe("webgpu");
  expect(pluginSettings({ target: "webgpu" }).target).toBe("webgpu");
});

test("help says which options are required", () => {
  const help = mtac(["run", "--help"]).stdout;
  expect(help).toMatch(/--inputs <file> .*\(required\)/);
  expect(help).toMatch(/--output <file> .*\(required\)/);
});

describe("the processor", () => {
  test("is listed in words of its own, and as numbers for programs", () => {
    const { stdout } = mtac(["devices"]);
    expect(stdout).toMatch(
      /\ncpu {2}.*threads?\n {2}vectors +\d+ bits: \d+ floats\n {2}threads +\d+\n {2}library/,
    );
    const listed: readonly { readonly target: string }[] = JSON.parse(mtac(["devices", "--json"]).stdout);
    const cpus = listed.filter((each) => each.target === "cpu" && !("error" in each));
    expect(cpus).toEqual([
      {
        target: "cpu",
        device: expect.any(String),
        software: false,
        limits: { lanes: expect.any(Number), threads: expect.any(Number) },
        features: [expect.stringMatching(/^(native|wasm)$/)],
      },
    ]);
  });

  test("is explained without workgroups and dispatches, with memory that grows with the keys", () => {
    const args = ["explain", "examples/mta_830m.mta", "--name", "mta_830m", "--target", "cpu"];
    const { stdout } = mtac([...args, "--length", "512"]);
    expect(stdout).not.toMatch(/workgroup|TiB|dispatch/);
    expect(stdout.replace(/\s+/g, " ")).toMatch(
      /for cpu with \d+ floats a vector and \d+ threads .* workspace [\d.]+ MiB with \d+ threads; it grows with the keys alone: [\d.]+ MiB for 1024/,
    );
    const [at1024, at4096] = ["1024", "4096"].map((length) => {
      const { attentions } = JSON.parse(mtac([...args, "--length", length, "--json"]).stdout);
      return attentions[0];
    });
    expect(at4096.workspaceBytes / at1024.workspaceBytes).toBeLessThan(4.1);
    expect(at4096.gradients.workspaceBytes / at1024.gradients.workspaceBytes).toBeLessThan(4.1);
  });

  test("is explained with its gradients, and so are others", () => {
    const args = ["explain", "examples/mta_830m.mta", "--name", "mta_830m", "--length", "512"];
    const { stdout } = mtac([...args, "--target", "cpu"]);
    expect(stdout.replace(/\s+/g, " ")).toMatch(
      /Gradients operations [\d.]+ G at least; 2\.73× the forward pass's .* predicted time [\d.]+× .* Plan for gradients staged, .* from the last to the first, .* workspace [\d.]+ MiB/,
    );
    const [{ gradients }] = JSON.parse(mtac([...args, "--target", "cpu", "--json"]).stdout).attentions;
    expect(gradients).toMatchObject({
      operations: 2 * 16 * ((512 * 513) / 2) * (5 * 96 + 3 * (2 * 66 + 2 * 16)),
      plan: { direction: "backward", cost: { floorMultiplyAdds: gradients.operations / 2 } },
    });
    expect(mtac([...args, "--target", "cuda"]).stdout).toContain("Plan for gradients staged");
  });

  test("computes without a word of devices", () => {
    const { code, stdout } = mtac(["verify", spec, "--target", "cpu", "--length", "8"]);
    expect(code).toBe(0);
    expect(stdout).not.toMatch(/on the device|dispatch/);
  });
});
