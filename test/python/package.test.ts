import { existsSync, readdirSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readBlocks } from "../docs/blocks.ts";
import { withFolder } from "../support/folder.ts";
import { PYTHON, packageOf, python, writeFiles } from "./python.ts";

const EXAMPLES = ["mta_830m", "mta_toy", "grouped_window"] as const;

function example(name: string): Readonly<Record<string, string>> {
  const file = new URL(`../../examples/${name}.mta`, import.meta.url);
  return packageOf(readFileSync(file, "utf8"), `${name}.mta`);
}

describe.each(EXAMPLES)("the package of %s", (name) => {
  test("passes ruff, mypy and pyright", async () => {
    await withFolder(async (folder) => {
      writeFiles(folder, example(name));
      await python(["-m", "ruff", "check", "."], folder);
      await python(["-m", "ruff", "format", "--check", "."], folder);
      expect(await python(["-m", "mypy", "--strict", "."], folder)).toContain("Success");
      expect(await python(["-m", "pyright", "--pythonpath", PYTHON, "."], folder)).toContain(
        "0 errors, 0 warnings",
      );
    });
  });

  test("passes its own tests", async () => {
    await withFolder(async (folder) => {
      writeFiles(folder, example(name));
      const said = await python(["-m", "unittest", "discover", "tests"], folder, true);
      const attentions = readFileSync(join(folder, `tests/test_${name}.py`), "utf8").match(/^class /gm) ?? [];
      expect(said).toContain(`Ran ${attentions.length * 21} tests`);
      expect(said).toContain("OK");
    });
  });
});

test("the package of an attention with every kind of input passes its own tests", async () => {
  const stages =
    "normalize sparsemax scores { conv 3x5 softcap 20 } weights { dropout 0.3 mix 2 } output { norm depth_scale gate channel }";
  const spec = `attention a { heads 4 kv_heads 2 head_dim 24 value_dim 20 mask causal bias ${stages} }`;
  await withFolder(async (folder) => {
    writeFiles(folder, packageOf(spec, "biased.mta"));
    expect(await python(["-m", "unittest", "discover", "tests"], folder, true)).toContain("Ran 21 tests");
  });
});

test("is installed by pip, beside another version of itself", async () => {
  await withFolder(async (folder) => {
    const specs = { one: "conv 2x9", two: "conv 3x9" };
    for (const [name, stage] of Object.entries(specs)) {
      const spec = `attention toy { heads 2 head_dim 16 mask causal scores { ${stage} } }`;
      writeFiles(join(folder, name), packageOf(spec, `${name}.mta`, true));
      const place = ["--target", "installed", "--no-deps", "--no-build-isolation", "--quiet"];
      await python(["-m", "pip", "install", ...place, `./${name}`], folder);
    }
    const said = await python(
      [
        "-c",
        `import sys, torch
sys.path.insert(0, "installed")
import one, two
q = torch.randn(1, 2, 8, 16)
print([package.Toy()(q, q, q).shape[2] for package in (one, two)], one.Toy().scores.conv.weight.shape[2])`,
      ],
      folder,
    );
    expect(said.trim()).toBe("[8, 8] 2");
    expect(existsSync(join(folder, "installed/one/_cuda/toy.f16.backward.cu"))).toBe(true);
    expect(existsSync(join(folder, "installed/one/_cuda/toy.f16.json"))).toBe(true);
  });
});

test("the programs of docs/pytorch.md run", async () => {
  const blocks = readBlocks("docs/pytorch.md");
  const specs = blocks.filter(({ language }) => language === "mta");
  await withFolder(async (folder) => {
    for (const [index, file] of ["toy.mta", "dropping.mta"].entries())
      writeFiles(folder, packageOf(specs[index]?.text ?? "", file));
    const programs = blocks.filter(({ settings }) => settings.get("norun")?.endsWith("test/python runs it"));
    expect(programs).toHaveLength(3);
    const said: string[] = [];
    for (const { text } of programs) said.push(await python(["-c", text], folder));
    expect(said[0]).toMatch(/^1\.000\n0\.98\d\n0\.96\d\n$/);
    expect(said[1]).toBe("tensor(True)\n");
    expect(said[2]).toBe("False True\nTrue tensor(True)\n");
  });
});

const SMALL = "attention toy { heads 2 head_dim 16 mask causal scores { conv 2x9 } }";
const CALL = "import torch, toy\nq = torch.randn(1, 2, 8, 16)\nprint(toy.Toy()(q, q, q).shape)";

describe("what goes wrong has a code", () => {
  const said = async (
    prepare: string,
    change: (files: Readonly<Record<string, string>>) => Readonly<Record<string, string>> = (files) => files,
  ): Promise<string> => {
    let error = "";
    await withFolder(async (folder) => {
      writeFiles(folder, change(packageOf(SMALL, "toy.mta")));
      const program = `import os\nos.environ["XDG_CACHE_HOME"] = os.path.abspath("cache")\n${prepare}\n${CALL}`;
      error = await python(["-c", program], folder).catch(String);
    });
    return error;
  };

  test("no compiler, one that does not run, then one", async () => {
    expect(await said('os.environ["CC"] = "nocc -x"')).toContain(
      "MTA880: there is no C compiler: CC is nocc -x",
    );
    expect(await said('os.environ["PATH"] = ""')).toContain("MTA880: there is no C compiler");
    expect(await said("")).toContain("torch.Size([1, 2, 8, 16])");
  });

  test("a cache that cannot be written", async () => {
    expect(await said('open("cache", "w").close()')).toContain("MTA882");
  });

  test("a cache whose library was cut short is filled anew", async () => {
    await withFolder(async (folder) => {
      writeFiles(folder, packageOf(SMALL, "toy.mta"));
      const call = (): Promise<string> =>
        python(["-c", CALL], folder, false, { XDG_CACHE_HOME: join(folder, "cache") });
      await call();
      const cache = join(folder, "cache/mtac/python");
      const [library = "", ...more] = readdirSync(cache);
      expect(more).toEqual([]);
      const whole = readFileSync(join(cache, library));
      // Its header is there: a loader maps pages that the file does not have.
      truncateSync(join(cache, library), whole.length / 2);
      expect(await call()).toContain("torch.Size([1, 2, 8, 16])");
      expect(readdirSync(cache)).toHaveLength(1);
    });
  });

  test("a compiler that fails, with what it says", async () => {
    const broken = await said("", (files) => ({ ...files, "toy/_native/native.c": "int broken(" }));
    expect(broken).toContain("MTA883");
    expect(broken).toContain("native.c:1");
  });

  test.each<[string, (data: string) => string]>([
    ["of another version", (data) => data.replace(/"format": \d+/, '"format": 9')],
    ["that ends too early", (data) => data.slice(0, 1000)],
    ["that is none", () => "[]"],
  ])("data %s", async (_what, change) => {
    const name = "toy/attention.json";
    expect(await said("", (files) => ({ ...files, [name]: change(files[name] ?? "") }))).toContain("MTA672");
  });

  test.each(["", "{}", '{"passes": '])("plans that are %j", async (text) => {
    const read = 'from pathlib import Path\nfrom toy._runtime import plan\nplan.read(Path("toy/plans.json"))';
    expect(await said(read, (files) => ({ ...files, "toy/plans.json": text }))).toContain("MTA812");
  });

  test("libraries that are built beforehand need no compiler", async () => {
    await withFolder(async (folder) => {
      writeFiles(folder, packageOf(SMALL, "toy.mta"));
      const built = await python(["-m", "toy.build", "--processor=-march=native"], folder);
      expect(built.trim().split("\n")).toHaveLength(2);
      const program = `import os\nos.environ["PATH"] = ""\n${CALL}`;
      expect(await python(["-c", program], folder)).toContain("torch.Size([1, 2, 8, 16])");
    });
  });
});

test("official weights are found by their names, transposed where they are stored so", async () => {
  const spec = "attention a { heads 4 head_dim 8 mask causal scores { conv 2x3 } weights { mix 2 } }";
  const program = `import torch, spec
a = spec.A()
state = {"layers.0.attention.mta_kernel": torch.randn(4, 1, 2, 3), "layers.0.attention.head_kernel": torch.randn(2, 2, 2), "layers.0.wq": torch.randn(3)}
a.load_official_state_dict(state)
print(torch.equal(a.get_parameter("scores.conv.weight"), state["layers.0.attention.mta_kernel"]))
print(torch.equal(a.get_parameter("weights.mix.weight"), state["layers.0.attention.head_kernel"].transpose(1, 2)))
try:
    a.load_official_state_dict({"mta_kernel": torch.randn(4, 1, 2, 3)})
except spec.MtacError as error:
    print(error.code)`;
  await withFolder(async (folder) => {
    writeFiles(folder, packageOf(spec, "spec.mta"));
    expect(await python(["-c", program], folder)).toBe("True\nTrue\nMTA611\n");
  });
});
