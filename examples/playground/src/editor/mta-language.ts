import { StreamLanguage, type StringStream } from "@codemirror/language";
import {
  CONNECTIVES,
  DECLARATIONS,
  isOneOf,
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
} from "../../../../compiler/language/words.ts";

interface Place {
  comment: boolean;
  /** The declaration that the cursor is in. */
  declaration: (typeof DECLARATIONS)[number] | null;
  inSection: boolean;
  depth: number;
  /** The next word names something. */
  naming: boolean;
}

/**
 * The language's colours. Its words are those of the compiler's own tables; what a word is in a place (`bias` is a mask's term in an
 * attention, a modifier in a section) follows from the block around it, as in the grammar for other editors.
 */
export const mtaLanguage = StreamLanguage.define<Place>({
  name: "mta",
  startState: () => ({ comment: false, declaration: null, inSection: false, depth: 0, naming: false }),
  token: readToken,
  languageData: { commentTokens: { line: "//", block: { open: "/*", close: "*/" } } },
});

function readToken(stream: StringStream, place: Place): string | null {
  if (place.comment) return readComment(stream, place);
  if (stream.eatSpace()) return null;
  if (stream.match("//")) {
    stream.skipToEnd();
    return "comment";
  }
  if (stream.match("/*")) return readComment(stream, place);
  if (stream.match(/^\d+x\d+(?![\w$])/) || stream.match(/^\d+(\.\d+)?([eE][+-]?\d+)?(?![\w$])/))
    return "number";
  const word = stream.match(/^[A-Za-z_][\w$]*/);
  if (word !== null && word !== true) return readWord(String(word), place);
  return readSign(stream, place);
}

function readComment(stream: StringStream, place: Place): string {
  place.comment = !stream.skipTo("*/");
  if (place.comment) stream.skipToEnd();
  else stream.match("*/");
  return "comment";
}

function readWord(word: string, place: Place): string {
  if (isOneOf(word, DECLARATIONS)) {
    Object.assign(place, { declaration: word, inSection: false, depth: 0, naming: true });
    return "keyword";
  }
  const { naming } = place;
  place.naming = false;
  if (word === "extends" || word === "use" || word === "as" || word === "sweep") {
    place.naming = true;
    return word === "as" ? "modifier" : "keyword";
  }
  if (naming && !isOneOf(word, CONNECTIVES)) return place.inSection ? "labelName" : "className";
  return wordIn(word, place) ?? "variableName";
}

function wordIn(word: string, { declaration, inSection }: Place): string | null {
  if (inSection) {
    if (isOneOf(word, STAGES)) return "variableName.function";
    if (isOneOf(word, MODIFIER_WORDS)) return "modifier";
    return isOneOf(word, VALUE_WORDS) ? "atom" : null;
  }
  switch (declaration) {
    case "attention":
      if (isOneOf(word, SECTIONS)) return "keyword";
      if (isOneOf(word, PROPERTIES)) return "propertyName";
      return isOneOf(word, [...MASK_WORDS, ...STORAGE_TYPES, ...NORMALIZERS, "rsqrt"]) ? "atom" : null;
    case "stack":
      return isOneOf(word, [...STACK_CLAUSES, ...CONNECTIVES]) ? "keyword" : null;
    case "tune":
      return isOneOf(word, TUNE_CLAUSES) ? "keyword" : null;
    case "const":
    case null:
      return null;
  }
}

function readSign(stream: StringStream, place: Place): string | null {
  const sign = stream.next();
  switch (sign) {
    case "{":
      place.depth += 1;
      place.inSection = place.declaration === "attention" && place.depth > 1;
      return "brace";
    case "}":
      place.depth = Math.max(0, place.depth - 1);
      place.inSection = false;
      return "brace";
    case "(":
    case ")":
      return "paren";
    case ",":
    case ";":
      return "separator";
    default:
      return /[-+*/=.]/.test(sign ?? "") ? "operator" : "invalid";
  }
}
