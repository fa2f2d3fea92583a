import type { Artifact, Plan, Requirements, Schedule } from "../contract/plan.ts";
import { formatBytes, GpuError } from "./errors.ts";

export interface PlanChoice {
  /** Use only plans of this schedule. */
  readonly schedule?: Schedule;
  /** Use this plan: its index in `artifact.plans`, or the plan itself. */
  readonly plan?: number | Plan;
}

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
  const candidates = listCandidates(artifact, choice);
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

function listCandidates(artifact: Artifact, choice: PlanChoice): readonly Plan[] {
  const { plan, schedule } = choice;
  if (typeof plan === "object") return [plan];
  if (plan !== undefined) {
    const chosen = artifact.plans[plan];
    if (chosen !== undefined) return [chosen];
    throw new GpuError("MTA711", `attention "${artifact.name}" has no plan ${plan}`, {
      remedy: `it has ${artifact.plans.length}, counted from 0`,
    });
  }
  const matching = artifact.plans.filter(
    (candidate) =>
      candidate.target === "webgpu" && (schedule === undefined || candidate.schedule === schedule),
  );
  if (matching.length > 0) return matching;
  const schedules = [...new Set(artifact.plans.map((candidate) => candidate.schedule))].join(", ");
  throw new GpuError(
    "MTA711",
    `attention "${artifact.name}" has no ${schedule === undefined ? "WebGPU plan" : `plan with schedule ${schedule}`}`,
    { remedy: schedules === "" ? "compile the spec again" : `it was compiled with: ${schedules}` },
  );
}

/** What the device lacks, as phrases with the size of each gap. */
export function shortfalls(requires: Requirements, { limits, features }: DeviceCapabilities): string[] {
  const lacks: string[] = [];
  const compare = (
    what: string,
    limit: string,
    needed: number,
    available: number,
    show: (n: number) => string,
  ): void => {
    if (needed <= available) return;
    lacks.push(
      `needs ${show(needed)} ${what}, ${show(needed - available)} more than the device's ${show(available)} (${limit})`,
    );
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
