import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { ReportStep } from "../terminal/progress.ts";

const run = promisify(execFile);

/** Processes at a time. */
const PROCESSES = 2;
const TIMEOUT_MS = 300_000;

/** Runs nvcc; rejects with what it said in `stderr` when it fails, or is not there. */
export function runNvcc(options: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  return run("nvcc", [...options], { timeout: TIMEOUT_MS, maxBuffer: 2 ** 24 });
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
