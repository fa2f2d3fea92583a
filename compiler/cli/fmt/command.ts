import type { Command } from "commander";
import { createOutput } from "../../terminal/output.ts";

export function registerFmt(program: Command): void {
  program
    .command("fmt")
    .summary("format specs in place")
    .description("Format specs in place. `-` reads stdin and writes stdout.")
    .argument("[spec...]", "spec files (.mta), or -; default: those of mtac.config.ts")
    .option("--check", "change nothing; exit with 1 if a file is not formatted")
    .option("--json", "print a JSON array: file, whether it changed, its diagnostics")
    .action(async (files: string[], options: { check?: true; json?: true }) => {
      const { namedSpecs } = await import("../specs/named-specs.ts");
      const { formatSpecs } = await import("./run.ts");
      await formatSpecs(
        await namedSpecs("fmt", files),
        { check: options.check === true },
        createOutput(options.json === true),
      );
    });
}
