/** Why an error comes up, and what to do about it: whole sentences in Markdown. */
export interface Advice {
  readonly cause: string;
  readonly remedy: string;
}

/** What the guide says of one code. */
export interface GuideEntry extends Advice {
  /** A few words: what the error says in general. */
  readonly meaning: string;
}

/** The codes of one part of mtac. */
export interface GuideSection {
  readonly title: string;
  readonly entries: Readonly<Record<string, GuideEntry>>;
}

/** The advice on a table's codes, with what the table says that they mean. */
export function withMeanings<Code extends string>(
  advice: Readonly<Record<Code, Advice>>,
  meaningOf: (code: Code) => string,
): Readonly<Record<string, GuideEntry>> {
  const isCode = (code: string): code is Code => Object.hasOwn(advice, code);
  const codes = Object.keys(advice).filter(isCode).sort();
  return Object.fromEntries(codes.map((code) => [code, { meaning: meaningOf(code), ...advice[code] }]));
}
