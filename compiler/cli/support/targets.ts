import { RUN_TARGETS, type RunTarget } from "../../execution/request.ts";
import { EMITTED_TARGETS, type EmittedTarget } from "../../targets.ts";
import { architectureWithoutCuda, gradientsOnReferenceOnly, unknownTarget } from "./errors.ts";

export function emittedTargets(names: readonly string[] | undefined): readonly EmittedTarget[] {
  if (names === undefined) return EMITTED_TARGETS;
  return [...new Set(names.map((name) => oneOf(name, EMITTED_TARGETS)))];
}

export function runTarget(name: string, options: { grad: boolean; arch?: string | undefined }): RunTarget {
  const target = oneOf(name, RUN_TARGETS);
  if (options.grad && target !== "reference") throw gradientsOnReferenceOnly(target);
  architectureOption(target, options.arch);
  return target;
}

/** @throws MtacError: `--arch` goes with CUDA only. */
export function architectureOption(target: string, arch: string | undefined): void {
  if (arch !== undefined && !target.startsWith("cuda")) throw architectureWithoutCuda(target);
}

/** `explain` takes a target by the name of its language or of its runtime. */
export function plannedTarget(name: string): "webgpu" | "cuda" {
  return name === "wgsl" ? "webgpu" : oneOf(name, ["webgpu", "cuda"] as const);
}

function oneOf<T extends string>(name: string, known: readonly T[]): T {
  const found = known.find((each) => each === name);
  if (found !== undefined) return found;
  throw unknownTarget(name, known);
}
