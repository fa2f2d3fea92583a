import type { Target } from "../../../runtime/contract/index.ts";
import { CUDA } from "./cuda.ts";
import type { Dialect } from "./dialect.ts";
import { WGSL } from "./wgsl.ts";

const DIALECTS = { webgpu: WGSL, cuda: CUDA, cpu: null } as const satisfies Record<Target, Dialect | null>;

/** A target whose kernels are written for each plan. */
export type WrittenTarget = { [T in Target]: (typeof DIALECTS)[T] extends null ? never : T }[Target];

/** The language of a target's kernels; null where a library computes all plans. */
export function dialectOf<T extends Target>(target: T): (typeof DIALECTS)[T] {
  return DIALECTS[target];
}
