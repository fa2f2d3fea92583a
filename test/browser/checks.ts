// What the programs that drive a browser share: each check is a line, the last line counts them.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One check's share: all of them take some seconds. */
const CHECK_MS = 60_000;

const counts = { passed: 0, failed: 0 };

/** Prints one check; `problem` is null where it passed. */
export function report(what: string, problem: string | null, detail = ""): void {
  if (problem === null) counts.passed += 1;
  else counts.failed += 1;
  const verdict = problem === null ? "ok    " : "FAILED";
  console.log(`${verdict} ${what}${detail && `  ${detail}`}${problem === null ? "" : `: ${problem}`}`);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Work whose failure, of whatever kind, is one failed check. */
export async function attempt(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await within(CHECK_MS, work());
  } catch (error) {
    report(what, messageOf(error));
  }
}

/** Work with a folder of its own, which goes with it. */
export async function withScratch<T>(work: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = mkdtempSync(join(tmpdir(), "mtac-browser-"));
  try {
    return await work(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Prints the last line; whether every check passed. */
export function summarise(): boolean {
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed === 0;
}
