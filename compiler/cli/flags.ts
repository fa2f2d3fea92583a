import { SCHEDULES } from "../../runtime/contract/plan.ts";
import {
  COMPUTING_TARGETS,
  hasArchitectures,
  MODULE_TARGETS,
  type ModuleTarget,
  type TargetName,
  wantedModuleTarget,
  wantedTarget,
} from "../targets.ts";
import { architectureWithoutCuda, unknownArchitecture } from "./errors.ts";
import { type Flag, given, oneOf, splitList, text, unless, value, wholeNumber, withDefault } from "./flag.ts";

/** Flags that several commands share, so that they read and fail alike. */

export const NAME = text(
  "<name>",
  "the attention or stack (default: the one named like the file, else the only one)",
);

/** Where a command takes all that a spec declares. */
export const NAME_OF_ALL = text("<name>", "one attention or stack (default: all)");

export const LAYER = value(
  "<n>",
  "layer number from 0: picks a stack's attention, feeds depth_scale",
  wholeNumber(0),
);

export const SCHEDULE = oneOf("<schedule>", "use this schedule instead of the cheapest", SCHEDULES);

export const DEVICE_ARCHITECTURE = text(
  "<arch>",
  "GPU architecture for CUDA targets (default: the device's; sm_80 for cuda-emulated)",
);

/** Without a default here, the project's config may say, else it is 1024. */
export const LENGTH = value("<n>", "rows of queries and keys", wholeNumber(1));

export const BATCH = withDefault(value("<n>", "batch entries", wholeNumber(1)), 1);

export const SEED = withDefault(value("<n>", "seed of the random tensors", wholeNumber(0)), 1);

export const JSON_OBJECT = given("print one JSON object; everything for people goes to stderr");

export const TUNED = unless("take the planner's choice, whatever `mtac tune` has found");

export const STORE = text("<file>", "the tuning store (default: mtac/tuning.jsonl in the cache folder)");

/** One target by its name or an alias; help and errors list the names. */
export function target<T extends TargetName>(targets: readonly T[], description: string): Flag<T, false> {
  return { ...value("<target>", description, (word) => wantedTarget(word, targets)), choices: targets };
}

/** The same for commands that compute: without it, `computingTarget` of `targets/index.ts` says on what. */
export function device<T extends TargetName>(targets: readonly T[], description: string): Flag<T, false> {
  const { gpu, other } = COMPUTING_TARGETS;
  return target(targets, `${description} (default: ${gpu} where there is a GPU, else ${other})`);
}

/** What modules of imported specs are made for. */
export function moduleTarget(description: string): Flag<ModuleTarget, false> {
  return { ...value("<target>", description, wantedModuleTarget), choices: MODULE_TARGETS };
}

/** `--target a,b` and repeated `--target`s. */
export function targets<T extends TargetName>(
  known: readonly T[],
  description: string,
): Flag<readonly T[], false> {
  const read = (words: string, previous: readonly T[] | undefined): readonly T[] => [
    ...(previous ?? []),
    ...splitList(words, undefined).map((word) => wantedTarget(word, known)),
  ];
  return { ...value("<targets>", description, read), choices: known };
}

/** @throws MtacError MTA915, MTA916: `--arch` goes with CUDA only, and names an architecture */
export function checkArchitecture({
  target: wanted,
  arch,
}: {
  readonly target: TargetName;
  readonly arch?: string;
}): void {
  if (arch === undefined) return;
  if (!hasArchitectures(wanted)) throw architectureWithoutCuda(wanted);
  // What is spelled like one, the device knows better.
  if (!/^sm_\d+[af]?$/.test(arch)) throw unknownArchitecture(arch);
}
