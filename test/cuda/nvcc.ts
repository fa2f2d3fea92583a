import { execFile } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { parsePtxas } from "../../compiler/toolchain/ptxas.ts";
import { withFolder } from "../support/folder.ts";

export const run = promisify(execFile);

/** Processes at a time: the machines have two cores. */
const PROCESSES = 2;

let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(job: () => Promise<T>): Promise<T> {
  if (running >= PROCESSES) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
  try {
    return await job();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

const results = new Map<string, Promise<string[]>>();

/**
 * Compiles kernels as strictly as nvcc can and returns what is wrong with them: its errors and warnings, kernels that spill or
 * use local memory. The same text is compiled once.
 */
export function faultsOf(text: string, architecture: string): Promise<string[]> {
  const key = `${architecture}\n${text}`;
  const known = results.get(key) ?? inTurn(() => compile(text, architecture));
  results.set(key, known);
  return known;
}

async function compile(text: string, architecture: string): Promise<string[]> {
  return withFolder(async (folder) => {
    const file = path.join(folder, "kernels.cu");
    writeFileSync(file, text);
    const options = [
      "-std=c++17",
      "-cubin",
      "-DMTAC_KERNELS_ONLY",
      "-Werror",
      "all-warnings",
      "-Xptxas",
      "-v,-warn-spills,-warn-lmem-usage",
      `-arch=${architecture}`,
      "-o",
      path.join(folder, "kernels.cubin"),
    ];
    let log: string;
    try {
      const { stdout, stderr } = await run("nvcc", [...options, file], { maxBuffer: 2 ** 24 });
      log = stdout + stderr;
    } catch (cause) {
      return [cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause)];
    }
    const kernels = parsePtxas(log);
    const faults = [...kernels]
      .filter(([, { spillBytes, stackBytes }]) => spillBytes + stackBytes > 0)
      .map(
        ([name, { spillBytes, stackBytes }]) =>
          `${name}: ${spillBytes} bytes spilled, ${stackBytes} of stack`,
      );
    if (kernels.size === 0) faults.push("nvcc compiled no kernel");
    return faults;
  });
}

/** Where the toolkit keeps its headers and libraries. */
export async function toolkit(): Promise<string> {
  // nvcc -dryrun names its own root in a line "TOP=...".
  const { stderr } = await run("nvcc", ["-dryrun", "-c", "-x", "cu", "/dev/null", "-o", "/dev/null"]);
  const top = /TOP=(\S+)/.exec(stderr)?.[1];
  if (top === undefined || !existsSync(path.join(top, "include/cuda_runtime_api.h")))
    throw new Error(`nvcc does not tell where its toolkit is:\n${stderr}`);
  return top;
}
