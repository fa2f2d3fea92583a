import { formatBytes } from "../contract/messages.ts";
import type { Artifact, Plan, Requirements } from "../contract/plan.ts";
import { listCandidates, type PlanChoice, shortfall } from "../contract/plan-choice.ts";
import { GpuError } from "./errors.ts";

/** What a device offers to plans; a GPUDevice is one. */
export interface DeviceCapabilities {
  readonly limits: Pick<
    GPUSupportedLimits,
    | "maxComputeWorkgroupStorageSize"
    | "maxComputeInvocationsPerWorkgroup"
    | "maxComputeWorkgroupSizeX"
    | "maxStorageBuffersPerShaderStage"
  >;
  readonly features: { has(feature: string): boolean };
}

/**
 * The first plan, in the artifact's order of preference, that the device can run.
 *
 * @throws GpuError MTA710 (none fits; the message says for each plan what it lacks), MTA711 (no such plan).
 */
export function choosePlan(artifact: Artifact, device: DeviceCapabilities, choice: PlanChoice = {}): Plan {
  const candidates = listCandidates(artifact, "webgpu", choice);
  if ("message" in candidates)
    throw new GpuError("MTA711", candidates.message, { remedy: candidates.remedy });
  const reasons: string[] = [];
  for (const plan of candidates) {
    const lacks = shortfalls(plan.requires, device);
    if (lacks.length === 0) return plan;
    reasons.push(`  ${plan.schedule}, ${plan.storage}: ${lacks.join("; ")}`);
  }
  throw new GpuError(
    "MTA710",
    `attention "${artifact.name}": none of ${candidates.length} plans fits this device:\n${reasons.join("\n")}`,
    {
      remedy:
        "request the device with requestDevice(), which asks for the adapter's full limits, or compile for smaller limits",
    },
  );
}

/** What the device lacks, as phrases with the size of each gap. */
export function shortfalls(requires: Requirements, { limits, features }: DeviceCapabilities): string[] {
  const lacks: string[] = [];
  const compare = (...gap: Parameters<typeof shortfall>): void => {
    const phrase = shortfall(...gap);
    if (phrase !== null) lacks.push(phrase);
  };
  const workgroup = limits.maxComputeWorkgroupStorageSize;
  compare(
    "of workgroup memory",
    "maxComputeWorkgroupStorageSize",
    requires.workgroupBytes,
    workgroup,
    formatBytes,
  );
  const invocations = limits.maxComputeInvocationsPerWorkgroup;
  compare(
    "invocations a workgroup",
    "maxComputeInvocationsPerWorkgroup",
    requires.invocations,
    invocations,
    String,
  );
  if (limits.maxComputeWorkgroupSizeX < invocations) {
    // All kernels are one-dimensional, so the x axis limits them too.
    compare(
      "invocations along x",
      "maxComputeWorkgroupSizeX",
      requires.invocations,
      limits.maxComputeWorkgroupSizeX,
      String,
    );
  }
  const buffers = limits.maxStorageBuffersPerShaderStage;
  compare("storage buffers", "maxStorageBuffersPerShaderStage", requires.storageBuffers, buffers, String);
  for (const feature of requires.features)
    if (!features.has(feature)) lacks.push(`needs the feature ${feature}`);
  return lacks;
}
