import { Command, CommanderError, Help, type Option } from "commander";
import { packageVersion } from "../package.ts";
import { createOutput, tolerateClosedPipes } from "../terminal/output.ts";
import { registerBench } from "./bench/command.ts";
import { registerCheck } from "./check/command.ts";
import { registerCompile } from "./compile/command.ts";
import { registerDevices } from "./devices/command.ts";
import { wrongUsage } from "./errors.ts";
import { registerExplain } from "./explain/command.ts";
import { reportFailure } from "./failure.ts";
import { registerFmt } from "./fmt/command.ts";
import { registerInit } from "./init/command.ts";
import { registerLsp } from "./lsp/command.ts";
import { registerRun } from "./run/command.ts";
import { registerTune } from "./tune/command.ts";
import { registerTypes } from "./types/command.ts";
import { registerVerify } from "./verify/command.ts";
import { registerVersion } from "./version/command.ts";
import { registerWeights } from "./weights/command.ts";

function createProgram(): Command {
  const program = new Command("mtac")
    .description("The compiler for Multi-Token Attention: specs in, GPU kernels and typed launchers out.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help for a command")
    .configureHelp({ showGlobalOptions: false, optionDescription: describeOption })
    // reportFailure prints errors, with their code and as JSON where asked.
    .configureOutput({ outputError: () => {} })
    .exitOverride()
    // Options after a command are the command's: `tune` and `tune show` share some.
    .enablePositionalOptions()
    .addHelpText(
      "after",
      "\nExit codes: 0 fine · 1 the spec or the check failed · 2 wrong usage\n            3 the device or driver failed",
    );
  for (const register of [
    registerCompile,
    registerCheck,
    registerFmt,
    registerExplain,
    registerTypes,
    registerRun,
    registerVerify,
    registerWeights,
    registerBench,
    registerTune,
    registerDevices,
    registerInit,
    registerLsp,
    registerVersion,
  ])
    register(program);
  for (const command of program.commands) command.exitOverride().configureOutput({ outputError: () => {} });
  return program;
}

/** As Commander has it, and which options a command cannot do without. */
function describeOption(this: Help, option: Option): string {
  const text = Help.prototype.optionDescription.call(this, option);
  return option.mandatory ? `${text} (required)` : text;
}

/** Runs the command line; gives the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  tolerateClosedPipes();
  const json = argv.includes("--json");
  const program = createProgram();
  if (argv.length === 0) {
    process.stderr.write(program.helpInformation());
    return 2;
  }
  try {
    await program.parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportFailure(error, createOutput(json));
    if (error.exitCode === 0) return 0;
    const message = error.message
      .replace(/^error: /, "")
      .replace(/\n\(Did you mean (.*)\?\)$/, "; did you mean `$1`?");
    return reportFailure(wrongUsage(message), createOutput(json));
  }
}
