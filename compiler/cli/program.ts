import { Command, CommanderError, Help, type Option } from "commander";
import { packageVersion } from "../package.ts";
import { openOutput, tolerateClosedPipes } from "../terminal/output.ts";
import { BENCH } from "./bench/command.ts";
import { CHECK } from "./check/command.ts";
import { type AddCommand, runnable } from "./command.ts";
import { COMPILE } from "./compile/command.ts";
import { DEVICES } from "./devices/command.ts";
import { wrongUsage } from "./errors.ts";
import { EXPLAIN } from "./explain/command.ts";
import { reportFailure } from "./failure.ts";
import { FMT } from "./fmt/command.ts";
import { INIT } from "./init/command.ts";
import { LSP } from "./lsp/command.ts";
import { RUN } from "./run/command.ts";
import { EXPORT, MERGE, PRUNE, SHOW, TUNE } from "./tune/command.ts";
import { TYPES } from "./types/command.ts";
import { VERIFY } from "./verify/command.ts";
import { VERSION } from "./version/command.ts";
import { WEIGHTS } from "./weights/command.ts";

/** As help lists them. */
const COMMANDS: readonly AddCommand[] = [
  runnable(COMPILE, () => import("./compile/run.ts")),
  runnable(CHECK, () => import("./check/run.ts")),
  runnable(FMT, () => import("./fmt/run.ts")),
  runnable(EXPLAIN, () => import("./explain/run.ts")),
  runnable(TYPES, () => import("./types/run.ts")),
  runnable(RUN, () => import("./run/run.ts")),
  runnable(VERIFY, () => import("./verify/run.ts")),
  runnable(WEIGHTS, () => import("./weights/run.ts")),
  runnable(BENCH, () => import("./bench/run.ts")),
  runnable(TUNE, () => import("./tune/run.ts"), [
    runnable(SHOW, () => import("./tune/show.ts")),
    runnable(EXPORT, () => import("./tune/export.ts")),
    runnable(PRUNE, () => import("./tune/prune.ts")),
    runnable(MERGE, () => import("./tune/merge.ts")),
  ]),
  runnable(DEVICES, () => import("./devices/run.ts")),
  runnable(INIT, () => import("./init/run.ts")),
  runnable(LSP, () => import("./lsp/run.ts")),
  runnable(VERSION, () => import("./version/run.ts")),
];

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
  for (const add of COMMANDS) add(program);
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
    if (!(error instanceof CommanderError)) return reportFailure(error, openOutput({ json }));
    if (error.exitCode === 0) return 0;
    const message = error.message
      .replace(/^error: /, "")
      .replace(/\n\(Did you mean (.*)\?\)$/, "; did you mean `$1`?");
    return reportFailure(wrongUsage(message), openOutput({ json }));
  }
}
