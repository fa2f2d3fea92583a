import { didYouMean } from "./build-context.ts";
import { type BuiltSpan, builtSpan, type CallSite } from "./call-site.ts";
import { Reporter } from "./diagnostics.ts";
import { VALUE_ALIASES } from "./foreign.ts";
import { camelCase, checkName, isName, snakeCase } from "./identifier.ts";
import { type Choice, type Expression, type Invalid, invalid, type Name, type PairNode } from "./tree.ts";
import { isKeyword, isOneOf, wordList } from "./words.ts";

/**
 * Reads arguments of the builder into nodes. Types say what they should be, but a spec in plain JavaScript may give
 * anything, so every value is looked at. A reader knows its path and its call: what it reports names both.
 */
export class ValueReader {
  readonly span: BuiltSpan;
  readonly reporter: Reporter;
  private readonly site: CallSite | null;

  constructor(site: CallSite | null, path: string, reporter: Reporter | null = null) {
    this.site = site;
    this.span = builtSpan(site, path);
    this.reporter = reporter ?? new Reporter(site?.file ?? "");
  }

  /** A reader one step further down: `.name` or `[index]`; `site` when that part was made by a call of its own. */
  child(step: string | number, site: CallSite | null = this.site): ValueReader {
    const path = typeof step === "number" ? `${this.span.path}[${step}]` : `${this.span.path}.${step}`;
    return new ValueReader(site, path, this.reporter);
  }

  wrongType(value: unknown, expected: string): Invalid {
    this.reporter.report("MTA231", this.span, `this is ${describe(value)}`, { expected });
    return invalid(this.span);
  }

  number(value: unknown): Expression {
    if (typeof value !== "number" || !Number.isFinite(value)) return this.wrongType(value, "a finite number");
    const { span } = this.child("");
    const plain: Expression = { kind: "number", text: String(Math.abs(value)), span: this.span };
    return value < 0 ? { kind: "negate", operand: { ...plain, span }, span: this.span } : plain;
  }

  name(value: unknown): Name | Invalid {
    if (typeof value !== "string") return this.wrongType(value, "a name");
    if (!isName(value)) {
      this.reporter.report("MTA104", this.span, `${JSON.stringify(value)} is no name`, {
        expected: "small letters a to z, digits and `_`, beginning with a letter or `_`",
      });
      return invalid(this.span);
    }
    if (isKeyword(value)) {
      this.reporter.report("MTA107", this.span, `\`${value}\` is a reserved word and cannot be a name`, {
        fix: { message: `choose another name, for example \`my_${value}\`` },
      });
      return invalid(this.span);
    }
    checkName(value, this.span, this.reporter);
    return { kind: "name", text: value, span: this.span };
  }

  choice<T extends string>(value: unknown, words: readonly T[]): Choice<T> {
    if (typeof value !== "string") return this.wrongType(value, wordList(words));
    if (isOneOf(value, words)) return { kind: "choice", value, span: this.span };
    this.reporter.report("MTA115", this.span, `there is no value \`${value}\` here`, {
      expected: wordList(words),
      ...didYouMean(value, this.span, words, VALUE_ALIASES),
    });
    return invalid(this.span);
  }

  pair(value: unknown): PairNode {
    const sides = typeof value === "string" ? /^(\d+)x(\d+)$/.exec(value)?.slice(1).map(Number) : value;
    if (!Array.isArray(sides) || sides.length !== 2)
      return this.wrongType(value, 'a size such as `"6x11"` or `[6, 11]`');
    // Spans of their own: diagnostics about the two sides must not count as one.
    const query = new ValueReader(this.site, this.span.path, this.reporter).number(sides[0]);
    const key = new ValueReader(this.site, this.span.path, this.reporter).number(sides[1]);
    return query.kind === "invalid" || key.kind === "invalid"
      ? invalid(this.span)
      : { kind: "pair", query, key, span: this.span };
  }

  list(value: unknown): readonly unknown[] {
    if (Array.isArray(value)) return value;
    this.wrongType(value, "an array");
    return [];
  }

  /** The properties of an object that are given; `words` are those that it may have, in snake_case. */
  entries<T extends string>(value: unknown, words: readonly T[]): (readonly [T, unknown])[] {
    if (!isRecord(value)) {
      this.wrongType(value, "an object");
      return [];
    }
    return Object.entries(value).flatMap(([property, given]) => {
      const word = snakeCase(property);
      if (given === undefined) return [];
      if (isOneOf(word, words) && property === camelCase(word)) return [[word, given] as const];
      this.reportUnknown(property, words);
      return [];
    });
  }

  private reportUnknown(property: string, words: readonly string[]): void {
    const { span } = this.child(property);
    const known = words.map(camelCase);
    this.reporter.report("MTA113", span, `unknown property \`${property}\``, {
      expected: wordList(known),
      ...didYouMean(property, span, known),
    });
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (value === null || value === undefined || typeof value === "number" || typeof value === "boolean")
    return String(value);
  if (typeof value === "string") return `the text ${JSON.stringify(value)}`;
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  return typeof value === "function" ? "a function" : `of type ${typeof value}`;
}
