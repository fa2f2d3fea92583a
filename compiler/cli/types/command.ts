import type { Command } from "commander";
import { EMITTED_TARGETS } from "../../targets.ts";
import { createOutput } from "../../terminal/output.ts";
import { type JsonFlag, jsonOption, targetOption } from "../flags.ts";
import type { DeclareFlags } from "./run.ts";

export function registerTypes(program: Command): void {
  program
    .command("types")
    .summary("write the types of imported specs")
    .description(
      'Write a .d.ts beside each spec, for editors and tsc: what `import … from "./spec.mta"` gives in a build with mtac\'s bundler plugin.',
    )
    .argument("[spec...]", "spec files (.mta); default: those of mtac.config.ts that are .mta files")
    .option("--check", "write nothing; exit with 1 if a file is missing or not what it should be")
    .option(
      "--arbitrary-extensions",
      "write spec.d.mta.ts, for NodeNext with allowArbitraryExtensions, instead of spec.mta.d.ts (default where mtac.config.ts says so)",
    )
    .addOption(targetOption(EMITTED_TARGETS, "whose launchers the build makes").default("webgpu"))
    .addOption(jsonOption())
    .action(async (files: string[], flags: DeclareFlags & JsonFlag) => {
      const { namedSpecs } = await import("../specs/named-specs.ts");
      const { declareSpecs, isImportable } = await import("./run.ts");
      const specs = await namedSpecs("types", files);
      // A config's specs are for other commands, too.
      const wanted = files.length > 0 ? specs : specs.filter(isImportable);
      await declareSpecs(wanted, flags, createOutput(flags.json === true));
    });
}
