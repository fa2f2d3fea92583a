import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { printable, printableJson } from "../../compiler/terminal/style.ts";
import { filled, MAIN, mtac, ROOT, temporaryFolder, write, writeTensors } from "./harness.ts";

const folder = temporaryFolder();
/** Sets a terminal's title, goes up a line, and turns text around: as an escape, as one character (C1), by Unicode. */
const EVIL = "a\u001b]0;title\u0007\u009b1A\u202e\u200f\u2028b";
// biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may be printed.
const RAW = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

describe("control characters", () => {
  const spec = write(folder, `${EVIL}.mta`, "attention small { heads 2 head_dim 4 }\n");
  const plain = write(folder, "plain.mta", "attention small { heads 2 head_dim 4 }\n");
  const shape = [1, 2, 3, 4];
  const inputs = writeTensors(folder, "inputs.safetensors", {
    q: shape,
    k: shape,
    v: shape,
    [EVIL]: filled([1]),
  });

  test.each([
    ["of a spec's name", ["fmt", spec]],
    [
      "of a spec's name, with --json",
      ["compile", spec, "--json", "--target", "webgpu", "--out", join(folder, "out")],
    ],
    ["of a file that is not there", ["check", `${spec}${EVIL}`]],
    [
      "of a tensor's name",
      ["run", plain, "--target", "reference", "--inputs", inputs, "--output", join(folder, "o")],
    ],
    ["of an option's value", ["verify", plain, "--target", EVIL]],
  ])("%s are not printed", (_what, args) => {
    const { stdout, stderr } = mtac(args);
    expect(stdout + stderr).not.toMatch(RAW);
    expect(stdout + stderr).toMatch(/\uFFFD|\\u001b/);
  });

  test("leave colours alone where there are colours", () => {
    const line = `\u001b[31m${EVIL}\u001b[39m\tend\n`;
    expect(printable(line, true)).toBe(
      "\u001b[31ma\uFFFD]0;title\uFFFD\uFFFD1A\uFFFD\uFFFD\uFFFDb\u001b[39m\tend\n",
    );
    expect(printable(line, false)).not.toContain("\u001b");
    expect(JSON.parse(printableJson(JSON.stringify(EVIL)))).toBe(EVIL);
    expect(printableJson(JSON.stringify(EVIL))).not.toMatch(RAW);
  });
});

describe("a line end in a name begins no line that passes for a message", () => {
  const FORGED = "x\nerror MTA000: forged";
  const text = "attention small { heads 2 head_dim 4 }\n";
  const shape = [1, 2, 3, 4];
  const tensors = { q: shape, k: shape, v: shape };
  const spec = write(folder, "forged.mta", text);
  const named = write(folder, `${FORGED}.mta`, text);
  const inputs = writeTensors(folder, "some.safetensors", tensors);
  const more = writeTensors(folder, "more.safetensors", { ...tensors, [FORGED]: filled([1]) });
  const output = join(folder, FORGED);
  const run = ["run", spec, "--target", "reference", "--output", output];

  test.each([
    ["an unknown tensor", [...run, "--inputs", more]],
    ["a tensor that is left", [...run, "--inputs", inputs, "--weights", more]],
    ["the output", [...run, "--inputs", inputs]],
    ["a file that is not there", ["check", join(folder, "none", FORGED)]],
    ["a formatted file", ["fmt", named]],
    ["a declared file", ["types", named]],
  ])("%s", (_what, args) => {
    const { stdout, stderr } = mtac(args);
    expect(stdout + stderr).toContain("forged");
    expect(stdout + stderr).not.toMatch(/^error MTA000/m);
  });
});

describe("an old Node", () => {
  function underNode(version: string, ...args: string[]) {
    const fake = `Object.defineProperty(process, "versions", { value: { node: "${version}" } });`;
    const preload = `data:text/javascript,${encodeURIComponent(fake)}`;
    return spawnSync(process.execPath, ["--import", preload, MAIN, ...args], { encoding: "utf8" });
  }

  test.each(["18.20.4", "20.18.3"])("%s gets one line and exit code 2", (version) => {
    const { status, stdout, stderr } = underNode(version, "version");
    expect(stderr).toBe(`error MTA932: mtac needs Node 20.19 or later, and this is Node ${version}\n`);
    expect(stdout).toBe("");
    expect(status).toBe(2);
    expect(JSON.parse(underNode(version, "check", "--json").stdout)).toMatchObject({
      error: { code: "MTA932" },
    });
  });

  test.each(["20.19.0", "22.1.0"])("%s is no old Node", (version) => {
    expect(underNode(version, "version").status).toBe(0);
  });

  test("is told by a file that loads nothing, and the package says the same version", () => {
    expect(readFileSync(MAIN, "utf8")).not.toMatch(/^import[ {*]/m);
    const { engines } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    expect(engines.node).toBe(">=20.19");
  });
});
