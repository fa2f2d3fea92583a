import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { mtac } from "../cli/harness.ts";
import { withFolder } from "../support/folder.ts";
import { findNvcc } from "./harness.ts";

const nvcc = await findNvcc();

interface Compiled {
  readonly files: readonly string[];
  readonly attentions: readonly unknown[];
  readonly cuda: readonly {
    readonly name: string;
    readonly plans: readonly { readonly schedule: string; readonly kernels: readonly string[] }[];
  }[];
  readonly ptxas?: readonly {
    readonly kernel: string;
    readonly architecture: string;
    readonly registers: number;
    readonly spillBytes: number;
  }[];
}

describe("mtac compile --target cuda", () => {
  test("writes kernels, header, CMake file and plan, and nothing of WGSL", async () => {
    await withFolder(async (folder) => {
      const args = ["compile", "examples/mta_toy.mta", "--name", "mta_toy", "--target", "cuda"];
      const { code, stdout } = mtac([...args, "--out", folder, "--json"]);
      expect(code).toBe(0);
      const { files, attentions, cuda }: Compiled = JSON.parse(stdout);
      for (const file of ["mta_toy.cu", "mta_toy.h", "mta_toy.cmake", "mta_toy.cuda.plan.json"]) {
        expect(files).toContain(file);
        expect(existsSync(path.join(folder, file))).toBe(true);
      }
      expect(files.filter((file) => file.endsWith(".wgsl"))).toEqual([]);
      expect(attentions).toEqual([]);
      expect(cuda.map(({ name }) => name)).toEqual(["mta_toy"]);
    });
  });

  test.skipIf(nvcc === null)(
    "--ptxas reports registers and spills of every kernel and architecture",
    async () => {
      await withFolder(async (folder) => {
        const args = ["compile", "examples/mta_toy.mta", "--name", "mta_toy", "--target", "cuda", "--ptxas"];
        const { code, stdout } = mtac([...args, "--arch", "sm_80,sm_90a", "--out", folder, "--json"]);
        expect(code).toBe(0);
        const { ptxas = [] }: Compiled = JSON.parse(stdout);
        expect(new Set(ptxas.map(({ architecture }) => architecture))).toEqual(new Set(["sm_80", "sm_90a"]));
        for (const { registers, spillBytes } of ptxas) {
          expect(registers).toBeGreaterThan(16);
          expect(spillBytes).toBe(0);
        }
      });
    },
  );

  test.skipIf(nvcc === null)(
    "--images files writes cubins, PTX and a fatbin beside the launchers, which stay as they are",
    async () => {
      await withFolder(async (folder) => {
        const args = [
          "compile",
          "examples/mta_toy.mta",
          "--name",
          "mta_toy",
          "--target",
          "cuda",
          "--no-ptxas",
        ];
        const more = ["--no-launcher", "--arch", "sm_80,sm_90a", "--out", folder, "--json"];
        const { code, stdout, stderr } = mtac([...args, ...more, "--images", "files"]);
        expect(code, stderr).toBe(0);
        const { files, cuda }: Compiled = JSON.parse(stdout);
        const sources = cuda.flatMap(({ plans }) => plans.map(({ kernels }) => kernels[0] ?? ""));
        const stems = [...new Set(sources)].map((file) => file.replace(/\.cu$/, ""));
        const kinds = ["sm_80.cubin", "sm_90a.cubin", "sm_80.ptx", "fatbin"];
        const made = stems.flatMap((stem) => kinds.map((kind) => `${stem}.${kind}`));
        expect(files.filter((file) => /\.(cubin|ptx|fatbin)$/.test(file)).sort()).toEqual(made.sort());
        const start = (file: string): string =>
          readFileSync(path.join(folder, file)).toString("latin1", 0, 4);
        for (const stem of stems) {
          expect(start(`${stem}.sm_90a.cubin`)).toBe("\u007fELF");
          expect(start(`${stem}.fatbin`)).toBe("P\u00edU\u00ba");
          expect(readFileSync(path.join(folder, `${stem}.sm_80.ptx`), "utf8")).toMatch(/\.target sm_80/);
        }
      });
    },
  );

  test("--images takes two words, and none before a spec", async () => {
    const { code, stderr } = mtac(["compile", "examples/mta_toy.mta", "--images", "file"]);
    expect(code).toBe(2);
    expect(stderr).toContain("`--images embed` or `--images files`");
    await withFolder(async (folder) => {
      const other = mtac([
        "compile",
        "--target",
        "wgsl",
        "--out",
        folder,
        "--images",
        "examples/mta_toy.mta",
      ]);
      expect(other.code, other.stderr).toBe(0);
    });
  });

  test.skipIf(nvcc === null)("tells which devices it needs where the device is an older one", () => {
    const device = [
      "examples/mta_toy.mta",
      "--name",
      "mta_toy",
      "--target",
      "cuda-emulated",
      "--arch",
      "sm_75",
    ];
    for (const command of [
      ["verify", "--length"],
      ["tune", "--lengths"],
      ["bench", "--lengths"],
    ]) {
      const [name = "", length = ""] = command;
      const { code, stderr } = mtac([name, ...device, length, "16"]);
      expect(stderr, name).toMatch(/MTA918: mtac's kernels need sm_80 or newer, and this is sm_75/);
      expect(stderr).not.toContain("MTA999");
      expect(code).toBe(3);
    }
  });

  test("refuses architectures that nobody knows", () => {
    expect(mtac(["compile", "examples/mta_toy.mta", "--arch", "sm_80,sm_70"]).code).toBe(2);
    expect(mtac(["explain", "examples/mta_toy.mta", "--arch", "sm_80"]).code).toBe(2);
  });
});

test("mtac explain --target cuda lists candidates with what bounds them", () => {
  const { code, stdout } = mtac([
    ...["explain", "examples/mta_toy.mta", "--name", "mta_toy"],
    ...["--target", "cuda", "--arch", "sm_90"],
  ]);
  expect(code).toBe(0);
  expect(stdout).toContain("for cuda on sm_90, 227 KiB of shared memory a block");
  expect(stdout).toMatch(/schedule +cost +work +moved +occupancy +bound/);
  expect(stdout).toMatch(/→ +single_pass +1× .* % +[a-z]/);
});
