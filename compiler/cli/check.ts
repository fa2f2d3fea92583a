import type { Command } from "commander";
import { createOutput } from "./support/output.ts";

export function registerCheck(program: Command): void {
  program
    .command("check")
    .summary("report every error and warning in specs")
    .description("Report every error and warning in specs, without compiling them.")
    .argument("<spec...>", "spec files (.mta or .ts)")
    .option("--json", "print the diagnostics as a JSON array")
    .action(async (files: string[], options: { json?: true }) => {
      const { checkSpecs } = await import("./support/check-specs.ts");
      await checkSpecs(files, createOutput(options.json === true));
    });
}
