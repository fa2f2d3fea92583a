import type { Target } from "../../../runtime/contract/index.ts";
import { CUDA } from "./cuda.ts";
import type { Dialect } from "./dialect.ts";
import { WGSL } from "./wgsl.ts";

const DIALECTS: Readonly<Record<Target, Dialect>> = { webgpu: WGSL, cuda: CUDA };

/** The language of a target's kernels. */
export function dialectOf(target: Target): Dialect {
  return DIALECTS[target];
}
