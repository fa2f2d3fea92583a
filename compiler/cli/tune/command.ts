import { type Command, InvalidArgumentError, Option } from "commander";
import { METERED_TARGETS } from "../../targets.ts";
import { createOutput } from "../../terminal/output.ts";
import type { KnobSweep, Shard } from "../../tune/candidates.ts";
import { notTunable } from "../errors.ts";
import {
  deviceArchitectureOption,
  type JsonFlag,
  jsonOption,
  layerOption,
  nameOption,
  numberList,
  scheduleOption,
  seedOption,
  targetOption,
  tuningStoreOption,
  wholeNumber,
} from "../flags.ts";
import type { ExportFlags } from "./export.ts";
import type { MergeFlags } from "./merge.ts";
import type { PruneFlags } from "./prune.ts";
import type { TuneFlags } from "./run.ts";
import type { ShowFlags } from "./show.ts";

/** `mtac tune SPEC`, and what is done with the results that it stores. */
export function registerTune(program: Command): void {
  const tune = program
    .command("tune")
    .summary("measure the plans that could win, and remember the best")
    .description(
      "Measure the plans that could win on a device, each checked against the reference first, and store what was found: `compile` and `run` use it. A sweep that is interrupted goes on where it was when it is started again.",
    )
    .argument("[spec]", "spec file (.mta or .ts)")
    .addOption(targetOption(METERED_TARGETS, "what to measure on").default("webgpu"))
    .addOption(deviceArchitectureOption())
    .addOption(nameOption())
    .addOption(layerOption())
    .addOption(
      new Option("--lengths <list>", "rows of queries and keys, for example 512,2048").argParser(numberList),
    )
    .addOption(new Option("--batch <list>", "batch entries (default: 1)").argParser(numberList))
    .addOption(
      new Option(
        "--sweep <knob=values>",
        "measure these values of a knob only, for example tile_q=32,64",
      ).argParser(knobSweep),
    )
    .addOption(scheduleOption())
    .addOption(
      new Option(
        "--candidates <n>",
        "measure at most so many, the most promising (default: 20; cuda 48; emulated 12)",
      ).argParser(wholeNumber(1)),
    )
    .addOption(
      new Option("--budget <time>", "for all shapes together, for example 60s or 5m").argParser(duration),
    )
    .addOption(
      new Option("--shard <i/n>", "one of several parts of the sweep, for example 2/8").argParser(shard),
    )
    .option("--again", "measure anew what is known already")
    .addOption(seedOption())
    .addOption(tuningStoreOption())
    .addOption(jsonOption())
    .allowExcessArguments()
    // Options after a subcommand are the subcommand's.
    .enablePositionalOptions()
    .action(async (given: string | undefined, flags: TuneFlags & JsonFlag) => {
      // A word that is none of the subcommands is no spec either: specs end in .mta or .ts.
      if (given === undefined || !/\.(mta|[cm]?ts)$/.test(given)) throw notTunable(given ?? "");
      const { tuneSpec } = await import("./run.ts");
      await tuneSpec(given, flags, createOutput(flags.json === true));
    });
  registerShow(tune);
  registerExport(tune);
  registerPrune(tune);
  registerMerge(tune);
}

function registerShow(tune: Command): void {
  tune
    .command("show")
    .summary("list the winners")
    .description("List what won for each attention, device and range of shapes, and by how much.")
    .argument("[spec]", "spec file (.mta or .ts); without it, results for all specs")
    .addOption(tunedNameOption())
    .addOption(tunedTargetOption("of one target only"))
    .option("--all", "list every record, also those of other versions of mtac")
    .addOption(tuningStoreOption())
    .addOption(jsonOption())
    .action(async (spec: string | undefined, flags: ShowFlags & JsonFlag) => {
      const { showTuning } = await import("./show.ts");
      await showTuning(spec, flags, createOutput(flags.json === true));
    });
}

function registerExport(tune: Command): void {
  tune
    .command("export")
    .summary("write the winners to a file")
    .description("Write the winners, and nothing else, to a JSON file that may be shipped beside a launcher.")
    .argument("[spec]", "spec file (.mta or .ts); without it, results for all specs")
    .requiredOption("--out <file>", "JSON file to write")
    .addOption(tunedNameOption())
    .addOption(tunedTargetOption("of one target only"))
    .addOption(tuningStoreOption())
    .addOption(jsonOption())
    .action(async (spec: string | undefined, flags: ExportFlags & JsonFlag) => {
      const { exportTunedPlans } = await import("./export.ts");
      await exportTunedPlans(spec, flags, createOutput(flags.json === true));
    });
}

function registerPrune(tune: Command): void {
  tune
    .command("prune")
    .summary("drop results that are not needed any more")
    .description(
      "Drop damaged lines, results of other versions of mtac and superseded ones. With --before, --device, --target also results that fit all of those that are given.",
    )
    .addOption(new Option("--before <date>", "drop what is older, for example 2025-06-30").argParser(date))
    .option("--device <text>", "drop results of devices whose name holds this text")
    .addOption(tunedTargetOption("drop results of this target"))
    .option("--keep-all", "keep superseded results: earlier rounds and repeated measurements")
    .option("--dry-run", "say what would be dropped, and change nothing")
    .addOption(tuningStoreOption())
    .addOption(jsonOption())
    .action(async (flags: PruneFlags & JsonFlag) => {
      const { pruneTuning } = await import("./prune.ts");
      pruneTuning(flags, createOutput(flags.json === true));
    });
}

function registerMerge(tune: Command): void {
  tune
    .command("merge")
    .summary("take over results from other stores")
    .description(
      "Append the results of other stores, as sweeps on other machines leave them, that are not there yet.",
    )
    .argument("<files...>", "stores to read")
    .addOption(tuningStoreOption())
    .addOption(jsonOption())
    .action(async (files: string[], flags: MergeFlags & JsonFlag) => {
      const { mergeTuning } = await import("./merge.ts");
      mergeTuning(files, flags, createOutput(flags.json === true));
    });
}

function tunedNameOption(): Option {
  return new Option("--name <name>", "one attention or stack of the spec (default: all)");
}

function tunedTargetOption(description: string): Option {
  return targetOption(METERED_TARGETS, description);
}

function date(text: string): Date {
  const value = new Date(text);
  if (Number.isNaN(value.getTime()))
    throw new InvalidArgumentError("expected a date, for example 2025-06-30");
  return value;
}

/** `tile_q=32,64` */
function knobSweep(text: string, previous: readonly KnobSweep[] | undefined): readonly KnobSweep[] {
  const match = /^([a-z_][a-z0-9_]*)=(.+)$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError("expected a knob and its values, for example tile_q=32,64");
  const [, knob = "", list = ""] = match;
  const values = list.split(",").map((item) => (/^\d+$/.test(item.trim()) ? Number(item) : item.trim()));
  return [...(previous ?? []), { knob, values }];
}

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `60s`, `1.5m`: milliseconds. A number alone counts seconds. */
function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const milliseconds = Number(match?.[1]) * (MILLISECONDS[match?.[2] ?? "s"] ?? Number.NaN);
  if (!(milliseconds > 0)) throw new InvalidArgumentError("expected a time, for example 60s or 5m");
  return milliseconds;
}

/** `2/8` */
function shard(text: string): Shard {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (!(index >= 1 && index <= count))
    throw new InvalidArgumentError("expected a part of several, for example 2/8");
  return { index, count };
}
