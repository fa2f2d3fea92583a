import { existsSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { mtac } from "../cli/harness.ts";
import { findNvcc } from "./harness.ts";
import { withFolder } from "./nvcc.ts";

const nvcc = await findNvcc();

interface Compiled {
  readonly files: readonly string[];
  readonly attentions: readonly unknown[];
  readonly cuda: readonly {
    readonly name: string;
    readonly plans: readonly { readonly schedule: string }[];
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
  expect(stdout).toMatch(/single_pass .* occupancy, bound by /);
});
