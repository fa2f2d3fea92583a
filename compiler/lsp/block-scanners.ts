import type { IToken } from "chevrotain";
import { POINTWISE } from "../language/pointwise.ts";
import {
  GATE_MODES,
  INITIALIZERS,
  isOneOf,
  MASK_WORDS,
  MODIFIER_WORDS,
  type ModifierWord,
  modifiersOf,
  NORMALIZERS,
  PAD_KEYS,
  PAD_QUERIES,
  PROPERTIES,
  type PropertyName,
  SECTIONS,
  type SectionName,
  STACK_CLAUSES,
  STAGES,
  STORAGE_TYPES,
  type StageKind,
  sectionsOf,
  TUNE_CLAUSES,
} from "../language/words.ts";
import { type Expectation, NOTHING, NUMBER, words } from "./expectation.ts";

/** Reads the tokens of one block, one after the other, and says at any time what may follow. */
export interface BlockScanner {
  take(token: IToken): void;
  readonly expected: readonly Expectation[];
}

/** An operand may be one token or a group in parentheses: `pending` is what is to come, null when nothing has to. */
abstract class ClauseScanner implements BlockScanner {
  protected pending: readonly Expectation[] | null = null;
  protected readonly given = new Set<string>();
  private depth = 0;

  take(token: IToken): void {
    if (token.image === "(") this.depth += 1;
    else if (this.depth > 0 && token.image !== ")") return;
    else if (token.image === ")") {
      this.depth = Math.max(0, this.depth - 1);
      if (this.depth === 0) this.operand(token);
    } else if (token.image !== "=") this.word(token);
  }

  get expected(): readonly Expectation[] {
    if (this.depth > 0)
      return this.pending?.some(({ kind }) => kind === "words") === true ? this.pending : NUMBER;
    return this.pending ?? this.clauses();
  }

  /** What begins a clause here, or goes on with the last one. */
  protected abstract clauses(): readonly Expectation[];
  /** Any token outside parentheses. */
  protected abstract word(token: IToken): void;
  /** A value, whatever it is: also the end of a group. */
  protected abstract operand(token: IToken): void;
}

export class AttentionScanner extends ClauseScanner {
  /** The section that was named last, until another clause begins. */
  section: SectionName | null = null;
  private inMask = false;
  private readonly terms = new Set<string>();

  protected override clauses(): readonly Expectation[] {
    const mask = this.inMask && !this.terms.has("none") ? [words("mask", MASK_WORDS, this.terms)] : [];
    return [...mask, words("property", PROPERTIES, this.given), words("section", SECTIONS, this.given)];
  }

  protected override word(token: IToken): void {
    const text = token.image;
    if (isOneOf(text, PROPERTIES)) {
      this.section = null;
      this.given.add(text);
      this.inMask = text === "mask";
      if (this.inMask) this.terms.clear();
      this.pending = propertyOperand(text);
    } else if (isOneOf(text, SECTIONS)) {
      this.section = text;
      this.inMask = false;
      this.given.add(text);
      this.pending = NOTHING;
    } else this.operand(token);
  }

  protected override operand({ image }: IToken): void {
    if (this.inMask && isOneOf(image, MASK_WORDS)) this.terms.add(image);
    if (this.inMask && image === "window") this.pending = NUMBER;
    else if (image === "rsqrt") this.pending = [words("rsqrt", ["head_dim"])];
    else this.pending = null;
  }

  /** The braces of the section named last are closed. */
  closeSection(): void {
    this.section = null;
    this.pending = null;
  }
}

function propertyOperand(property: PropertyName): readonly Expectation[] {
  switch (property) {
    case "heads":
    case "kv_heads":
    case "head_dim":
    case "value_dim":
      return NUMBER;
    case "scale":
      return [words("scale", ["rsqrt"]), ...NUMBER];
    case "dtype":
      return [words("dtype", STORAGE_TYPES)];
    case "mask":
      return [words("mask", MASK_WORDS)];
    case "normalize":
      return [words("normalize", NORMALIZERS)];
  }
}

export class SectionScanner extends ClauseScanner {
  private readonly section: SectionName;
  private stage: StageKind | null = null;
  private readonly stages = new Set<string>();

  constructor(section: SectionName) {
    super();
    this.section = section;
  }

  protected override clauses(): readonly Expectation[] {
    const stages = STAGES.filter((stage) => sectionsOf(stage).includes(this.section));
    const taken = this.section === "output" ? this.stages : new Set<string>();
    const modifiers = this.stage === null ? [] : [words("modifier", modifiersOf(this.stage), this.given)];
    return [...modifiers, words("stage", stages, taken)];
  }

  protected override word(token: IToken): void {
    const text = token.image;
    if (isOneOf(text, STAGES)) {
      this.stage = text;
      this.stages.add(text);
      this.given.clear();
      this.pending = stageOperand(text);
    } else if (isOneOf(text, MODIFIER_WORDS)) {
      for (const word of isOneOf(text, GATE_MODES) ? GATE_MODES : [text]) this.given.add(word);
      this.pending = modifierOperand(text);
    } else this.operand(token);
  }

  protected override operand({ image }: IToken): void {
    this.pending = image === "normal" ? NUMBER : null;
  }
}

function stageOperand(stage: StageKind): readonly Expectation[] | null {
  switch (stage) {
    case "conv":
      return [{ kind: "pair", of: "6x11" }];
    case "mix":
    case "dropout":
      return NUMBER;
    case "norm":
    case "gate":
      return null;
    default:
      return POINTWISE[stage].operand === null ? null : NUMBER;
  }
}

function modifierOperand(modifier: ModifierWord): readonly Expectation[] | null {
  switch (modifier) {
    case "pad_key":
      return [words("pad_key", PAD_KEYS)];
    case "pad_query":
      return [words("pad_query", PAD_QUERIES)];
    case "init":
      return [words("init", INITIALIZERS)];
    case "across":
    case "eps":
      return NUMBER;
    case "dilation":
      return [{ kind: "pair", of: "1x2" }];
    case "as":
      return NOTHING;
    case "bias":
    case "shared":
    case "depth_scale":
    case "scalar":
    case "channel":
      return null;
  }
}

export class StackScanner extends ClauseScanner {
  private readonly layers: readonly Expectation[] = [words("layer", ["every"]), ...NUMBER];
  private step: "clause" | "name" | "connective" | "list" | "every" = "clause";

  protected override clauses(): readonly Expectation[] {
    return [words("stack", STACK_CLAUSES, this.given)];
  }

  protected override word(token: IToken): void {
    const text = token.image;
    if (text === "layers") {
      this.given.add(text);
      this.expect("clause", NUMBER);
    } else if (text === "use") this.expect("name", [{ kind: "attention", not: null }]);
    else if (text === "at") this.expect("list", this.layers);
    else if (text === "otherwise") this.expect("clause", null);
    else if (text === "every") this.expect("every", NUMBER);
    else if (text === "from" || text === "..") this.expect("list", NUMBER);
    else if (text === ",") this.expect("list", this.layers);
    else this.operand(token);
  }

  protected override operand(_token: IToken): void {
    if (this.step === "name") this.expect("connective", [words("use", ["at", "otherwise"])]);
    else if (this.step === "every") this.expect("list", [words("steps", ["from"])]);
    else this.pending = null;
  }

  private expect(step: StackScanner["step"], pending: readonly Expectation[] | null): void {
    this.step = step;
    this.pending = pending;
  }
}

export class TuneScanner extends ClauseScanner {
  private readonly attention: string | null;
  private values: readonly Expectation[] = NUMBER;

  constructor(attention: string | null) {
    super();
    this.attention = attention;
  }

  protected override clauses(): readonly Expectation[] {
    return [words("tune", TUNE_CLAUSES, this.given)];
  }

  protected override word(token: IToken): void {
    const { attention } = this;
    const text = token.image;
    if (text === "lengths" || text === "batch") {
      this.given.add(text);
      this.values = NUMBER;
      this.pending = this.values;
    } else if (text === "sweep") {
      this.pending = [{ kind: "knob", attention }];
    } else if (text === ",") this.pending = this.values;
    else if (this.pending?.some(({ kind }) => kind === "knob") === true) {
      this.values = [{ kind: "knob_value", attention, knob: text }, ...NUMBER];
      this.pending = this.values;
    } else this.operand(token);
  }

  protected override operand(_token: IToken): void {
    this.pending = null;
  }
}

/** Between declarations, and in their heads: everything up to the opening brace, and the whole of a constant. */
export class HeadScanner implements BlockScanner {
  declaration: "attention" | "stack" | "const" | "tune" | null = null;
  name: string | null = null;
  private state: "name" | "named" | "base" | "operand" | "complete" = "complete";

  begin(declaration: NonNullable<HeadScanner["declaration"]>): void {
    this.declaration = declaration;
    this.name = null;
    this.state = "name";
  }

  end(): void {
    this.declaration = null;
    this.state = "complete";
  }

  take({ image }: IToken): void {
    if (this.state === "name") {
      if (image === "extends") this.state = "base";
      else {
        this.name = image;
        this.state = "named";
      }
    } else if (this.declaration === "const") this.state = /^[-+*/=(,]$/.test(image) ? "operand" : "complete";
    else if (image === "extends") this.state = "base";
    else this.state = "complete";
  }

  get expected(): readonly Expectation[] {
    return this.expectedHere();
  }

  private expectedHere(): readonly Expectation[] {
    switch (this.state) {
      case "name":
        return this.declaration === "tune" ? [{ kind: "attention", not: null }] : NOTHING;
      case "named":
        return this.declaration === "attention" ? [words("header", ["extends"])] : NOTHING;
      case "base":
        return [{ kind: "attention", not: this.name }];
      case "operand":
        return [{ kind: "number", not: this.name }];
      case "complete":
        return this.declaration === null || this.declaration === "const"
          ? [words("declaration", ["attention", "stack", "const", "tune"])]
          : NOTHING;
    }
  }
}
