import type { Command } from "commander";
import { type FlagsOf, type FlagTable, optionsOf } from "./flag.ts";

/** A word of a command's line, as help shows it: `<spec>`, `[spec]`, `[spec...]`; what it means; what it is if it is left out. */
type ArgumentWords = readonly [word: string, description: string, fallback?: string];

type ArgumentOf<W extends ArgumentWords> = W[0] extends `${string}...${string}`
  ? readonly string[]
  : W[0] extends `<${string}`
    ? string
    : W extends readonly [string, string, string]
      ? string
      : string | undefined;

type ArgumentsOf<A extends readonly ArgumentWords[]> = {
  [Index in keyof A]: ArgumentOf<A[Index]>;
};

/** All that there is to say of a command before it runs: its help, and the types of what it gets. */
export interface CommandTable<A extends readonly ArgumentWords[], F extends FlagTable> {
  readonly name: string;
  /** One line in the list of commands. */
  readonly summary: string;
  readonly description: string;
  readonly arguments: A;
  readonly flags: F;
}

/** What a command does: its arguments, then its flags. */
type Run<A extends readonly ArgumentWords[], F extends FlagTable> = (
  ...given: [...ArgumentsOf<A>, FlagsOf<F>, Command]
) => void | Promise<void>;

/** Types a command's table. */
export function command<const A extends readonly ArgumentWords[], const F extends FlagTable>(
  table: CommandTable<A, F>,
): CommandTable<A, F> {
  return table;
}

/** Adds a command to Commander's; its code is loaded when it runs. */
export type AddCommand = (parent: Command) => void;

/** @param subcommands Those that stand behind the command's name. */
export function runnable<const A extends readonly ArgumentWords[], const F extends FlagTable>(
  table: CommandTable<A, F>,
  load: () => Promise<{ readonly run: Run<A, F> }>,
  subcommands: readonly AddCommand[] = [],
): AddCommand {
  return (parent) => {
    const added = parent.command(table.name).summary(table.summary).description(table.description);
    for (const [word, description, fallback] of table.arguments) added.argument(word, description, fallback);
    for (const [name, flag] of Object.entries(table.flags))
      for (const option of optionsOf(name, flag)) added.addOption(option);
    // Flags after a subcommand are the subcommand's; a word that is none of them is the command's to refuse.
    if (subcommands.length > 0) added.allowExcessArguments().enablePositionalOptions();
    added.action(async (...given: [...ArgumentsOf<A>, FlagsOf<F>, Command]) => {
      const { run } = await load();
      await run(...given);
    });
    for (const add of subcommands) add(added);
  };
}
