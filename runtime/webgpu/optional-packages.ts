import { createRequire } from "node:module";

/** What `npm install` is to bring for WebGPU in Node, in the versions that mtac is tested with. */
const GPU_PACKAGES = {
  webgpu: "webgpu@0.6.2",
  "@sparticuz/chromium": "@sparticuz/chromium@147.0.0",
} as const;

/**
 * The packages for WebGPU in Node that are not installed, as `npm install` takes them: all at once, so that nobody meets them one after
 * the other.
 *
 * @param software Whether the software adapter is wanted, too: where there is no GPU.
 */
export function missingGpuPackages(software: boolean): readonly string[] {
  const carried = process.platform === "linux" && process.arch === "x64";
  return Object.entries(GPU_PACKAGES)
    .filter(([name]) => name === "webgpu" || (software && carried))
    .flatMap(([name, wanted]) => (isInstalled(name) ? [] : [wanted]));
}

/** Whether a package can be loaded from here. */
function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** The remedy where `webgpu` cannot be loaded; one that is there, but broken, is installed anew. */
export function installCommand(software: boolean): string {
  const missing = missingGpuPackages(software);
  return `npm install ${(missing.length === 0 ? [GPU_PACKAGES.webgpu] : missing).join(" ")}`;
}
