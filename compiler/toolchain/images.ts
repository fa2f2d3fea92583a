import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Artifact, KernelImage } from "../../runtime/contract/index.ts";
import type { ReportStep } from "../terminal/progress.ts";
import { compileKernels, inTurns } from "./nvcc.ts";

/**
 * Compiles the artifacts' sources: a cubin for each architecture, and PTX for the least of them, which later devices
 * compile themselves. By source file.
 *
 * @throws MtacError MTA917 when there is no nvcc, or when it refuses a source.
 */
export async function buildImages(
  artifacts: readonly Artifact[],
  architectures: readonly string[],
  report: ReportStep,
): Promise<ReadonlyMap<string, readonly KernelImage[]>> {
  const least = [...architectures].sort((a, b) => capability(a) - capability(b))[0];
  const jobs = artifacts.flatMap(({ sources }) =>
    Object.entries(sources).flatMap(([file, text]) => [
      ...architectures.map((architecture) => () => compile(file, text, architecture, "cubin")),
      ...(least === undefined ? [] : [() => compile(file, text, least.replace(/[af]$/, ""), "ptx")]),
    ]),
  );
  const images = new Map<string, KernelImage[]>();
  for (const image of await inTurns(jobs, "nvcc: kernels compiled,", report))
    images.set(image.file, [...(images.get(image.file) ?? []), image]);
  return images;
}

function capability(architecture: string): number {
  return Number(/\d+/.exec(architecture)?.[0] ?? 0);
}

/**
 * The same kernels as files beside their sources: `<source>.<architecture>.cubin` and `.ptx` as `images` holds them, and
 * `<source>.fatbin` with all of them, from which the driver chooses. Programs load them with `cuModuleLoad`; the plans name kernels
 * and their arguments.
 *
 * @throws MtacError MTA917 when nvcc refuses a source.
 */
export async function buildImageFiles(
  artifacts: readonly Artifact[],
  images: ReadonlyMap<string, readonly KernelImage[]>,
  report: ReportStep,
): Promise<Readonly<Record<string, Uint8Array>>> {
  const files: Record<string, Uint8Array> = {};
  const jobs = artifacts.flatMap(({ sources }) =>
    Object.entries(sources).map(([source, text]) => async () => {
      const carried = images.get(source) ?? [];
      const stem = source.replace(/\.cu$/, "");
      for (const { architecture, kind, data } of carried)
        files[`${stem}.${architecture}.${kind}`] =
          typeof data === "string" ? Buffer.from(data, "base64") : data;
      const codes = carried.flatMap(({ architecture, kind }) => {
        const virtual = architecture.replace("sm_", "compute_");
        return ["-gencode", `arch=${virtual},code=${kind === "ptx" ? virtual : architecture}`];
      });
      files[`${stem}.fatbin`] = await runOn(source, text, ["-fatbin", ...codes], "all architectures");
    }),
  );
  await inTurns(jobs, "nvcc: fat binaries made,", report);
  // In the order of their names, whichever was made first.
  return Object.fromEntries(Object.entries(files).sort(([one], [other]) => (one < other ? -1 : 1)));
}

async function compile(
  file: string,
  text: string,
  architecture: string,
  kind: KernelImage["kind"],
): Promise<KernelImage> {
  const data = await runOn(file, text, [`-${kind}`, `-arch=${architecture}`], architecture);
  return { architecture, kind, file, data: data.toString("base64") };
}

/** What nvcc makes of a source's kernels. */
async function runOn(
  file: string,
  text: string,
  options: readonly string[],
  purpose: string,
): Promise<Buffer> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "mtac-image-"));
  try {
    const source = path.join(folder, file);
    writeFileSync(source, text);
    const remedy = "leave out --images, or put nvcc of the CUDA toolkit on the PATH";
    return (await compileKernels(source, options, { name: file, purpose, remedy })).made;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
