import { type TargetName, targetNamed } from "../targets.ts";
import {
  architectureWithoutCuda,
  gradientsOnReferenceOnly,
  unknownArchitecture,
  unknownTarget,
} from "./errors.ts";

/** @throws MtacError MTA903: the word names none of the targets that a command takes */
export function targetOf<T extends TargetName>(word: string, known: readonly T[]): T {
  const target = targetNamed(word, known);
  if (target === null) throw unknownTarget(word, known);
  return target;
}

/** @throws MtacError MTA904, MTA916: options that the target does not take */
export function checkRunOptions(
  target: TargetName,
  options: { grad: boolean; arch?: string | undefined },
): void {
  if (options.grad && target !== "reference") throw gradientsOnReferenceOnly(target);
  architectureOption(target, options.arch);
}

/** @throws MtacError MTA915, MTA916: `--arch` goes with CUDA only, and names an architecture */
export function architectureOption(target: string, arch: string | undefined): void {
  if (arch === undefined) return;
  if (!target.startsWith("cuda")) throw architectureWithoutCuda(target);
  // What is spelled like one, the device knows better.
  if (!/^sm_\d+[af]?$/.test(arch)) throw unknownArchitecture(arch);
}
