import { formatBytes } from "../contract/messages.ts";
import type { Artifact, Plan, Requirements } from "../contract/plan.ts";
import { listCandidates, type PlanChoice, shortfall } from "../contract/plan-choice.ts";
import type { CudaProperties } from "./backend.ts";
import { CudaError } from "./errors.ts";

/** What a device offers to plans. */
export type CudaCapabilities = Pick<
  CudaProperties,
  "name" | "computeCapability" | "sharedBytesPerBlock" | "threadsPerBlock"
>;

/**
 * The first plan, in the artifact's order of preference, that the device can run.
 *
 * @throws CudaError MTA810 (none fits; the message says for each plan what it lacks), MTA811 (no such plan).
 */
export function choosePlan(artifact: Artifact, device: CudaCapabilities, choice: PlanChoice = {}): Plan {
  const candidates = listCandidates(artifact, "cuda", choice);
  if ("message" in candidates)
    throw new CudaError("MTA811", candidates.message, { remedy: candidates.remedy });
  const reasons: string[] = [];
  for (const plan of candidates) {
    const lacks =
      plan.target === "cuda" ? shortfalls(plan.requires, device) : [`it is a plan for ${plan.target}`];
    if (lacks.length === 0) return plan;
    reasons.push(`  ${plan.schedule}, ${plan.storage}: ${lacks.join("; ")}`);
  }
  throw new CudaError(
    "MTA810",
    `attention "${artifact.name}": none of ${candidates.length} plans fits ${device.name}:\n${reasons.join("\n")}`,
  );
}

/** What the device lacks, as phrases with the size of each gap. */
export function shortfalls(requires: Requirements, device: CudaCapabilities): string[] {
  const lacks: string[] = [];
  const needed = requires.computeCapability ?? 0;
  if (needed > device.computeCapability)
    lacks.push(
      `needs compute capability ${capability(needed)}, the device has ${capability(device.computeCapability)}`,
    );
  const gaps = [
    shortfall(
      "of shared memory",
      "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
      requires.workgroupBytes,
      device.sharedBytesPerBlock,
      formatBytes,
    ),
    shortfall(
      "threads a block",
      "MAX_THREADS_PER_BLOCK",
      requires.invocations,
      device.threadsPerBlock,
      String,
    ),
  ];
  return [...lacks, ...gaps.filter((gap) => gap !== null)];
}

/** `8.0` for 80. */
export function capability(value: number): string {
  return `${Math.floor(value / 10)}.${value % 10}`;
}
