import { InvalidArgumentError, Option } from "commander";

/**
 * One flag of a command: what help says of it, and how its words become a value. Its name is its key in the command's table: `keepAll`
 * is `--keep-all`. `Always` says whether a command gets a value when nobody gives one.
 */
export interface Flag<Value, Always extends boolean> {
  /** What help says; null where there is `--no-…` only. */
  readonly description: string | null;
  /** What help says of `--no-…`; null where there is none. */
  readonly negation: string | null;
  /** What follows the name: `<n>`, or `[place]` where it may be left out; null for a flag that is given or not. */
  readonly argument: string | null;
  /** The words that help lists. */
  readonly choices: readonly string[] | null;
  /** Reads one word; a flag that is repeated gives what came before. Without it, the word itself is the value. */
  read?(word: string, previous: Value | undefined): Value;
  /** What a command gets when nobody gives one. */
  readonly fallback: Value | null;
  /** Whether a command must get one, and whether it always does: from somebody, or from `fallback`. */
  readonly required: boolean;
  readonly always: Always;
  /** A name that is not the key with hyphens, as others give it; not shown in help. */
  readonly hiddenAs: string | null;
}

/** A command's flags, by the names that they have in what it gets. */
export type FlagTable = Readonly<Record<string, Flag<unknown, boolean>>>;

type ValueOf<F> = F extends Flag<infer Value, boolean> ? Value : never;
type AlwaysIn<T> = { [Name in keyof T]: T[Name] extends { always: true } ? Name : never }[keyof T];

/** What a command gets: the type that its table says. */
export type FlagsOf<T> = { readonly [Name in AlwaysIn<T>]: ValueOf<T[Name]> } & {
  readonly [Name in Exclude<keyof T, AlwaysIn<T>>]?: ValueOf<T[Name]>;
};

const PLAIN = {
  description: null,
  negation: null,
  argument: null,
  choices: null,
  fallback: null,
  required: false,
  always: false,
  hiddenAs: null,
} as const;

/** `--name`: true, or nothing. */
export function given(description: string): Flag<true, false> {
  return { ...PLAIN, description };
}

/** `--no-name`: false; without it true. */
export function unless(negation: string): Flag<boolean, true> {
  return { ...PLAIN, negation, always: true };
}

/** `--name` and `--no-name`: true, false, or nothing. */
export function either(description: string, negation: string): Flag<boolean, false> {
  return { ...PLAIN, description, negation };
}

/** `--name <argument>`: the text. */
export function text(argument: string, description: string): Flag<string, false> {
  return { ...PLAIN, argument, description };
}

/** `--name [argument]`: the text, or true where there is none. */
export function optionalText(argument: string, description: string): Flag<string | true, false> {
  return { ...PLAIN, argument, description };
}

/** `--name <argument>`, read. */
export function value<Value>(
  argument: string,
  description: string,
  read: (word: string, previous: Value | undefined) => Value,
): Flag<Value, false> {
  return { ...PLAIN, argument, description, read };
}

/** One of some words, which help and errors list. */
export function oneOf<const Word extends string>(
  argument: string,
  description: string,
  choices: readonly Word[],
): Flag<Word, false> {
  return { ...PLAIN, argument, description, choices, read: (word) => choiceOf(word, choices) };
}

/** The same flag where a command always gets a value. */
export function withDefault<Value>(flag: Flag<Value, false>, fallback: Value): Flag<Value, true> {
  return { ...flag, fallback, always: true };
}

/** The same flag where somebody must give it. */
export function required<Value>(flag: Flag<Value, false>): Flag<Value, true> {
  return { ...flag, required: true, always: true };
}

/** A flag that others give, under a name that is not its key with hyphens; help leaves it out. */
export function hidden<Value>(name: string, flag: Flag<Value, false>): Flag<Value, false> {
  return { ...flag, hiddenAs: name };
}

function choiceOf<Word extends string>(word: string, choices: readonly Word[]): Word {
  const found = choices.find((each) => each === word);
  if (found === undefined) throw new InvalidArgumentError(`Allowed choices are ${choices.join(", ")}.`);
  return found;
}

/** `a,b`; the flag may be repeated. */
export function splitList(word: string, previous: readonly string[] | undefined): readonly string[] {
  const items = word.split(",").map((item) => item.trim());
  if (items.includes("")) throw new InvalidArgumentError("expected names separated by commas");
  return [...(previous ?? []), ...items];
}

/** `128,512`; the flag may be repeated. */
export function numberList(word: string, previous: readonly number[] | undefined): readonly number[] {
  return [...(previous ?? []), ...word.split(",").map((item) => wholeNumber(1)(item.trim()))];
}

export function wholeNumber(least: number): (word: string) => number {
  return (word) => {
    const number = Number(word);
    if (!/^\d+$/.test(word) || !Number.isSafeInteger(number) || number < least)
      throw new InvalidArgumentError(`expected a whole number, at least ${least}`);
    return number;
  };
}

/** A flag as Commander knows it: two options where there is `--no-…`, too. */
export function optionsOf(name: string, flag: FlagTable[string]): readonly Option[] {
  const word = flag.hiddenAs ?? name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const options: Option[] = [];
  if (flag.description !== null) {
    const argument = flag.argument === null ? "" : ` ${flag.argument}`;
    const option = new Option(`--${word}${argument}`, flag.description);
    if (flag.choices !== null) option.choices(flag.choices);
    if (flag.read !== undefined) option.argParser(flag.read);
    if (flag.fallback !== null) option.default(flag.fallback);
    options.push(option.makeOptionMandatory(flag.required).hideHelp(flag.hiddenAs !== null));
  }
  if (flag.negation !== null) options.push(new Option(`--no-${word}`, flag.negation));
  return options;
}
