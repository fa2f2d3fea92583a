import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fromValues, type StoredTensor, writeSafetensors } from "../../runtime/safetensors/index.ts";
import { type CliResult, filled, mtac, temporaryFolder, write } from "./harness.ts";

// Files far larger than anyone's: right results or coded errors, in time. The bound has room for slow, busy machines; work that grew with the
// square of the size took longer by far.
const SECONDS = 40;

const folder = temporaryFolder();
const spec = write(
  folder,
  "small.mta",
  "attention small { heads 2 head_dim 4 scores { conv 2x3 } }\nstack model { layers 30 use small otherwise }",
);

function inTime(args: readonly string[]): CliResult {
  const start = performance.now();
  const result = mtac(args);
  expect((performance.now() - start) / 1000).toBeLessThan(SECONDS);
  expect(result.stderr).not.toContain("MTA999");
  return result;
}

/** A safetensors file with 100,000 empty tensors beside others. */
function crowded(name: string, nameOf: (index: number) => string, others: Record<string, StoredTensor> = {}) {
  const empty = fromValues("F32", [0], []);
  const names = Array.from({ length: 100_000 }, (_, index): [string, StoredTensor] => [nameOf(index), empty]);
  return write(folder, name, writeSafetensors(new Map([...names, ...Object.entries(others)])));
}

const shape = [1, 2, 3, 4];
const inputs = { q: filled(shape), k: filled(shape), v: filled(shape) };
const weight = { "scores.conv.weight": filled([2, 1, 2, 3]) };
const output = join(folder, "o.safetensors");
const run = ["run", spec, "--target", "reference", "--output", output, "--inputs"];

test.each(["webgpu", "cuda", "cpu"])("calls of a billion rows and keys are planned for %s", (target) => {
  const given = ["--target", target, "--length", "1000000000"];
  expect(inTime(["explain", spec, ...given])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("Plan"),
  });
  const out = ["--out", join(folder, target), "--no-launcher"];
  expect(inTime(["compile", spec, ...given, ...out])).toMatchObject({ code: 0 });
});

describe("100,000 tensors", () => {
  const extra = crowded("extra.safetensors", (index) => `scores.conv.weight_${index}`, weight);

  test("that the inputs should not have are refused", () => {
    const file = crowded("inputs.safetensors", (index) => `scores.conv.weight_${index}`, inputs);
    expect(inTime([...run, file])).toMatchObject({ code: 1, stderr: expect.stringContaining("MTA913") });
  });

  test("beside the weights are reported, in a line", () => {
    const file = write(folder, "in.safetensors", writeSafetensors(new Map(Object.entries(inputs))));
    const { code, stdout, stderr } = inTime([...run, file, "--weights", extra]);
    expect(stderr).toContain("100000");
    expect(code).toBe(0);
    expect((stdout + stderr).length).toBeLessThan(2000);
  });

  test("in as many places are too many to choose from", () => {
    const file = crowded("places.safetensors", (index) => `layers.${index % 30}.a${index}.mta_kernel`);
    const args = ["weights", spec, file, "--layout", "ram", "--output", output];
    expect(inTime([...args, "--name", "model"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("MTA"),
    });
    expect(inTime([...args, "--name", "small"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("MTA"),
    });
  });
});

test("megabytes of metadata do no harm", () => {
  const text = '\\"'.repeat(4_000_000);
  const header = JSON.stringify({ __metadata__: { text } });
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(Buffer.byteLength(header)), true);
  const file = write(folder, "metadata.safetensors", Buffer.concat([length, Buffer.from(header)]));
  expect(inTime([...run, file])).toMatchObject({ code: 1, stderr: expect.stringContaining("MTA601") });
});

describe("specs", () => {
  const lines = (count: number, line: (index: number) => string): string =>
    Array.from({ length: count }, (_, index) => line(index)).join("\n");

  test("with 2000 chained constants mean what they say", () => {
    const chain = lines(2000, (index) => `const c_${index}x = c_${index + 1}x`);
    const text = `attention a { heads c_0x head_dim 8 }\n${chain}\nconst c_2000x = 2\n`;
    const file = write(folder, "chain.mta", text);
    expect(inTime(["check", file])).toMatchObject({ code: 0 });
    expect(inTime(["explain", file]).stdout).toContain("2 heads");
    expect(inTime(["fmt", file])).toMatchObject({ code: 0 });
    expect(inTime(["fmt", "--check", file])).toMatchObject({ code: 0 });
  });

  test("with 5000 unknown attentions, or 20,000 convolutions, are refused", () => {
    const uses = lines(5000, () => "use nope at 0");
    const unknown = write(
      folder,
      "unknown.mta",
      `attention a { heads 2 head_dim 8 }\nstack s { layers 4 ${uses} }`,
    );
    const { code, stdout, stderr } = inTime(["check", unknown]);
    expect(code).toBe(1);
    expect(stderr.match(/MTA208/g)).toHaveLength(51);
    expect(stderr).toContain(`9899 more messages of ${unknown}: mend these first`);
    expect(stdout).toContain("9999 errors");
    const convs = lines(20_000, () => "conv 3x3");
    const long = write(folder, "long.mta", `attention a { heads 2 head_dim 8 scores { ${convs} } }`);
    for (const command of ["check", "explain"])
      expect(inTime([command, long])).toMatchObject({ code: 1, stderr: expect.stringContaining("MTA313") });
  });

  test("with 200,000 faults count them", () => {
    const file = write(folder, "stray.mta", "\u20ac ".repeat(200_000));
    const { code, stdout } = inTime(["check", file]);
    expect(code).toBe(1);
    expect(stdout).toContain("200000 errors");
  });
});
