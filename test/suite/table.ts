import { CPU_SUITES } from "./cpu.ts";
import { DIRECT_SUITE, TENSOR_SUITE } from "./cuda.ts";
import { SANITIZED_SUITES } from "./sanitize.ts";
import type { SuiteTarget } from "./target.ts";
import { WEBGPU_SUITE } from "./webgpu.ts";

/** Every target that the suites run over: a new one is a row here. */
const TARGETS: readonly SuiteTarget[] = [
  WEBGPU_SUITE,
  DIRECT_SUITE,
  TENSOR_SUITE,
  ...CPU_SUITES,
  ...SANITIZED_SUITES,
];

/** The targets of a vitest project, and whether each can run here. */
export function targetsOf(
  project: SuiteTarget["project"],
): Promise<readonly (readonly [name: string, target: SuiteTarget, available: boolean])[]> {
  const own = TARGETS.filter((target) => target.project === project);
  return Promise.all(own.map(async (target) => [target.name, target, await target.available()] as const));
}

/** What `targetsOf` finds. */
export type SuiteTargets = Awaited<ReturnType<typeof targetsOf>>;
