import { UNSEEN } from "../provenance.ts";

/** Plain data as it is printed into files; `undefined` properties are left out. */
type Data = null | boolean | number | string | readonly Data[] | { readonly [key: string]: Data | undefined };

const WIDTH = 110;

interface LiteralStyle {
  readonly key: (name: string) => string;
  /** What follows the last item of a broken list. */
  readonly trailing: string;
}

const JSON_STYLE: LiteralStyle = { key: quoted, trailing: "" };
const TYPESCRIPT_STYLE: LiteralStyle = {
  key: (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name)),
  trailing: ",",
};

/** JSON for people: whatever fits on a line stands on one. */
export function printJson(value: unknown): string {
  return `${print(asData(value, "$"), "", JSON_STYLE)}\n`;
}

/** The same as a TypeScript expression, its keys unquoted where they may be. */
export function printLiteral(value: unknown, indent = ""): string {
  return print(asData(value, "$"), indent, TYPESCRIPT_STYLE);
}

/** A template literal that means exactly `text`. */
export function printTemplate(text: string): string {
  return `\`${text.replace(/\\/g, "\\\\").replace(/`/g, "\\`").replace(/\$\{/g, "\\${").replace(/\r/g, "\\r")}\``;
}

function quoted(text: string): string {
  const literal = JSON.stringify(text);
  // JSON allows them in strings. Some tools take some for line ends, and nobody sees the others.
  return literal.replace(UNSEEN, (character) =>
    [...Array(character.length).keys()]
      .map((unit) => `\\u${character.charCodeAt(unit).toString(16).padStart(4, "0")}`)
      .join(""),
  );
}

function print(value: Data, indent: string, style: LiteralStyle): string {
  if (typeof value !== "object" || value === null) return printScalar(value);
  const line = printOnLine(value, style, WIDTH - indent.length);
  if (line !== null) return line;
  const inner = `${indent}  `;
  if (isList(value))
    return `[\n${value.map((item) => inner + print(item, inner, style)).join(",\n")}${style.trailing}\n${indent}]`;
  const entries = definedEntries(value).map(
    ([name, item]) => `${inner}${style.key(name)}: ${print(item, inner, style)}`,
  );
  return `{\n${entries.join(",\n")}${style.trailing}\n${indent}}`;
}

function printScalar(value: null | boolean | number | string): string {
  return typeof value === "string" ? quoted(value) : String(value);
}

/** The value on one line of at most `width` characters, or null. Gives up early: most of a plan is wider. */
function printOnLine(value: Data, style: LiteralStyle, width: number): string | null {
  if (typeof value !== "object" || value === null) {
    const text = printScalar(value);
    return text.length <= width ? text : null;
  }
  const list = isList(value);
  let line = list ? "[" : "{ ";
  const end = list ? "]" : " }";
  let separator = "";
  const items = list ? value.map((item): [string, Data] => ["", item]) : definedEntries(value);
  if (!list && items.length === 0) return "{}";
  for (const [name, item] of items) {
    const head = list ? separator : `${separator}${style.key(name)}: `;
    const text = printOnLine(item, style, width - line.length - head.length - end.length);
    if (text === null) return null;
    line += head + text;
    separator = ", ";
  }
  line += end;
  return line.length <= width ? line : null;
}

function isList(value: Data): value is readonly Data[] {
  return Array.isArray(value);
}

function definedEntries(value: { readonly [key: string]: Data | undefined }): [string, Data][] {
  return Object.entries(value).flatMap(([name, item]): [string, Data][] =>
    item === undefined ? [] : [[name, item]],
  );
}

/** @throws TypeError for anything that JSON could not hold: a defect of the planner. */
function asData(value: unknown, path: string): Data {
  switch (typeof value) {
    case "boolean":
    case "string":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      throw new TypeError(`${path} is ${value}, which JSON cannot hold`);
    case "object":
      break;
    default:
      throw new TypeError(`${path} is a ${typeof value}, which JSON cannot hold`);
  }
  if (value === null) return null;
  if (Array.isArray(value)) return value.map((item: unknown, index) => asData(item, `${path}[${index}]`));
  const copy: Record<string, Data> = {};
  for (const [name, item] of Object.entries(value))
    if (item !== undefined) copy[name] = asData(item, `${path}.${name}`);
  return copy;
}
