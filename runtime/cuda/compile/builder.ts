import type { KernelImage } from "../../contract/plan.ts";
import type { CudaImage, CudaProperties } from "../backend.ts";
import { CudaError } from "../errors.ts";
import { type CacheKey, defaultCacheFolder, KernelCache } from "./cache.ts";
import { type CudaCompiler, capabilityOf } from "./compiler.ts";
import { chooseImage } from "./images.ts";
import { findNvcc } from "./nvcc.ts";
import { findNvrtc } from "./nvrtc.ts";

/** How kernels are compiled, and where compiled ones are kept. */
export interface CompileOptions {
  /** Use nothing but this way to get compiled kernels; if not given, the first of them that there is. */
  readonly compiler?: "nvrtc" | "nvcc" | "images";
  /** Path of nvcc. */
  readonly nvcc?: string;
  /** Path of NVRTC's library; the environment variable MTAC_LIBNVRTC does the same. */
  readonly nvrtc?: string;
  /** Folder for compiled kernels; null: none. `$XDG_CACHE_HOME/mtac/cuda` if not given. */
  readonly cache?: string | null;
}

export interface BuildRequest {
  readonly file: string;
  readonly text: string | undefined;
  /** Those that the artifact has for this file. */
  readonly images: readonly KernelImage[];
  /** For messages. */
  readonly subject: string;
  readonly properties: Pick<CudaProperties, "name" | "architecture" | "computeCapability">;
  /** Forms that the device loads, the preferred one first. */
  readonly accepts: readonly CudaImage["kind"][];
}

/** Where compiled kernels come from: NVRTC, else nvcc, both through the cache, else images that the artifact carries. */
export class KernelBuilder {
  readonly #options: CompileOptions;
  readonly #cache: KernelCache;
  #compiler: Promise<CudaCompiler | null> | undefined;

  constructor(options: CompileOptions = {}) {
    this.#options = options;
    this.#cache = new KernelCache(options.cache === undefined ? defaultCacheFolder() : options.cache);
  }

  /**
   * The compiler that is used, or null where there is none.
   *
   * @throws CudaError MTA817: one that was asked for, or found, cannot be run.
   */
  compiler(): Promise<CudaCompiler | null> {
    this.#compiler ??= this.#find();
    return this.#compiler;
  }

  /** @throws CudaError MTA812 (neither source nor image), MTA813, MTA815, MTA817. */
  async build(request: BuildRequest): Promise<CudaImage> {
    const { file, text, images, subject, properties, accepts } = request;
    const compiler = await this.compiler();
    if (compiler !== null && text !== undefined) return this.#compile(compiler, text, request);
    const image = chooseImage(images, properties, accepts);
    if (image !== null) return image;
    if (text === undefined) throw new CudaError("MTA812", `${subject} lacks the source ${file}`);
    const carried = images.map((each) => `${each.kind} for ${each.architecture}`).join(", ");
    throw new CudaError(
      "MTA815",
      `there is no way to compile ${file} for ${properties.name} (${properties.architecture}): no NVRTC library, no nvcc, ` +
        `and the artifact carries ${carried === "" ? "no precompiled images" : `images that do not suit (${carried})`}`,
    );
  }

  async #find(): Promise<CudaCompiler | null> {
    const { compiler, nvcc, nvrtc } = this.#options;
    switch (compiler) {
      case "images":
        return null;
      case "nvrtc":
        return findNvrtc(nvrtc);
      case "nvcc":
        return findNvcc(nvcc);
      case undefined:
        // A path that is given says which one is meant.
        if (nvcc !== undefined && nvrtc === undefined) return findNvcc(nvcc);
        return (await findNvrtc(nvrtc)) ?? findNvcc();
      default:
        return compiler satisfies never;
    }
  }

  async #compile(
    compiler: CudaCompiler,
    text: string,
    { file, properties, accepts }: BuildRequest,
  ): Promise<CudaImage> {
    const { architecture, output } = goal(compiler, properties, accepts);
    const { kind, version, options } = compiler;
    const key: CacheKey = { text, options, compiler: kind, version, architecture, output };
    const cached = await this.#cache.read(key);
    if (cached !== null) return { kind: output, bytes: cached };
    const bytes = await compiler.compile({ text, file, architecture, output });
    await this.#cache.write(key, bytes);
    return { kind: output, bytes };
  }
}

/** Machine code where both sides can; for a device that is newer than the compiler, PTX of the newest that it knows. */
function goal(
  { capabilities }: CudaCompiler,
  { architecture, computeCapability }: BuildRequest["properties"],
  accepts: BuildRequest["accepts"],
): { architecture: string; output: CudaImage["kind"] } {
  const [preferred = "ptx"] = accepts;
  const known = capabilities.length === 0 || capabilities.includes(capabilityOf(architecture) ?? 0);
  if (known) return { architecture, output: preferred };
  const newest = capabilities.findLast((capability) => capability <= computeCapability);
  if (newest === undefined) return { architecture, output: preferred };
  return { architecture: `sm_${newest}`, output: accepts.includes("ptx") ? "ptx" : preferred };
}
