import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { type Artifact, MtacError } from "../../runtime/contract/index.ts";
import { formatBytes } from "../report/units.ts";
import type { Output } from "../terminal/output.ts";
import { withProgress } from "../terminal/progress.ts";
import { table } from "../terminal/style.ts";
import { inTurns, runNvcc } from "./nvcc.ts";

/** What NVIDIA's assembler says of one kernel on one architecture. */
export interface KernelResources {
  readonly file: string;
  readonly kernel: string;
  readonly architecture: string;
  readonly registers: number;
  /** Dynamic and static. */
  readonly sharedBytes: number;
  readonly stackBytes: number;
  readonly spillBytes: number;
}

/**
 * Compiles the sources in `folder` with nvcc and prints what ptxas says of each kernel. Null where there is no nvcc.
 *
 * @throws MtacError MTA917 when nvcc refuses a source.
 */
export async function reportPtxas(
  artifacts: readonly Artifact[],
  folder: string,
  architectures: readonly string[],
  output: Output,
): Promise<readonly KernelResources[] | null> {
  if (!(await hasNvcc())) {
    output.note(output.noteStyle.dim("no nvcc on the PATH: nothing is known of registers and spills"));
    return null;
  }
  const jobs = artifacts.flatMap((artifact) =>
    Object.keys(artifact.sources).flatMap((file) =>
      architectures.map((architecture) => () => inspect(artifact, path.join(folder, file), architecture)),
    ),
  );
  const resources = (
    await withProgress(output, (report) => inTurns(jobs, "ptxas: kernels compiled,", report))
  ).flat();
  output.text(formatResources(resources, output));
  return resources;
}

async function hasNvcc(): Promise<boolean> {
  try {
    await runNvcc(["--version"]);
    return true;
  } catch {
    return false;
  }
}

async function inspect(
  artifact: Artifact,
  file: string,
  architecture: string,
): Promise<readonly KernelResources[]> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "mtac-ptxas-"));
  const options = ["-std=c++17", "-cubin", "-DMTAC_KERNELS_ONLY", "-Xptxas", "-v", `-arch=${architecture}`];
  try {
    const { stdout, stderr } = await runNvcc([...options, "-o", path.join(folder, "kernels"), file]);
    const said = parsePtxas(`${stdout}${stderr}`);
    const name = path.basename(file);
    return artifact.plans
      .flatMap(({ kernels }) => kernels)
      .filter((kernel) => kernel.file === name)
      .flatMap((kernel) => {
        const found = said.get(kernel.entryPoint);
        if (found === undefined) return [];
        const { sharedBytes: fixed, ...rest } = found;
        const sharedBytes = fixed + kernel.workgroupBytes;
        return [{ file: name, kernel: kernel.name, architecture, ...rest, sharedBytes }];
      });
  } catch (cause) {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause);
    throw new MtacError("MTA917", "device", `nvcc cannot compile ${file} for ${architecture}:\n${said}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Said = Pick<KernelResources, "registers" | "sharedBytes" | "stackBytes" | "spillBytes">;

/** What `ptxas -v` printed, by entry point. */
export function parsePtxas(log: string): ReadonlyMap<string, Said> {
  const kernels = new Map<string, Said>();
  for (const part of log.split("Compiling entry function '").slice(1)) {
    const name = part.slice(0, part.indexOf("'"));
    const number = (pattern: RegExp): number => Number(pattern.exec(part)?.[1] ?? 0);
    kernels.set(name, {
      registers: number(/Used (\d+) registers/),
      sharedBytes: number(/(\d+) bytes smem/),
      stackBytes: number(/(\d+) bytes stack frame/),
      spillBytes: number(/(\d+) bytes spill stores/),
    });
  }
  return kernels;
}

function formatResources(resources: readonly KernelResources[], { style }: Output): string {
  const rows = resources.map((each) => [
    style.cyan(`${each.file.replace(/\.cu$/, "")} ${each.kernel}`),
    each.architecture,
    `${each.registers} registers`,
    formatBytes(each.sharedBytes),
    each.spillBytes + each.stackBytes === 0
      ? style.dim("no spills")
      : style.red(`${each.spillBytes} bytes spilled, ${each.stackBytes} of stack`),
  ]);
  return `${style.bold("ptxas")}\n${table(rows, ["left", "left", "right", "right", "left"], "  ")}`;
}
