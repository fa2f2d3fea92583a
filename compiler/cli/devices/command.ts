import type { Command } from "commander";
import { createOutput } from "../../terminal/output.ts";

export function registerDevices(program: Command): void {
  program
    .command("devices")
    .summary("list what `run` and `verify` can compute on, with limits and features")
    .description("List what `run` and `verify` can compute on, with limits and features.")
    .option("--json", "print a JSON array")
    .action(async (options: { json?: true }) => {
      const { listDevices } = await import("./run.ts");
      await listDevices(createOutput(options.json === true));
    });
}
