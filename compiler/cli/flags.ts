import { InvalidArgumentError, Option } from "commander";
import { SCHEDULES } from "../../runtime/contract/plan.ts";
import type { TargetName } from "../targets.ts";
import { targetOf } from "./targets.ts";

/** Options that several commands share, so that they read and fail alike. */

export function nameOption(): Option {
  return new Option(
    "--name <name>",
    "the attention or stack (default: the one named like the file, else the only one)",
  );
}

export function layerOption(): Option {
  return new Option(
    "--layer <n>",
    "layer number from 0: picks a stack's attention, feeds depth_scale",
  ).argParser(wholeNumber(0));
}

export function scheduleOption(): Option {
  return new Option("--schedule <schedule>", "use this schedule instead of the cheapest").choices(SCHEDULES);
}

export function deviceArchitectureOption(): Option {
  return new Option(
    "--arch <arch>",
    "GPU architecture for CUDA targets (default: the device's; sm_80 for cuda-emulated)",
  );
}

/** One target by its name or an alias; help and errors list the names. */
export function targetOption(targets: readonly TargetName[], description: string): Option {
  return new Option("--target <target>", description)
    .choices(targets)
    .argParser((word: string) => targetOf(word, targets));
}

/** `--target a,b` and repeated `--target`s. */
export function targetListOption(targets: readonly TargetName[], description: string): Option {
  return new Option("--target <targets>", description)
    .choices(targets)
    .argParser((text: string, previous: readonly TargetName[] | undefined) => [
      ...(previous ?? []),
      ...splitList(text, undefined).map((word) => targetOf(word, targets)),
    ]);
}

/** Without a default here, the project's config may say, else it is 1024. */
export function lengthOption(fallback?: number): Option {
  const option = new Option("--length <n>", "rows of queries and keys").argParser(wholeNumber(1));
  return fallback === undefined ? option : option.default(fallback);
}

export function configOption(): Option {
  return new Option("--config <file>", "the project's settings (default: the nearest mtac.config.ts)");
}

export function batchOption(): Option {
  return new Option("--batch <n>", "batch entries").argParser(wholeNumber(1)).default(1);
}

export function seedOption(): Option {
  return new Option("--seed <n>", "seed of the random tensors").argParser(wholeNumber(0)).default(1);
}

/** What `jsonOption` gives. */
export interface JsonFlag {
  readonly json?: true;
}

export function jsonOption(): Option {
  return new Option("--json", "print one JSON object; everything for people goes to stderr");
}

/** Gives `tuned: false`; `tuned` is true without it. */
export function noTunedOption(): Option {
  return new Option("--no-tuned", "take the planner's choice, whatever `mtac tune` has found");
}

export function tuningStoreOption(): Option {
  return new Option("--store <file>", "the tuning store (default: mtac/tuning.jsonl in the cache folder)");
}

/** Parses `--target a,b` and repeated `--target`s. */
export function splitList(value: string, previous: readonly string[] | undefined): readonly string[] {
  const items = value.split(",").map((item) => item.trim());
  if (items.includes("")) throw new InvalidArgumentError("expected names separated by commas");
  return [...(previous ?? []), ...items];
}

/** `128,512`; the option may be repeated. */
export function numberList(text: string, previous: readonly number[] | undefined): readonly number[] {
  return [...(previous ?? []), ...text.split(",").map((item) => wholeNumber(1)(item.trim()))];
}

export function wholeNumber(least: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || !Number.isSafeInteger(number) || number < least)
      throw new InvalidArgumentError(`expected a whole number, at least ${least}`);
    return number;
  };
}
