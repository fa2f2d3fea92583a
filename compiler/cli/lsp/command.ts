import type { Command } from "commander";
import { Option } from "commander";
import { packageVersion } from "../../package.ts";
import { onlyOverStdio } from "../errors.ts";

export function registerLsp(program: Command): void {
  program
    .command("lsp")
    .summary("serve editors: diagnostics, hover, completion and more")
    .description("Speak the Language Server Protocol with an editor, which starts this command itself.")
    .option("--stdio", "over stdin and stdout, the only way there is")
    // Clients give it; the server takes the id from the protocol's first message.
    .addOption(new Option("--clientProcessId <id>").hideHelp())
    .action(async (options: { stdio?: true }) => {
      if (options.stdio !== true) throw onlyOverStdio();
      const { serve } = await import("../../lsp/server.ts");
      serve({ input: process.stdin, output: process.stdout, version: packageVersion() });
      // The connection ends the process, with the exit code that the protocol asks for.
      await new Promise<never>(() => {});
    });
}
