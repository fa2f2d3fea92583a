import { MtacError } from "../runtime/contract/errors.ts";
import { SCHEDULES } from "../runtime/contract/plan.ts";

/** What a value is not, in words that go after "give"; null where it is what it should be. */
export type Check = (value: unknown) => string | null;
export type Checks<Name extends string = string> = Readonly<Record<Name, Check>>;

/** What is wrong with options, and how to mend it. */
export interface OptionFault {
  readonly message: string;
  readonly remedy: string;
}

export const text: Check = (value) => (typeof value === "string" ? null : "a string");
export const truth: Check = (value) => (typeof value === "boolean" ? null : "true or false");
export const map: Check = (value) => (value instanceof Map ? null : "a Map");
export const callback: Check = (value) => (typeof value === "function" ? null : "a function");
export const wholeNumber: Check = (value) => (isWhole(value, 1) ? null : "a whole number, at least 1");
export const schedule: Check = (value) =>
  SCHEDULES.some((each) => each === value) ? null : `one of ${listed(SCHEDULES)}`;

/** The size of a call that plans are chosen for: as the runtime counts, with 32 bits. */
export const shape: Check = (value) =>
  isRecord(value) &&
  [value["B"], value["Lq"], value["Lk"]].every((size) => isWhole(size, 1)) &&
  isWhole(value["R"], 0)
    ? null
    : "whole numbers B, Lq and Lk, at least 1, and R, at least 0";

/** One or more values, each of which passes. */
export function listOf(check: Check, what: string): Check {
  return (value) =>
    Array.isArray(value) && value.length > 0 && value.every((each) => check(each) === null)
      ? null
      : `an array of one or more ${what}`;
}

export const texts: Check = (value) =>
  Array.isArray(value) && value.every((each) => text(each) === null) ? null : "an array of strings";

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWhole(value: unknown, least: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= 0xffffffff;
}

/** The first of some options that is none, or has a value that it does not take; those that are `undefined` are not given. */
export function optionFault<Name extends string>(options: unknown, checks: Checks<Name>): OptionFault | null {
  const names = Object.keys(checks);
  if (!isRecord(options))
    return { message: `options are ${shown(options)}`, remedy: `give an object with ${names.join(", ")}` };
  const known: Readonly<Partial<Record<string, Check>>> = checks;
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(checks, name))
      return { message: `there is no option \`${name}\``, remedy: `there are ${names.join(", ")}` };
    const wanted = value === undefined ? null : (known[name]?.(value) ?? null);
    if (wanted !== null) return { message: `\`${name}\` is ${shown(value)}`, remedy: `give ${wanted}` };
  }
  return null;
}

/**
 * Refuses options of a function that nothing checks beforehand: whoever writes JavaScript may give anything.
 * @throws MtacError MTA933
 */
export function refuseOptions(subject: string, options: unknown, checks: Checks): void {
  const fault = optionFault(options, checks);
  if (fault !== null) throw wrongOption(`${subject}: ${fault.message}`, fault.remedy);
}

export function wrongOption(message: string, remedy: string): MtacError {
  return new MtacError("MTA933", "usage", message, { remedy });
}

/** Names as remedies list them. */
export function listed(names: readonly string[]): string {
  return names.map((each) => `"${each}"`).join(", ");
}

/** A value as messages show it. */
export function shown(value: unknown): string {
  if (typeof value === "function") return "a function";
  return typeof value === "bigint" ? `${value}n` : (JSON.stringify(value) ?? String(value));
}
