import type { Constant, Dialect, ScalarType } from "../dialect/dialect.ts";

/** A declaration as templates print it: comment, then line. */
export interface ConstantModel {
  readonly comment?: string;
  readonly declaration: string;
}

/** Collects a kernel's constants. Templates print the list, and name the constants wherever they need a number. */
export class ConstantTable {
  readonly #list: Constant[] = [];

  /** A whole number, usable wherever the kernel counts, signed or not. */
  int(name: string, value: number | string, comment?: string): string {
    return this.#add("i32", name, value, comment);
  }

  /** A whole number of 32 bits without a sign. */
  word(name: string, value: number, comment?: string): string {
    return this.#add("u32", name, value, comment);
  }

  float(name: string, value: number | string, comment?: string): string {
    return this.#add("f32", name, value, comment);
  }

  bool(name: string, value: boolean, comment?: string): string {
    return this.#add("bool", name, value, comment);
  }

  /** The constants in the order in which they were added. */
  print(dialect: Dialect): ConstantModel[] {
    return this.#list.map(({ name, type, value, comment }) => ({
      ...(comment === undefined ? {} : { comment }),
      declaration: dialect.constant(
        name,
        type,
        typeof value === "string" ? value : dialect.literal(type, value),
      ),
    }));
  }

  #add(type: ScalarType, name: string, value: Constant["value"], comment: string | undefined): string {
    const known = this.#list.find((constant) => constant.name === name);
    if (known === undefined)
      this.#list.push(comment === undefined ? { type, name, value } : { type, name, value, comment });
    else if (known.value !== value) throw new RangeError(`the constant ${name} has two values`);
    return name;
  }
}
