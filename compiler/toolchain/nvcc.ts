import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { MtacError } from "../../runtime/contract/index.ts";
import type { ReportStep } from "../terminal/progress.ts";

const run = promisify(execFile);

/** Processes at a time. */
const PROCESSES = 2;
const TIMEOUT_MS = 300_000;

/** Runs nvcc; rejects with what it said in `stderr` when it fails, or is not there. */
function runNvcc(options: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  return run("nvcc", [...options], { timeout: TIMEOUT_MS, maxBuffer: 2 ** 24 });
}

/** What nvcc makes of a source's kernels, and what it says meanwhile. @throws MtacError MTA917 when it refuses them, or is not there */
export async function compileKernels(
  source: string,
  options: readonly string[],
  /** How messages name the source and what it is compiled for; a remedy, where there is one. */
  { name, purpose, remedy }: { readonly name: string; readonly purpose: string; readonly remedy?: string },
): Promise<{ readonly made: Buffer; readonly said: string }> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "mtac-nvcc-"));
  try {
    const result = path.join(folder, "kernels");
    const { stdout, stderr } = await runNvcc([
      "-std=c++17",
      "-DMTAC_KERNELS_ONLY",
      ...options,
      "-o",
      result,
      source,
    ]);
    return { made: readFileSync(result), said: `${stdout}${stderr}` };
  } catch (cause) {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause);
    throw new MtacError("MTA917", "device", `nvcc cannot compile ${name} for ${purpose}:\n${said}`, {
      ...(remedy === undefined ? {} : { remedy }),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function hasNvcc(): Promise<boolean> {
  try {
    await runNvcc(["--version"]);
    return true;
  } catch {
    return false;
  }
}

/** The results of jobs, in their order; PROCESSES of them run at a time. `step` names them in the line of progress. */
export async function inTurns<T>(
  jobs: readonly (() => Promise<T>)[],
  step: string,
  report: ReportStep,
): Promise<readonly T[]> {
  const results = new Map<number, T>();
  const waiting = jobs.entries();
  const done = (): void => report(`${step} ${results.size} of ${jobs.length}`, results.size / jobs.length);
  const work = async (): Promise<void> => {
    for (const [index, job] of waiting) {
      results.set(index, await job());
      done();
    }
  };
  done();
  await Promise.all(Array.from({ length: PROCESSES }, work));
  return [...results].sort(([a], [b]) => a - b).map(([, result]) => result);
}
