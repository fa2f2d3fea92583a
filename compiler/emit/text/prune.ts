import { type Declaration, declared, once } from "./module.ts";
import { pruneParameters } from "./parameters.ts";
import { isName } from "./tokens.ts";

/**
 * Drops the functions, constants and types that nothing uses, each with its comments, and parameters that functions do not need:
 * what kernels, bindings and directives reach stays. Templates share partials, and a reader wants what the kernel needs, no more.
 */
export function prune(declarations: readonly Declaration[]): readonly Declaration[] {
  const reached = new Set<number>();
  declarations.forEach(({ content }, index) => {
    if (content.root) reached.add(index);
  });
  const shorten = pruneParameters(declarations);
  const kept = new Map<number, Declaration>();
  // A set grows while it is walked: this visits everything that the roots reach.
  for (const index of reached) {
    const declaration = declarations[index];
    if (declaration === undefined) continue;
    const { scope } = declaration;
    const content = shorten(declaration);
    kept.set(index, { content, scope });
    for (const name of namesIn(content)) for (const used of declared(name, scope)) reached.add(used);
  }
  return declarations.flatMap((_, index) => kept.get(index) ?? []);
}

/** All names in code, each once. */
const namesIn = once(({ lines }) => new Set(lines.flatMap(({ tokens }) => tokens.filter(isName))));
