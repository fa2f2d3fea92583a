import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { type Artifact, type KernelImage, MtacError } from "../../../runtime/contract/index.ts";
import { inTurns, runNvcc } from "./nvcc.ts";

/**
 * Compiles the artifacts' sources: a cubin for each architecture, and PTX for the least of them, which later devices
 * compile themselves. By source file.
 *
 * @throws MtacError MTA917 when there is no nvcc, or when it refuses a source.
 */
export async function buildImages(
  artifacts: readonly Artifact[],
  architectures: readonly string[],
): Promise<ReadonlyMap<string, readonly KernelImage[]>> {
  const least = [...architectures].sort((a, b) => capability(a) - capability(b))[0];
  const jobs = artifacts.flatMap(({ sources }) =>
    Object.entries(sources).flatMap(([file, text]) => [
      ...architectures.map((architecture) => () => compile(file, text, architecture, "cubin")),
      ...(least === undefined ? [] : [() => compile(file, text, least.replace(/[af]$/, ""), "ptx")]),
    ]),
  );
  const images = new Map<string, KernelImage[]>();
  for (const image of await inTurns(jobs)) images.set(image.file, [...(images.get(image.file) ?? []), image]);
  return images;
}

function capability(architecture: string): number {
  return Number(/\d+/.exec(architecture)?.[0] ?? 0);
}

async function compile(
  file: string,
  text: string,
  architecture: string,
  kind: KernelImage["kind"],
): Promise<KernelImage> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "mtac-image-"));
  try {
    const source = path.join(folder, file);
    const result = path.join(folder, "image");
    writeFileSync(source, text);
    const options = ["-std=c++17", `-${kind}`, "-DMTAC_KERNELS_ONLY", `-arch=${architecture}`];
    await runNvcc([...options, "-o", result, source]);
    return { architecture, kind, file, data: readFileSync(result).toString("base64") };
  } catch (cause) {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause);
    throw new MtacError("MTA917", "device", `nvcc cannot compile ${file} for ${architecture}:\n${said}`, {
      remedy: "leave out --images, or put nvcc of the CUDA toolkit on the PATH",
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
