import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import { fromValues, type StoredTensor, writeSafetensors } from "../../runtime/safetensors/index.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const MAIN = join(ROOT, "dist/cli/main.js");

if (!existsSync(MAIN)) throw new Error("these tests run the built command: `npm run build` first");

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built `mtac`; its output is a pipe, so it has no colours. */
export function mtac(
  args: readonly string[],
  options: { cwd?: string; input?: string | Uint8Array; env?: NodeJS.ProcessEnv } = {},
): CliResult {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: "utf8",
    timeout: 60_000,
    cwd: options.cwd ?? ROOT,
    input: options.input ?? "",
    env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: undefined, ...options.env },
  });
  return { code: status, stdout, stderr };
}

/** A folder that is removed after the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "mtac-cli-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function write(folder: string, name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** Writes a safetensors file of F32 tensors, or of the given type, filled with small values. */
export function writeTensors(
  folder: string,
  name: string,
  tensors: Readonly<Record<string, readonly number[] | StoredTensor>>,
): string {
  const stored = Object.entries(tensors).map(([key, value]): [string, StoredTensor] => [
    key,
    isShape(value) ? filled(value) : value,
  ]);
  return write(folder, name, writeSafetensors(new Map(stored)));
}

export function filled(
  shape: readonly number[],
  dtype: StoredTensor["dtype"] = "F32",
  value: (index: number) => number = (index) => Math.sin(index + 1),
): StoredTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return fromValues(
    dtype,
    shape,
    Array.from({ length: count }, (_, index) => value(index)),
  );
}

function isShape(value: readonly number[] | StoredTensor): value is readonly number[] {
  return Array.isArray(value);
}
