import type { Span } from "./attention.ts";
import type { Reporter } from "./diagnostics.ts";

export const MAX_NAME_LENGTH = 64;

const NAME = /^[a-z_][a-z0-9_]*$/;

/** Whether a text has the form of a name; it may still be too long or reserved. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** Reports a name that is too long or begins with two underscores. */
export function checkName(name: string, span: Span, reporter: Reporter): void {
  if (name.length > MAX_NAME_LENGTH) {
    reporter.report("MTA105", span, `this name has ${name.length} characters`, {
      expected: `at most ${MAX_NAME_LENGTH} characters`,
    });
  }
  if (name.startsWith("__")) {
    const replacement = name.replace(/^_+/, "");
    const fix = isName(replacement)
      ? { fix: { message: `write \`${replacement}\``, replacement, span } }
      : {};
    reporter.report(
      "MTA106",
      span,
      `\`${name}\` begins with \`__\`, which emitted code keeps for itself`,
      fix,
    );
  }
}

/** What someone who wrote `KvHeads` or `naïve` most likely has to write. */
export function normalizedWord(word: string): string {
  const plain = word.normalize("NFD").replace(/\p{M}/gu, "");
  const snake = plain.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
  const cleaned = snake.replace(/[^a-z0-9_]+/g, "_");
  return isName(cleaned) ? cleaned : "name";
}

/** How a name is spelled in TypeScript: `head_dim` becomes `headDim`. */
export function camelCase(name: string): string {
  return name.replace(/_+([a-z0-9]?)/g, (_, letter: string, at: number) =>
    at === 0 ? letter : letter.toUpperCase(),
  );
}

/** How a camelCase name is spelled in a spec: `tileQ` becomes `tile_q`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
