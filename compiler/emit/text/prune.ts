import { type Content, type Declaration, declared, once } from "./module.ts";

/**
 * Drops the functions, constants and types that nothing uses, each with its comments: what kernels, bindings and directives reach
 * stays. Templates share partials, and a reader wants what the kernel needs, no more.
 */
export function prune(declarations: readonly Declaration[]): readonly Declaration[] {
  const reached = new Set<number>();
  declarations.forEach(({ content }, index) => {
    if (isRoot(content)) reached.add(index);
  });
  // A set grows while it is walked: this visits everything that the roots reach.
  for (const index of reached) {
    const declaration = declarations[index];
    if (declaration === undefined) continue;
    for (const name of declaration.content.names)
      for (const used of declared(name, declaration.scope)) reached.add(used);
  }
  return declarations.filter((_, index) => reached.has(index));
}

/** What is called or bound from outside. */
const OUTSIDE: ReadonlySet<string> = new Set(["__global__", "extern", "enable", "@"]);

const isRoot = once(
  ({ name, lines }: Content): boolean =>
    name === null || lines.some(({ tokens }) => tokens.some((token) => OUTSIDE.has(token))),
);
