import type { Command } from "commander";
import { createOutput } from "../../terminal/output.ts";

export function registerCheck(program: Command): void {
  program
    .command("check")
    .summary("report every error and warning in specs")
    .description("Report every error and warning in specs, without compiling them.")
    .argument("[spec...]", "spec files (.mta or .ts); default: those of mtac.config.ts")
    .option("--json", "print the diagnostics as a JSON array")
    .action(async (files: string[], options: { json?: true }) => {
      const { namedSpecs } = await import("../specs/named-specs.ts");
      const { checkSpecs } = await import("./run.ts");
      await checkSpecs(await namedSpecs("check", files), createOutput(options.json === true));
    });
}
