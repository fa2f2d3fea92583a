import { describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { type KernelTrace, traceKernels } from "../../compiler/emit/trace.ts";
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

interface Traced {
  readonly trace: KernelTrace;
  readonly text: string;
}

function traceOf(target: "webgpu" | "cuda", schedule: "single_pass" | "staged", file: string): Traced {
  const { spec } = analyse(SPEC, "folder/spec.mta");
  if (spec === null) throw new Error("the test's spec is wrong");
  const { files, artifacts, cuda } = compileChecked(spec, { targets: [target], schedule });
  const [artifact] = target === "cuda" ? cuda : artifacts;
  const trace = artifact === undefined ? undefined : traceKernels(artifact)[file];
  if (trace === undefined) throw new Error(`${file} has no trace`);
  expect(trace.file).toBe("spec.mta");
  return { trace, text: files[file] ?? "" };
}

/** The spec lines of the kernel's lines that hold a text. */
function linesOf({ text, trace }: Traced, part: string): readonly number[] {
  return text.split("\n").flatMap((line, index) => (line.includes(part) ? [trace.lineOf(index + 1)] : []));
}

describe("the spec line of a kernel's line", () => {
  test("a fused kernel: the attention's, and each stage's in its part", () => {
    const kernel = traceOf("webgpu", "single_pass", "a.attention.wgsl");
    expect(linesOf(kernel, "@group(0) @binding(0)")).toEqual([1]);
    expect(linesOf(kernel, "block = dot_block(")).toEqual([1]);
    expect(linesOf(kernel, "fn scores_conv")).toEqual([4, 4]);
    expect(linesOf(kernel, "fn finish_scores_conv(")).toEqual([4]);
    expect(linesOf(kernel, "block = scores_conv(")).toEqual([4]);
    expect(linesOf(kernel, "fn softmax_step(")).toEqual([1]);
    expect(linesOf(kernel, "// output.norm (line")).toEqual([6]);
    expect(linesOf(kernel, "// output.gate (line")).toEqual([7]);
    // The line after a stage's comment is the stage's, too.
    const gate = kernel.text.split("\n").findIndex((line) => line.includes("// output.gate (line"));
    expect(kernel.trace.lineOf(gate + 2)).toBe(7);
  });

  test("a kernel of one stage: the stage's", () => {
    const kernel = traceOf("webgpu", "staged", "a.scores_conv.wgsl");
    expect(linesOf(kernel, "fn main(")).toEqual([4]);
  });

  test("CUDA: the same", () => {
    const kernel = traceOf("cuda", "single_pass", "a.cu");
    expect(linesOf(kernel, "__global__")).toEqual([1]);
    expect(new Set(linesOf(kernel, "scores_conv_kernel(const"))).toEqual(new Set([4]));
    expect(linesOf(kernel, "// output.gate (line")).toEqual([7]);
  });

  test("CUDA: each kernel of a file has its own stage's", () => {
    const kernel = traceOf("cuda", "staged", "a.cu");
    expect(linesOf(kernel, "namespace scores_conv {")).toEqual([4]);
    expect(linesOf(kernel, "namespace scores {")).toEqual([1]);
  });

  test("an attention that no spec names has none", () => {
    const { spec } = analyse(SPEC, "spec.mta");
    const [artifact] = spec === null ? [] : compileChecked(spec, { targets: ["webgpu"] }).artifacts;
    if (artifact === undefined) throw new Error("no plans");
    const plans = artifact.plans.map((plan) => ({ ...plan, pipeline: { ...plan.pipeline, source: null } }));
    expect(traceKernels({ ...artifact, plans })).toEqual({});
  });
});
