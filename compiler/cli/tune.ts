import { type Command, InvalidArgumentError, Option } from "commander";
import { TUNED_TARGETS } from "../tune/targets.ts";
import { commandOfLaterVersion, notTunable } from "./support/errors.ts";
import { jsonOption } from "./support/options.ts";
import { createOutput } from "./support/output.ts";

interface StoreFlags {
  readonly store?: string;
  readonly json?: true;
}

interface SelectionFlags extends StoreFlags {
  readonly name?: string;
  readonly target?: string;
}

interface PruneFlags extends StoreFlags {
  readonly before?: Date;
  readonly device?: string;
  readonly target?: string;
  readonly keepAll?: true;
  readonly dryRun?: true;
}

/** `mtac tune SPEC`, and what is done with the results that it stores. */
export function registerTune(program: Command): void {
  const tune = program
    .command("tune")
    .summary("show, export, prune and merge tuning results")
    .description("What was measured on this machine's devices, and which plans won.")
    .argument("[spec]", "spec file (.mta or .ts)")
    .allowUnknownOption()
    .allowExcessArguments()
    // Options after a subcommand are the subcommand's.
    .enablePositionalOptions()
    .action((given: string | undefined) => {
      const spec = given ?? "";
      // A word that is none of the subcommands is no spec either: specs end in .mta or .ts.
      if (!/\.(mta|[cm]?ts)$/.test(spec)) throw notTunable(spec);
      throw commandOfLaterVersion("tune SPEC");
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
    .addOption(storeOption())
    .addOption(jsonOption())
    .action(async (spec: string | undefined, flags: SelectionFlags & { readonly all?: true }) => {
      const { showTuning } = await import("./support/show-tuning.ts");
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
    .addOption(storeOption())
    .addOption(jsonOption())
    .action(async (spec: string | undefined, flags: SelectionFlags & { readonly out: string }) => {
      const { exportTunedPlans } = await import("./support/export-tuning.ts");
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
    .addOption(storeOption())
    .addOption(jsonOption())
    .action(async (flags: PruneFlags) => {
      const { pruneTuning } = await import("./support/prune-tuning.ts");
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
    .addOption(storeOption())
    .addOption(jsonOption())
    .action(async (files: string[], flags: StoreFlags) => {
      const { mergeTuning } = await import("./support/merge-tuning.ts");
      mergeTuning(files, flags, createOutput(flags.json === true));
    });
}

function storeOption(): Option {
  return new Option("--store <file>", "the tuning store (default: mtac/tuning.jsonl in the cache folder)");
}

function tunedNameOption(): Option {
  return new Option("--name <name>", "one attention or stack of the spec (default: all)");
}

function tunedTargetOption(description: string): Option {
  return new Option("--target <target>", description).choices(TUNED_TARGETS);
}

function date(text: string): Date {
  const value = new Date(text);
  if (Number.isNaN(value.getTime()))
    throw new InvalidArgumentError("expected a date, for example 2025-06-30");
  return value;
}
