import type { KernelImage } from "../../contract/plan.ts";
import type { CudaImage } from "../backend.ts";
import { capabilityOf } from "./compiler.ts";

/**
 * The precompiled image that suits a device best, or null. Machine code runs on its own architecture and on later minor
 * versions of the same major one, that of an architecture with a suffix (`sm_90a`) on exactly that one; PTX runs on all
 * later architectures (CUDA C++ Programming Guide, "Binary Compatibility", "PTX Compatibility").
 */
export function chooseImage(
  images: readonly KernelImage[],
  { architecture, computeCapability }: { readonly architecture: string; readonly computeCapability: number },
  accepts: readonly CudaImage["kind"][],
): CudaImage | null {
  let best: { readonly image: KernelImage; readonly rank: number } | null = null;
  for (const image of images) {
    if (!accepts.includes(image.kind)) continue;
    const rank = suitability(image, architecture, computeCapability);
    if (rank !== null && (best === null || rank > best.rank)) best = { image, rank };
  }
  if (best === null) return null;
  const { kind, data } = best.image;
  return { kind, bytes: typeof data === "string" ? Buffer.from(data, "base64") : data };
}

/** The higher the better; null when the image cannot run there. */
function suitability(image: KernelImage, architecture: string, device: number): number | null {
  const exact = /[af]$/.test(image.architecture);
  const capability = capabilityOf(image.architecture);
  const same = image.architecture === architecture || (exact && capability === device);
  const machineCode = image.kind === "cubin" ? 10_000 : 0;
  if (same) return machineCode + 1000 + (exact ? 1 : 0);
  if (capability === null || capability > device || exact) return null;
  if (image.kind === "cubin" && Math.floor(capability / 10) !== Math.floor(device / 10)) return null;
  return machineCode + capability;
}
