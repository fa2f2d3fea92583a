import { readdirSync, readFileSync } from "node:fs";
import Handlebars from "handlebars";
import { TEMPLATE_HELPERS } from "../../compiler/emit/text/marks.ts";
import { type ModelField, type ModelTypes, TEXT, type Value } from "./template-types.ts";

type Expression = hbs.AST.Expression;

/** Where a template's names are looked up: a value, before it what a partial's caller added; outside of it the next frame. */
interface Frame {
  readonly value: Value;
  readonly added: ReadonlyMap<string, Value>;
  /** Paths that a condition around this place has found to be there. */
  readonly known: ReadonlySet<string>;
  /** Null in a file's outermost frame: what `../` means beyond it depends on how the caller was compiled. */
  readonly outer: Frame | null;
}

/** One template being walked. */
interface Place {
  /** Path inside the folder of templates. */
  readonly file: string;
  readonly language: string;
}

/** Helpers that change neither names nor context. */
const MARKS: ReadonlySet<string> = new Set(Object.keys(TEMPLATE_HELPERS));

/** Walks templates with the types of their models, partials with what each caller hands them. */
class TemplateWalk {
  readonly faults = new Set<string>();
  /** Declarations of fields that some template reads. */
  readonly read = new Set<string>();
  /** Templates and partials that were walked. */
  readonly walked = new Set<string>();
  readonly #types: ModelTypes;
  readonly #folder: string;
  readonly #programs = new Map<string, hbs.AST.Program>();
  readonly #known: ReadonlySet<string>;

  /** @param folder The folder of templates, with a slash at its end. */
  constructor(types: ModelTypes, folder: string) {
    this.#types = types;
    this.#folder = folder;
    this.#known = new Set(
      readdirSync(folder, { recursive: true, encoding: "utf8" }).map((file) => file.replaceAll("\\", "/")),
    );
  }

  /** Walks a template that is filled with a model. */
  template(file: string, model: Value): void {
    this.#file(
      { file, language: languageOf(file) },
      { value: model, added: new Map(), known: new Set(), outer: null },
    );
  }

  /** Templates and partials beside those of the models that none of them leads to. */
  unused(): readonly string[] {
    const languages = new Set([...this.walked].map(languageOf));
    return [...this.#known]
      .filter((file) => file.endsWith(".hbs") && languages.has(languageOf(file)) && !this.walked.has(file))
      .map((file) => `templates/${file}: nothing renders it`);
  }

  #file(place: Place, frame: Frame): void {
    if (!this.#known.has(place.file)) {
      this.faults.add(`${place.file}: no such template`);
      return;
    }
    this.walked.add(place.file);
    let program = this.#programs.get(place.file);
    if (program === undefined) {
      program = Handlebars.parse(readFileSync(this.#folder + place.file, "utf8"));
      this.#programs.set(place.file, program);
    }
    this.#program(program, place, frame);
  }

  #program(program: hbs.AST.Program | undefined, place: Place, frame: Frame): void {
    for (const statement of program?.body ?? []) this.#statement(statement, place, frame);
  }

  #statement(statement: hbs.AST.Statement, place: Place, frame: Frame): void {
    if (isMustache(statement)) {
      // A field of that name would never be printed.
      if (isPath(statement.path) && MARKS.has(statement.path.original)) {
        this.#fault(place, statement.path, "is a helper");
        return;
      }
      const value = this.#value(statement.path, place, frame, "printed");
      if (value !== null && !this.#types.printable(value)) this.#fault(place, statement.path, "is no text");
    } else if (isBlock(statement)) this.#block(statement, place, frame);
    else if (isPartial(statement)) this.#partial(statement, place, frame);
  }

  #block(block: hbs.AST.BlockStatement, place: Place, frame: Frame): void {
    const name = block.path.original;
    const [argument] = block.params;
    if (MARKS.has(name)) {
      for (const each of block.params) this.#value(each, place, frame, "there");
      this.#program(block.program, place, frame);
      return;
    }
    if (argument === undefined) {
      this.#fault(place, block.path, "is no helper");
      return;
    }
    switch (name) {
      case "if":
      case "unless": {
        this.#value(argument, place, frame, "asked");
        const [then, otherwise] = [true, false].map((holds) =>
          this.#narrowed(argument, frame, holds === (name === "if")),
        );
        if (then !== undefined) this.#program(block.program, place, then);
        if (otherwise !== undefined) this.#program(block.inverse, place, otherwise);
        return;
      }
      case "each":
      case "with": {
        const value = this.#value(argument, place, frame, "asked");
        if (value === null) return;
        const inner = name === "each" ? this.#types.element(value) : value;
        if (inner === null) this.#fault(place, argument, "is no list");
        else
          this.#program(block.program, place, {
            value: inner,
            added: new Map(),
            known: new Set(),
            outer: frame,
          });
        this.#program(block.inverse, place, frame);
        return;
      }
      default:
        this.#fault(place, block.path, "is no helper");
    }
  }

  #partial(partial: hbs.AST.PartialStatement, place: Place, frame: Frame): void {
    if (!isPath(partial.name)) {
      this.#fault(place, partial.name, "partials are named in full");
      return;
    }
    const [argument] = partial.params;
    const value = argument === undefined ? frame.value : this.#value(argument, place, frame, "asked");
    if (value === null) return;
    const hash = partial.hash === undefined ? [] : partial.hash.pairs;
    const given = hash.map(
      ({ key, value: each }) => [key, this.#value(each, place, frame, "printed") ?? TEXT] as const,
    );
    const added = new Map([...(argument === undefined ? frame.added : []), ...given]);
    const known = argument === undefined ? frame.known : new Set<string>();
    const file = `${place.language}/partials/${partial.name.original}.hbs`;
    this.#file({ ...place, file }, { value, added, known, outer: null });
  }

  /** The frame in which a condition is known to hold, or not to; undefined for a place that is never reached. */
  #narrowed(condition: Expression, frame: Frame, holds: boolean): Frame | undefined {
    if (!isPath(condition) || condition.data || condition.parts.length === 0) return frame;
    const name = condition.parts.join(".");
    const narrow = (at: Frame | null, depth: number): Frame | null => {
      if (at === null) return null;
      if (depth > 0) return { ...at, outer: narrow(at.outer, depth - 1) };
      const [first = ""] = condition.parts;
      const value =
        condition.parts.length === 1 && !at.added.has(first)
          ? this.#types.narrow(at.value, first, holds)
          : at.value;
      return { ...at, value, known: holds ? new Set([...at.known, name]) : at.known };
    };
    const result = narrow(frame, condition.depth) ?? frame;
    if (result.value.types.length === 0 && !result.value.text && frame.value.types.length > 0)
      return undefined;
    return result;
  }

  /**
   * What an expression stands for; null where that is a fault, which is noted.
   *
   * @param need Where it is "printed" or must be "there", every type that its context may have must have it; what is printed is not
   *   null, either. Where it is "asked" for, conditions tell types apart.
   */
  #value(
    expression: Expression,
    place: Place,
    frame: Frame,
    need: "printed" | "there" | "asked",
  ): Value | null {
    if (!isPath(expression) || expression.data) return TEXT;
    let at: Frame | null = frame;
    for (let depth = 0; depth < expression.depth && at !== null; depth++) at = at.outer;
    if (at === null) return this.#fault(place, expression, "leaves its file: give the partial what it needs");
    let value = at.value;
    for (const [index, part] of expression.parts.entries()) {
      const added = index === 0 ? at.added.get(part) : undefined;
      if (added !== undefined) {
        value = added;
        continue;
      }
      const found = this.#types.property(value, part, (field) => this.read.add(field.place));
      const whole = need !== "asked" || index < expression.parts.length - 1;
      if (found.having === 0 || (whole && found.having < value.types.length))
        return this.#fault(
          place,
          expression,
          found.having === 0 ? "is not in the model" : "is not in every such model",
        );
      const path = expression.parts.slice(0, index + 1).join(".");
      if (
        need === "printed" &&
        index === expression.parts.length - 1 &&
        found.optional &&
        !at.known.has(path)
      )
        return this.#fault(place, expression, "may be missing: ask for it first");
      value = found.value;
    }
    return value;
  }

  #fault({ file }: Place, node: Expression, what: string): null {
    const name = isPath(node) ? node.original : node.type;
    this.faults.add(`templates/${file}:${node.loc.start.line}: ${name} ${what}`);
    return null;
  }
}

/**
 * Where templates and the models of a registry do not fit: `file:line: name …`.
 *
 * @param templates The folder of templates, with a slash at its end.
 * @param models The folder whose fields templates must read.
 */
export function templateFaults(types: ModelTypes, templates: string, models: string): readonly string[] {
  const walk = new TemplateWalk(types, templates);
  for (const [file, model] of types.models()) walk.template(file, model);
  return [...walk.faults, ...walk.unused(), ...unreadFields(types, walk, models)];
}

/** Fields of models that no template reads. */
function unreadFields(types: ModelTypes, walk: TemplateWalk, folder: string): readonly string[] {
  const fields = new Map<string, ModelField>();
  for (const model of types.models().values())
    for (const field of types.fields(model, folder)) fields.set(field.place, field);
  return [...fields.values()]
    .filter(({ place }) => !walk.read.has(place))
    .map(({ place, name }) => `${place}: no template reads ${name}`);
}

function languageOf(file: string): string {
  return file.slice(0, file.indexOf("/"));
}

function isMustache(node: hbs.AST.Node): node is hbs.AST.MustacheStatement {
  return node.type === "MustacheStatement";
}

function isBlock(node: hbs.AST.Node): node is hbs.AST.BlockStatement {
  return node.type === "BlockStatement";
}

function isPartial(node: hbs.AST.Node): node is hbs.AST.PartialStatement {
  return node.type === "PartialStatement";
}

function isPath(node: hbs.AST.Node): node is hbs.AST.PathExpression {
  return node.type === "PathExpression";
}
