import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { withFolder } from "../support/folder.ts";
import { SEED } from "../support/seed.ts";
import { packageOf, python, writeFiles } from "./python.ts";

// NVRTC from PyPI, which needs no GPU, compiles what packages carry: a third of the toy's sources, each for one architecture, drawn by
// the seed. With MTAC_CUDA_FULL=1 all sources of every example, for all architectures.

const ARCHITECTURES = [80, 86, 89, 90, 100, 120];
const { MTAC_CUDA_FULL } = process.env;
const full = MTAC_CUDA_FULL === "1";

/** Compiles sources; prints for each its form, machine and kernels that are not in it. */
const PROGRAM = `import json, struct, sys
from importlib import import_module
name, wanted = sys.argv[1], json.loads(sys.argv[2])
cuda, compilers, plan = (import_module(f"{name}._runtime.{each}") for each in ("cuda", "compilers", "plan"))
compiler = compilers.the_compiler()
if compiler is None or compiler.kind != "nvrtc":
    sys.exit("NVRTC is missing: python -m pip install nvidia-cuda-nvrtc")
for file, capability in wanted:
    attention, storage = file.split(".")[:2]
    plans = plan.read(cuda.KERNELS / f"{attention}.{storage}.json")
    goal = compilers.Goal(compiler, capability)
    text = (cuda.KERNELS / file).read_text()
    image = compiler.compile(text, file, plans["options"]["nvrtc"], goal)
    (machine,) = struct.unpack_from("<H", image, 18)
    kernels = [kernel for each in sum(plans["passes"].values(), []) for kernel in each["kernels"]]
    missing = [each["entryPoint"] for each in kernels if each["file"] == file and each["entryPoint"].encode() not in image]
    print(file, capability, goal.form, image[:4] == b"\\x7fELF", machine, missing)
`;

/** ELF's number for CUDA (EM_CUDA). */
const MACHINE = 190;

describe.each(full ? ["mta_830m", "mta_toy", "grouped_window"] : ["mta_toy"])("%s", (name) => {
  test(`NVRTC compiles sources to machine code that has their kernels, seed ${SEED}`, {
    timeout: 3_600_000,
  }, async () => {
    await withFolder(async (folder) => {
      const spec = readFileSync(`examples/${name}.mta`, "utf8");
      const files = packageOf(spec, `${name}.mta`, true);
      writeFiles(folder, files);
      const sources = Object.keys(files)
        .filter((file) => file.endsWith(".cu"))
        .map((file) => file.slice(`${name}/_cuda/`.length));
      expect(sources.length).toBeGreaterThan(5);
      const drawn = full ? sources : sources.filter((_, index) => index % 3 === SEED % 3);
      const wanted = drawn.flatMap((file, index) =>
        ARCHITECTURES.filter((_, at) => full || at === (index + SEED) % ARCHITECTURES.length).map((each) => [
          file,
          each,
        ]),
      );
      const said = await python(["-c", PROGRAM, name, JSON.stringify(wanted)], folder);
      const expected = wanted.map(([file, each]) => `${file} ${each} cubin True ${MACHINE} []`);
      expect(said.trim().split("\n")).toEqual(expected);
    });
  });
});

test("kernels that are built beforehand are taken, on later minor versions too; others are compiled once", async () => {
  await withFolder(async (folder) => {
    // Forward passes whose kernels can keep what the output's stages are given.
    const spec = "attention a { heads 2 head_dim 16 mask none output { norm gate } }";
    const files = packageOf(spec, "a.mta", true);
    writeFiles(folder, files);
    const built = await python(["-m", "a.build", "--processor=-march=native", "--cuda", "sm_80"], folder);
    const sources = Object.keys(files).filter((file) => file.endsWith(".cu"));
    expect(built.match(/\.sm_80\.cubin$/gm)).toHaveLength(sources.length);
    const program = `import os
os.environ["XDG_CACHE_HOME"] = os.path.abspath("cache")
from a._runtime import compilers, cuda
options = {"nvrtc": ["--std=c++17", "-DMTAC_KERNELS_ONLY"]}
image = cuda.image("a.f16.cu", options, 86)
text = (cuda.KERNELS / "a.f16.cu").read_text()
print(image == cuda.image_file("a.f16.cu", text, 80).read_bytes(), os.path.exists("cache"))
first = cuda.image("a.f16.cu", options, 90)
compilers.Nvrtc.compile = None
print(first[:4], cuda.image("a.f16.cu", options, 90) == first, len(os.listdir("cache/mtac/python/cuda")))
try:
    compilers.the_compiler = lambda: None
    cuda.image("a.f16.cu", options, 100)
except Exception as error:
    print(error.code)`;
    const said = await python(["-c", program], folder);
    expect(said).toBe("True False\nb'\\x7fELF' True 1\nMTA815\n");
    const refused = await python(["-m", "a.build", "--cuda", "sm_1"], folder).catch(String);
    expect(refused).toContain("MTA808");
  });
});
