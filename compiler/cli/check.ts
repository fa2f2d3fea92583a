import type { Command } from "commander";
import { createOutput } from "./support/output.ts";

export function registerCheck(program: Command): void {
  program
    .command("check")
    .summary("report every error and warning in specs")
    .description("Report every error and warning in specs, without compiling them.")
    .argument("[spec...]", "spec files (.mta or .ts); default: those of mtac.config.ts")
    .option("--json", "print the diagnostics as a JSON array")
    .action(async (files: string[], options: { json?: true }) => {
      const { namedSpecs } = await import("./support/named-specs.ts");
      const { checkSpecs } = await import("./support/check-specs.ts");
      await checkSpecs(await namedSpecs("check", files), createOutput(options.json === true));
    });
}
