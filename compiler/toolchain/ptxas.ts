import path from "node:path";
import { type Artifact, allPlans } from "../../runtime/contract/index.ts";
import type { ReportStep } from "../terminal/progress.ts";
import { compileKernels, hasNvcc, inTurns } from "./nvcc.ts";

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
 * What ptxas says of each kernel of the sources in `folder`. Null where there is no nvcc.
 *
 * @throws MtacError MTA917 when nvcc refuses a source.
 */
export async function inspectKernels(
  artifacts: readonly Artifact[],
  folder: string,
  architectures: readonly string[],
  report: ReportStep,
): Promise<readonly KernelResources[] | null> {
  if (!(await hasNvcc())) return null;
  const jobs = artifacts.flatMap((artifact) =>
    Object.keys(artifact.sources).flatMap((file) =>
      architectures.map((architecture) => () => inspect(artifact, path.join(folder, file), architecture)),
    ),
  );
  return (await inTurns(jobs, "ptxas: kernels compiled,", report)).flat();
}

async function inspect(
  artifact: Artifact,
  file: string,
  architecture: string,
): Promise<readonly KernelResources[]> {
  const options = ["-cubin", "-Xptxas", "-v", `-arch=${architecture}`];
  const { said } = await compileKernels(file, options, { name: file, purpose: architecture });
  const kernels = parsePtxas(said);
  const name = path.basename(file);
  return allPlans(artifact)
    .flatMap((plan) => plan.kernels)
    .filter((kernel) => kernel.file === name)
    .flatMap((kernel) => {
      const found = kernels.get(kernel.entryPoint);
      if (found === undefined) return [];
      const { sharedBytes: fixed, ...rest } = found;
      const sharedBytes = fixed + kernel.workgroupBytes;
      return [{ file: name, kernel: kernel.name, architecture, ...rest, sharedBytes }];
    });
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
