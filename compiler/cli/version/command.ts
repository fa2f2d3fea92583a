import type { Command } from "commander";
import { packageVersion } from "../../package.ts";
import { createOutput } from "../../terminal/output.ts";

export function registerVersion(program: Command): void {
  program
    .command("version")
    .summary("print the versions of mtac and Node, and the platform")
    .description("Print the versions of mtac and Node, and the platform.")
    .option("--json", "print a JSON object")
    .action((options: { json?: true }) => {
      const output = createOutput(options.json === true);
      const version = packageVersion();
      output.text(`mtac ${version} (Node ${process.versions.node}, ${process.platform} ${process.arch})`);
      output.result({
        mtac: version,
        node: process.versions.node,
        platform: process.platform,
        architecture: process.arch,
      });
    });
}
