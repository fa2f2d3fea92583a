import type { StorageForm } from "../../runtime/contract/index.ts";
import {
  type Checks,
  callback,
  isRecord,
  listOf,
  refuseOptions,
  schedule,
  shape,
  texts,
  wholeNumber,
  wrongOption,
} from "../options.ts";
import { CUDA_ARCHITECTURES, type CudaArchitecture } from "./architectures.ts";
import type { TargetLimits } from "./limits.ts";
import type { PlanRequest } from "./machine.ts";

const LIMITS: Checks<keyof TargetLimits> = {
  workgroupBytes: wholeNumber,
  invocations: wholeNumber,
  storageBuffers: wholeNumber,
  features: texts,
  architecture: (value) => (isArchitecture(value) ? null : "what `cudaArchitecture` gives"),
};

const STORAGE_FORMS: Readonly<Record<StorageForm, true>> = {
  f32: true,
  "f16-native": true,
  "f16-packed": true,
  "bf16-native": true,
  "bf16-packed": true,
};

const REQUEST: Checks<keyof PlanRequest> = {
  machine: (value) =>
    isRecord(value) && isRecord(value["limits"])
      ? null
      : "what `webgpuMachine`, `cudaMachine` or `cpuMachine` gives",
  shape,
  schedule,
  storage: (value) =>
    typeof value === "string" && Object.hasOwn(STORAGE_FORMS, value)
      ? null
      : `one of ${Object.keys(STORAGE_FORMS).join(", ")}`,
  direction: (value) => (value === "backward" ? null : '"backward", or nothing'),
  onPredicted: callback,
  options: (value) => (isRecord(value) ? null : "an object"),
};

/** Devices to make plans for, and the calls that they are chosen for. */
export const PLAN_OPTIONS: Checks<"shape" | "schedule" | "variants" | "architectures"> = {
  shape,
  schedule,
  variants: listOf((value) => (isLimits(value) ? null : ""), "limits of devices"),
  architectures: listOf((value) => (typeof value === "string" ? null : ""), 'names, such as "sm_80"'),
};

function isLimits(value: unknown): boolean {
  const needed = ["workgroupBytes", "invocations", "storageBuffers", "features"];
  return (
    isRecord(value) &&
    needed.every((name) => Object.hasOwn(value, name)) &&
    Object.entries(LIMITS).every(([name, check]) => value[name] === undefined || check(value[name]) === null)
  );
}

/** @throws MtacError MTA933: what is to be planned is no pipeline, or the request asks for what no planner knows */
export function checkRequest(pipeline: unknown, request: unknown): void {
  if (!isRecord(pipeline) || !Array.isArray(pipeline["parameters"]))
    throw wrongOption("there is no pipeline to plan", "give what `resolve` gives");
  refuseOptions("the planner", request, REQUEST);
  const missing = isRecord(request)
    ? ["machine", "shape"].find((name) => request[name] === undefined)
    : undefined;
  if (missing !== undefined)
    throw wrongOption(`the planner: \`${missing}\` is not given`, "see `PlanRequest`");
}

function isArchitecture(value: unknown): value is CudaArchitecture {
  return isRecord(value) && CUDA_ARCHITECTURES.some(({ name }) => name === value["name"]);
}

/** @throws MtacError MTA933 for what is no architecture */
export function checkArchitecture(value: unknown): asserts value is CudaArchitecture {
  if (!isArchitecture(value))
    throw wrongOption(
      "a CUDA device without an architecture",
      "give what `cudaArchitecture` or `cudaLimits` gives",
    );
}

/** @throws MtacError MTA933 for what describes no device */
export function checkLimits(limits: unknown): void {
  if (!isLimits(limits)) throw wrongOption("the limits of a device are none", "see `TargetLimits`");
}
