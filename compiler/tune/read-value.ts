/** A value from a file is not what it should be; the message names its place. */
export class ValueFault extends Error {
  override readonly name = "ValueFault";
}

/** A JSON object that is read field by field. */
export type Fields = Readonly<Record<string, unknown>>;

/** @throws ValueFault, as all of these */
export function fieldsOf(value: unknown, at: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ValueFault(`${at} is no object`);
  return Object.fromEntries(Object.entries(value));
}

export function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new ValueFault(`${name} is no text`);
  return value;
}

export function wholeNumberOf(fields: Fields, name: string, least: number): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least)
    throw new ValueFault(`${name} is no whole number from ${least}`);
  return value;
}

/** A duration: finite, and not negative. */
export function timeOf(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0)
    throw new ValueFault(`${name} is no duration`);
  return value;
}

export function wordOf<T extends string>(fields: Fields, name: string, words: readonly T[]): T {
  const found = words.find((word) => word === fields[name]);
  if (found === undefined) throw new ValueFault(`${name} is none of ${words.join(", ")}`);
  return found;
}
