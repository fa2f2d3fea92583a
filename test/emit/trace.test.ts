import { describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { specLines } from "../../compiler/emit/trace.ts";
import { analyse } from "../../compiler/language/index.ts";

const SPEC = `attention a {
  heads 2
  head_dim 8
  scores { conv 2x3 }
  output {
    norm
    gate
  }
}
`;

function filesOf(targets: readonly ("wgsl" | "cuda")[], schedule: "single_pass" | "staged") {
  const { spec } = analyse(SPEC, "folder/spec.mta");
  if (spec === null) throw new Error("the test's spec is wrong");
  return compileChecked(spec, { targets, schedule }).files;
}

/** The spec lines of the kernel's lines that hold a text. */
function linesOf(kernel: string, text: string): readonly number[] {
  const trace = specLines(kernel);
  if (trace === null) throw new Error("the kernel names no spec");
  expect(trace.file).toBe("spec.mta");
  expect(trace.lines).toHaveLength(kernel.split("\n").length);
  return kernel.split("\n").flatMap((line, index) => (line.includes(text) ? [trace.lines[index] ?? 0] : []));
}

describe("the spec line of a kernel's line", () => {
  test("a fused kernel: the attention's, and each stage's in its part", () => {
    const kernel = filesOf(["wgsl"], "single_pass")["a.attention.wgsl"] ?? "";
    expect(linesOf(kernel, "@group(0) @binding(0)")).toEqual([1]);
    expect(linesOf(kernel, "block = dot_block(")).toEqual([1]);
    expect(linesOf(kernel, "fn scores_conv")).toEqual([4, 4]);
    expect(linesOf(kernel, "fn finish_scores_conv(")).toEqual([4]);
    expect(linesOf(kernel, "block = scores_conv(")).toEqual([4]);
    expect(linesOf(kernel, "fn softmax_step(")).toEqual([1]);
    expect(linesOf(kernel, "// output.norm (line")).toEqual([6]);
    expect(linesOf(kernel, "// output.gate (line")).toEqual([7]);
    // The line after a stage's comment is the stage's, too.
    const text = kernel.split("\n");
    expect(
      specLines(kernel)?.lines[text.findIndex((line) => line.includes("// output.gate (line")) + 1],
    ).toBe(7);
  });

  test("a kernel of one stage: the stage's", () => {
    const kernel = filesOf(["wgsl"], "staged")["a.scores_conv.wgsl"] ?? "";
    expect(linesOf(kernel, "fn main(")).toEqual([4]);
  });

  test("CUDA: the same", () => {
    const kernel = filesOf(["cuda"], "single_pass")["a.cu"] ?? "";
    expect(linesOf(kernel, "__global__")).toEqual([1]);
    expect(new Set(linesOf(kernel, "scores_conv_kernel(const"))).toEqual(new Set([4]));
    expect(linesOf(kernel, "// output.gate (line")).toEqual([7]);
  });

  test("text that names no spec has none", () => {
    expect(specLines("fn main() {}\n")).toBeNull();
    expect(specLines("// a: attention\nfn main() {}\n")).toBeNull();
  });
});
