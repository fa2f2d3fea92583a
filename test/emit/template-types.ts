import ts from "typescript";

/** A field of a model, by the place of its declaration. */
export interface ModelField {
  readonly place: string;
  readonly name: string;
}

/** What a template sees under one name: the types that it may have, or text that the caller of a partial gives. */
export interface Value {
  readonly types: readonly ts.Type[];
  readonly text: boolean;
}

export const TEXT: Value = { types: [], text: true };

/** A property looked up in all types that a value may have. */
export interface Found {
  readonly value: Value;
  /** Of the types: how many have the property. */
  readonly having: number;
  /** Whether it may be missing, null or undefined where the types have it. */
  readonly optional: boolean;
}

/** The types of the models, as the registry of templates names them. */
export class ModelTypes {
  readonly #checker: ts.TypeChecker;
  readonly #registry: ts.Symbol;
  readonly #root: string;

  /**
   * @param root The repository's folder.
   * @param file The module that exports the interface `Templates`.
   */
  constructor(root: string, file: string) {
    this.#root = root;
    const config = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
    const { options } = ts.parseJsonConfigFileContent(
      { ...config.config, include: [], files: [file] },
      ts.sys,
      root,
    );
    const program = ts.createProgram([`${root}${file}`], options);
    this.#checker = program.getTypeChecker();
    const source = program.getSourceFile(`${root}${file}`);
    const module = source === undefined ? undefined : this.#checker.getSymbolAtLocation(source);
    const registry = module?.exports?.get(ts.escapeLeadingUnderscores("Templates"));
    if (registry === undefined) throw new Error(`${file} exports no interface Templates`);
    this.#registry = registry;
  }

  /** Template files and what each is filled with. */
  models(): ReadonlyMap<string, Value> {
    const registry = this.#checker.getDeclaredTypeOfSymbol(this.#registry);
    return new Map(
      registry
        .getProperties()
        .map((property) => [property.name, this.#valueOf(this.#checker.getTypeOfSymbol(property))]),
    );
  }

  /** A property of a value; `read` is called with each of its declarations. */
  property(value: Value, name: string, read: (field: ModelField) => void): Found {
    let having = 0;
    let optional = false;
    const types: ts.Type[] = [];
    for (const type of value.types) {
      const property = this.#checker.getPropertyOfType(type, name);
      const found = property === undefined ? undefined : this.#checker.getTypeOfSymbol(property);
      // The compiler gives the members of a union what others have, as `undefined`.
      if (property === undefined || found === undefined || isUndefined(found)) continue;
      having++;
      for (const field of this.#fieldsOf(property)) read(field);
      const { types: some, missing } = this.#split(found);
      optional ||= missing || (property.flags & ts.SymbolFlags.Optional) !== 0;
      types.push(...some);
    }
    return { value: { types, text: false }, having, optional };
  }

  /** What `{{#each}}` goes through; null for what is no list. */
  element({ types }: Value): Value | null {
    const elements = types.map((type) => this.#checker.getIndexTypeOfType(type, ts.IndexKind.Number));
    const found = elements.filter((each) => each !== undefined);
    if (found.length !== types.length || types.some((type) => (type.flags & ts.TypeFlags.StringLike) !== 0))
      return null;
    return { types: found.flatMap((each) => this.#split(each).types), text: false };
  }

  /** The types of a value in which a property may be (`holds`) or need not be (not `holds`) true, full, not 0. */
  narrow(value: Value, name: string, holds: boolean): Value {
    const kept = value.types.filter((type) => {
      const property = this.#checker.getPropertyOfType(type, name);
      const found = property === undefined ? undefined : this.#checker.getTypeOfSymbol(property);
      if (found === undefined) return !holds;
      const parts = found.isUnion() ? found.types : [found];
      return parts.some((part) => (holds ? !this.#neverTrue(part) : !this.#alwaysTrue(part)));
    });
    return { ...value, types: kept };
  }

  /** Whether a value has a place in text as it is: not a list, not an object. */
  printable({ types, text }: Value): boolean {
    const flags = ts.TypeFlags.StringLike | ts.TypeFlags.NumberLike;
    return text || types.every((type) => (type.flags & flags) !== 0);
  }

  /** All fields that a value leads to and that are declared in a folder. */
  fields(value: Value, folder: string): readonly ModelField[] {
    const fields = new Map<string, ModelField>();
    const seen = new Set<ts.Type>();
    const visit = ({ types }: Value): void => {
      for (const type of types) {
        if (seen.has(type) || (type.flags & ts.TypeFlags.Object) === 0) continue;
        seen.add(type);
        const element = this.element({ types: [type], text: false });
        if (element !== null) visit(element);
        for (const property of type.getProperties()) {
          const own = this.#fieldsOf(property).filter(({ place }) => place.startsWith(folder));
          if (own.length === 0) continue;
          for (const field of own) fields.set(field.place, field);
          visit(this.#valueOf(this.#checker.getTypeOfSymbol(property)));
        }
      }
    };
    visit(value);
    return [...fields.values()];
  }

  #valueOf(type: ts.Type): Value {
    return { types: this.#split(type).types, text: false };
  }

  #split(type: ts.Type): { readonly types: readonly ts.Type[]; readonly missing: boolean } {
    const parts = type.isUnion() ? type.types : [type];
    const types = parts.filter((part) => !isMissing(part));
    return { types, missing: types.length < parts.length };
  }

  #neverTrue(type: ts.Type): boolean {
    return isMissing(type) || this.#checker.typeToString(type) === "false";
  }

  #alwaysTrue(type: ts.Type): boolean {
    return this.#checker.typeToString(type) === "true";
  }

  #fieldsOf(property: ts.Symbol): readonly ModelField[] {
    return (property.declarations ?? []).map((declaration) => {
      const source = declaration.getSourceFile();
      const { line } = source.getLineAndCharacterOfPosition(declaration.getStart());
      const file = source.fileName.replace(this.#root, "");
      // Several fields may share a line.
      const column = declaration.getStart() - source.getPositionOfLineAndCharacter(line, 0) + 1;
      return { place: `${file}:${line + 1}:${column}`, name: property.name };
    });
  }
}

function isUndefined(type: ts.Type): boolean {
  return (type.flags & ts.TypeFlags.Undefined) !== 0;
}

function isMissing(type: ts.Type): boolean {
  return (type.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Null)) !== 0;
}
