import {
  CONNECTIVES,
  DECLARATIONS,
  MASK_WORDS,
  MODIFIER_WORDS,
  NORMALIZERS,
  PROPERTIES,
  SECTIONS,
  STACK_CLAUSES,
  STAGES,
  STORAGE_TYPES,
  TUNE_CLAUSES,
  VALUE_WORDS,
} from "../../../compiler/language/words.ts";

/** A rule of a TextMate grammar, as far as this one needs it. */
interface Rule {
  readonly include?: string;
  readonly name?: string;
  readonly match?: string;
  readonly begin?: string;
  readonly end?: string;
  readonly captures?: Readonly<Record<string, { readonly name: string }>>;
  readonly beginCaptures?: Readonly<Record<string, { readonly name: string }>>;
  readonly endCaptures?: Readonly<Record<string, { readonly name: string }>>;
  readonly patterns?: readonly Rule[];
}

const NAME = "[a-z_][a-z0-9_]*(?![\\w$])";

/** Any of some words, whole. */
function anyOf(words: readonly string[]): string {
  const longestFirst = words.toSorted((a, b) => b.length - a.length || (a < b ? -1 : 1));
  return `(?<![\\w$])(?:${longestFirst.join("|")})(?![\\w$])`;
}

const DECLARATION = anyOf(DECLARATIONS);

function words(scope: string, list: readonly string[]): Rule {
  return { name: `${scope}.mta`, match: anyOf(list) };
}

function include(...names: readonly string[]): readonly Rule[] {
  return names.map((name) => ({ include: `#${name}` }));
}

/** Braces with what they hold; a declaration's word ends them even where the closing one is missing. */
function block(scope: string, patterns: readonly Rule[]): Rule {
  return {
    name: `${scope}.mta`,
    begin: "\\{",
    beginCaptures: { 0: { name: "punctuation.section.block.begin.mta" } },
    end: `(\\})|(?=${DECLARATION})`,
    endCaptures: { 1: { name: "punctuation.section.block.end.mta" } },
    patterns,
  };
}

/** A declaration from its word to its closing brace, or to the next declaration. */
function declaration(word: string, nameScope: string, head: readonly Rule[], body: readonly Rule[]): Rule {
  return {
    name: `meta.${word}.mta`,
    begin: `(?<![\\w$])(${word})(?![\\w$])(?:\\s+(?!extends(?![\\w$]))(${NAME}))?`,
    beginCaptures: { 1: { name: `storage.type.${word}.mta` }, 2: { name: `${nameScope}.mta` } },
    end: `(?<=\\})|(?=${DECLARATION})`,
    patterns: [...include("comments"), ...head, block(`meta.block.${word}`, body)],
  };
}

/**
 * The TextMate grammar of mtac specs. Its words are those of the compiler's own tables; what a word is in a place (`bias` is a
 * mask's term in an attention, a modifier in a section) follows from the block around it.
 */
export function makeGrammar(): object {
  const values = [...MASK_WORDS, ...STORAGE_TYPES, ...NORMALIZERS];
  const modifierValues = VALUE_WORDS.filter((word) => !values.some((value) => value === word));
  return {
    name: "mtac spec",
    scopeName: "source.mta",
    fileTypes: ["mta"],
    patterns: include("comments", "attention", "stack", "tune", "const", "expression"),
    repository: {
      comments: {
        patterns: [
          { name: "comment.line.double-slash.mta", match: "//.*$" },
          { name: "comment.block.mta", begin: "/\\*", end: "\\*/" },
        ],
      },
      attention: declaration(
        "attention",
        "entity.name.type.attention",
        [
          {
            match: `(?<![\\w$])(extends)(?![\\w$])(?:\\s+(${NAME}))?`,
            captures: {
              1: { name: "keyword.other.extends.mta" },
              2: { name: "entity.other.inherited-class.mta" },
            },
          },
        ],
        include("comments", "section", "property", "value", "expression"),
      ),
      property: words("support.type.property-name", PROPERTIES),
      value: words("constant.language.value", [...values, "rsqrt"]),
      section: {
        name: "meta.section.mta",
        begin: `(${anyOf(SECTIONS)})\\s*(?=\\{)`,
        beginCaptures: { 1: { name: "keyword.control.section.mta" } },
        end: `(?<=\\})|(?=${DECLARATION})`,
        patterns: [
          block(
            "meta.block.section",
            include("comments", "label", "stage", "modifier", "stageValue", "expression"),
          ),
        ],
      },
      label: {
        match: `(?<![\\w$])(as)(?![\\w$])(?:\\s+(${NAME}))?`,
        captures: { 1: { name: "storage.modifier.mta" }, 2: { name: "entity.name.label.mta" } },
      },
      stage: words("support.function.stage", STAGES),
      modifier: words("storage.modifier", MODIFIER_WORDS),
      stageValue: words("constant.language.value", modifierValues),
      stack: declaration(
        "stack",
        "entity.name.type.stack",
        [],
        include("comments", "use", "stackWord", "connective", "expression"),
      ),
      use: {
        match: `(?<![\\w$])(use)(?![\\w$])(?:\\s+(?!${anyOf([...CONNECTIVES, ...STACK_CLAUSES])})(${NAME}))?`,
        captures: {
          1: { name: "keyword.control.clause.mta" },
          2: { name: "entity.name.type.attention.mta" },
        },
      },
      stackWord: words("keyword.control.clause", STACK_CLAUSES),
      connective: words("keyword.other.connective", CONNECTIVES),
      tune: declaration(
        "tune",
        "entity.name.type.attention",
        [],
        include("comments", "sweep", "tuneWord", "storage", "expression"),
      ),
      sweep: {
        match: `(?<![\\w$])(sweep)(?![\\w$])(?:\\s+(${NAME}))?`,
        captures: { 1: { name: "keyword.control.clause.mta" }, 2: { name: "variable.parameter.knob.mta" } },
      },
      tuneWord: words("keyword.control.clause", TUNE_CLAUSES),
      storage: words("constant.language.value", STORAGE_TYPES),
      const: {
        match: `(?<![\\w$])(const)(?![\\w$])(?:\\s+(${NAME}))?`,
        captures: { 1: { name: "storage.type.const.mta" }, 2: { name: "variable.other.constant.mta" } },
      },
      expression: {
        patterns: [
          { name: "constant.numeric.size.mta", match: "(?<![\\w$])\\d+x\\d+(?![\\w$])" },
          { name: "constant.numeric.mta", match: "(?<![\\w$])\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?(?![\\w$])" },
          { name: "keyword.operator.mta", match: "\\.\\.|[-+*/=]" },
          { name: "punctuation.separator.mta", match: "[,;]" },
          { name: "punctuation.section.parens.mta", match: "[()]" },
          { name: "variable.other.constant.mta", match: `(?<![\\w$])${NAME}` },
        ],
      },
    },
  };
}

/** The grammar's file, as it is stored. */
export function grammarText(): string {
  return `${JSON.stringify(makeGrammar(), null, 2)}\n`;
}
