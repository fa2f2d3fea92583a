import { expect, test } from "vitest";
import { checkSource } from "../../compiler/compile/checked-source.ts";
import { compileKernels } from "../../compiler/compile/kernels.ts";
import { emitPythonPackage } from "../../compiler/python/index.ts";

// What packages for PyTorch hold; test/python runs them.

function packageOf(spec: string, file: string, cuda = false): Readonly<Record<string, string>> {
  const compiled = compileKernels(checkSource(spec, file).spec, { targets: ["cpu"] });
  return emitPythonPackage(compiled.pipelines, compiled.stacks, compiled.provenance, { cuda });
}

const SPEC = `attention toy { heads 4 kv_heads 2 head_dim 16 mask causal documents scores { conv 2x9 bias } output { norm depth_scale } }
attention lambda { heads 2 head_dim 16 mask none }
stack model { layers 2 use toy at 1 use lambda otherwise }`;

test("a package has sources, data, tests and what pip needs, in lines of at most 120 characters", () => {
  const more = ["first", "second", "third"].map(
    (each) => `attention ${each}_of_several_attentions extends lambda { }`,
  );
  const files = packageOf([SPEC, ...more].join("\n"), "my-spec.mta");
  const names = Object.keys(files);
  for (const name of [
    "pyproject.toml",
    "README.md",
    "my_spec/functional.py",
    "my_spec/layers.py",
    "my_spec/py.typed",
  ])
    expect(names).toContain(name);
  expect(names).toContain("my_spec/_native/native.c");
  expect(names).not.toContain("my_spec/_native/wasm.c");
  expect(names).toContain("tests/test_my_spec.py");
  for (const [name, text] of Object.entries(files))
    if (name.endsWith(".py"))
      for (const line of text.split("\n")) expect(line.length, `${name}: ${line}`).toBeLessThanOrEqual(120);
});

test("names that Python has taken get an underscore, inputs are those of the mask, layers those of the stack", () => {
  const { "my_spec/functional.py": functional = "", "my_spec/layers.py": layers = "" } = packageOf(
    SPEC,
    "my-spec.mta",
  );
  expect(functional).toContain("def lambda_(");
  const toy = functional.slice(functional.indexOf("def toy("), functional.indexOf("def toy_with_lse("));
  expect(toy).toContain("documents: Tensor,\n    layer: int,\n    q_history: Tensor | None = None,");
  expect(toy).toContain("scores_conv_weight: Tensor,\n    scores_conv_bias: Tensor,");
  expect(layers).toContain("class Lambda(AttentionLayer)");
  expect(layers).toContain(
    "Lambda(device=device, dtype=dtype),\n                Toy(layer=1, device=device, dtype=dtype),",
  );
});

test("kernels for CUDA are there for each type, with one file of plans for all passes", () => {
  const spec = "attention a { heads 2 head_dim 16 mask none weights { dropout 0.1 } }";
  const files = packageOf(spec, "a.mta", true);
  const names = Object.keys(files).filter((name) => name.startsWith("a/_cuda/"));
  for (const storage of ["f32", "f16", "bf16"])
    for (const ending of ["cu", "backward.cu", "dropout.cu", "dropout_backward.cu", "json"])
      expect(names).toContain(`a/_cuda/a.${storage}.${ending}`);
  const { passes } = JSON.parse(files["a/_cuda/a.f16.json"] ?? "");
  expect(Object.keys(passes)).toEqual(["forward", "backward", "dropout_forward", "dropout_backward"]);
  // Each plan but the first is for devices that cannot run those before it.
  const shared = passes.forward.map(
    ({ requires }: { requires: { sharedBytes: number } }) => requires.sharedBytes,
  );
  expect(shared).toEqual(shared.toSorted((x: number, y: number) => y - x));
  for (const { kernels } of [
    ...passes.forward,
    ...passes.backward,
    ...passes.dropout_forward,
    ...passes.dropout_backward,
  ])
    for (const { file, entryPoint } of kernels) expect(files[`a/_cuda/${file}`]).toContain(`${entryPoint}(`);
  expect(files["pyproject.toml"]).toContain('"a._cuda" = ["*.cu", "*.json", "*.cubin"]');
  expect(packageOf(spec, "a.mta")["pyproject.toml"]).not.toContain("_cuda");
});

test("forward passes on CUDA can keep what the output's stages are given, with dropout and without", () => {
  const spec = "attention a { heads 2 head_dim 16 mask none weights { dropout 0.1 } output { norm gate } }";
  const bare = spec.replace("output { norm gate }", "");
  for (const [text, kept] of [
    [spec, true],
    [bare, false],
  ] as const) {
    const files = packageOf(text, "a.mta", true);
    for (const storage of ["f32", "f16", "bf16"]) {
      const { passes } = JSON.parse(files[`a/_cuda/a.${storage}.json`] ?? "");
      for (const pass of ["forward", "dropout_forward", "backward", "dropout_backward"])
        for (const { schedule, kernels } of passes[pass]) {
          const bound = kernels.some((kernel: { arguments: string[] }) =>
            kernel.arguments.includes("values"),
          );
          expect(bound, `${storage} ${pass} ${schedule}`).toBe(kept);
        }
    }
  }
});

test("operators' names change with what the spec computes, and with nothing else", () => {
  const namespaceOf = (spec: string): string | undefined =>
    /"namespace": "(mtac_[0-9a-f]{8})"/.exec(packageOf(spec, "a.mta")["a/attention.json"] ?? "")?.[1];
  const spec = "attention a { heads 2 head_dim 16 mask causal }";
  expect(namespaceOf(spec)).toBeDefined();
  expect(namespaceOf(`// A comment.\n${spec}`)).toBe(namespaceOf(spec));
  expect(namespaceOf(spec.replace("16", "32"))).not.toBe(namespaceOf(spec));
});

test("names that Python's modules or the package's own classes have get an underscore, too", () => {
  const spec = "attention tensor { heads 2 head_dim 16 }\nattention attention_layer { heads 2 head_dim 16 }";
  const files = packageOf(spec, "json.mta");
  expect(files["json_/layers.py"]).toContain("class Tensor_(AttentionLayer)");
  expect(files["json_/layers.py"]).toContain("class AttentionLayer_(AttentionLayer)");
  expect(packageOf(spec, 'a"b.mta')["a_b/functional.py"]).toContain("of a'b.mta, line 1.");
});

test("two attentions of one name in Python are refused", () => {
  const spec = "attention a_with_lse { heads 2 head_dim 16 }\nattention a { heads 2 head_dim 16 }";
  expect(() => packageOf(spec, "a.mta")).toThrow("two attentions or stacks are called a_with_lse in Python");
});
