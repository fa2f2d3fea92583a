import { describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { declareChecked } from "../../compiler/compile/declare.ts";
import { printJson, printLiteral, printTemplate } from "../../compiler/emit/launcher/literal.ts";
import { emittedNames, pascalCase } from "../../compiler/emit/launcher/names.ts";
import { analyse } from "../../compiler/language/index.ts";

function filesOf(source: string, names?: readonly string[]): Readonly<Record<string, string>> {
  const { spec } = analyse(source, "folder/spec.mta");
  if (spec === null) throw new Error("the test's spec is wrong");
  return compileChecked(spec, names === undefined ? {} : { names }).files;
}

describe("files", () => {
  test("an attention gives launcher, kernels, plans and the kernels' text", () => {
    const files = filesOf("attention a { heads 1 head_dim 4 }");
    const names = Object.keys(files);
    expect(names).toEqual(expect.arrayContaining(["a.ts", "a.kernels.ts", "a.plan.json"]));
    expect(names.filter((name) => name.endsWith(".wgsl")).length).toBeGreaterThan(0);
    expect(JSON.parse(files["a.plan.json"] ?? "")).toMatchObject({
      name: "a",
      plans: expect.arrayContaining([expect.objectContaining({ format: 2 })]),
    });
  });

  test("plans leave out what only emitters read", () => {
    expect(filesOf("attention a { heads 1 head_dim 4 }")["a.plan.json"]).not.toContain('"program"');
  });

  test("name the spec without its folder, and the attention's line", () => {
    const files = filesOf("\n\nattention a { heads 1 head_dim 4 }");
    expect(files["a.ts"]).toContain("attention a, from spec.mta:3.");
    expect(Object.values(files).join("")).not.toContain("folder/");
  });

  test("a name chooses; a stack brings its attentions along", () => {
    const source = `attention a { heads 1 head_dim 4 } attention b extends a { heads 2 } attention c extends a { heads 4 }
      stack s { layers 2 use a at 0 use b otherwise }`;
    const launchers = (names: readonly string[]) =>
      Object.keys(filesOf(source, names)).filter((name) => /^\w+\.ts$/.test(name));
    expect(launchers(["c"])).toEqual(["c.ts"]);
    expect(launchers(["s"])).toEqual(["a.ts", "b.ts", "s.ts"]);
  });
});

describe("gradients", () => {
  const { spec } = analyse("attention a { heads 2 head_dim 4 scores { conv 2x3 } }", "spec.mta");
  const emitted = (grad: boolean): Readonly<Record<string, string>> =>
    spec === null ? {} : compileChecked(spec, { targets: ["cpu"], grad }).files;

  test("are there where they are asked for, and cost nobody else anything", () => {
    const [without, having] = [emitted(false), emitted(true)];
    for (const [file, text] of Object.entries(without)) expect(text, file).not.toMatch(/backward|Gradients/);
    expect(having["a.cpu.ts"]).toContain("async backward(");
    expect(having["a.cpu.ts"]).toContain(
      'readonly dQ: OwnedCpuTensor<"f32", readonly [number, 2, number, 4]>;',
    );
    expect(having["a.cpu.kernels.ts"]).toContain('direction: "backward"');
    expect(JSON.parse(having["a.cpu.plan.json"] ?? "").backward).toHaveLength(1);
    // Only the texts of errors tell of more.
    const forward = ({ "a.c": text = "" }: Readonly<Record<string, string>>): string =>
      text.slice(0, text.indexOf("const char *a_error_string("));
    expect(forward(having)).toBe(forward(without));
    expect(forward(having)).toContain("a_launch(");
    expect(having["a_backward.c"]).toBeDefined();
  });

  test("have kernels in files, as all others have", () => {
    if (spec === null) throw new Error("the test's spec is wrong");
    const { artifacts, cuda, files } = compileChecked(spec, { targets: ["webgpu", "cuda"], grad: true });
    const sources = [...artifacts, ...cuda].flatMap((each) => Object.entries(each.sources));
    expect(sources.map(([file]) => file)).toContain("a.backward.cu");
    for (const [file, text] of sources) expect(files[file], file).toContain(text);
  });

  test("of layers of a stack are their own launchers'", () => {
    const { spec: stacked } = analyse(
      "attention a { heads 2 head_dim 4 } stack s { layers 2 use a otherwise }",
      "spec.mta",
    );
    if (stacked === null) throw new Error("the test's spec is wrong");
    const stackOf = (grad: boolean): string =>
      compileChecked(stacked, { targets: ["cpu"], grad }).files["s.cpu.ts"] ?? "";
    expect(stackOf(true)).toContain("readonly launcher: Own;");
    expect(stackOf(true)).toContain("StackLayer<aModule.AInputs, aModule.AResult, aModule.ALauncher>");
    expect(stackOf(false)).not.toMatch(/Own|readonly launcher/);
  });

  test("are declared where a build has them", () => {
    if (spec === null) throw new Error("the test's spec is wrong");
    expect(declareChecked(spec, "cpu", true)).toContain("backward(");
    expect(declareChecked(spec, "cpu")).not.toContain("backward(");
  });
});

describe("types", () => {
  test("inputs are those that the mask permits", () => {
    const properties = (body: string) => {
      const text = filesOf(`attention a { heads 1 head_dim 4 ${body} }`)["a.ts"] ?? "";
      const inputs = /interface AInputs \{([^}]*)\}/.exec(text)?.[1] ?? "";
      return [...inputs.matchAll(/readonly (\w+\??):/g)].map(([, name]) => name);
    };
    const before = ["q", "k", "v", "qHistory?"];
    const always = [...before, "positions?"];
    expect(properties("")).toEqual(always);
    expect(properties("mask causal documents")).toEqual([...before, "documents", "positions?"]);
    expect(properties("mask lengths bias")).toEqual([...before, "lengths", "positions?", "bias"]);
    expect(properties("output { norm depth_scale }")).toEqual([...always, "layer"]);
  });

  test("parameters have their names and shapes", () => {
    const text = filesOf("attention a { heads 4 head_dim 8 scores { conv 2x3 bias mix 2 as pair } }")["a.ts"];
    expect(text).toContain('readonly "scores.conv.weight": ParameterTensor<readonly [4, 1, 2, 3]>;');
    expect(text).toContain('readonly "scores.conv.bias": ParameterTensor<readonly [4]>;');
    expect(text).toContain('readonly "scores.pair.weight": ParameterTensor<readonly [2, 2, 2]>;');
  });

  test("no lines are longer than a formatter's", () => {
    const files = filesOf("attention a { heads 4 head_dim 8 scores { conv 2x3 } output { norm gate } }");
    const long = (files["a.ts"] ?? "").split("\n").filter((line) => line.length > 120);
    expect(long).toEqual([]);
  });
});

test("layers with equal attentions share one module", () => {
  const files = filesOf(`attention a { heads 1 head_dim 4 } attention same extends a { }
    stack s { layers 3 use a at 0 use same otherwise }`);
  expect(files["s.ts"]).toContain('from "./a.js"');
  expect(files["s.ts"]).not.toContain('from "./same.js"');
});

describe("names", () => {
  test.each([
    ["mta_830m", "Mta830m"],
    ["int", "Int"],
    ["constructor", "Constructor"],
    ["_private", "Private"],
    ["_1", "_1"],
    ["_", "_"],
  ])("%s becomes %s", (name, expected) => {
    expect(pascalCase(name)).toBe(expected);
    expect(emittedNames(name).create).toBe(`create${expected}`);
  });
});

describe("literals", () => {
  test("a template literal means its text", () => {
    const text = ["a `b` $", "{c} \\n \\` $ {\r\n}"].join("");
    expect(new Function(`return ${printTemplate(text)}`)()).toBe(text);
  });

  test("JSON reads back, and fits lines where it can", () => {
    const value = {
      a: [1, 2, [3]],
      "b c": { d: null, e: "x\u2028" },
      f: Array.from({ length: 60 }, (_, i) => i),
    };
    expect(JSON.parse(printJson(value))).toEqual(value);
    expect(printJson({ a: [1, 2] })).toBe('{ "a": [1, 2] }\n');
    expect(printLiteral({ a: 1, "b.c": 2 })).toBe('{ a: 1, "b.c": 2 }');
  });

  test("what JSON cannot hold is a defect", () => {
    expect(() => printJson({ a: { b: Number.NaN } })).toThrow("$.a.b is NaN");
  });
});
