import type { Declaration, Node } from "./tree.ts";

/** Names by scope: looked for in the innermost first. */
interface Names {
  readonly own: Map<string, Declaration[]>;
  readonly outer: Names | null;
}

/**
 * Drops the functions, constants and types that nothing uses, each with its comments: what kernels, bindings and directives reach
 * stays. Templates share partials, and a reader wants what the kernel needs, no more.
 */
export function prune(nodes: readonly Node[]): readonly Node[] {
  const scopes = new Map<Declaration, Names>();
  const collect = (within: readonly Node[], outer: Names | null): void => {
    const names: Names = { own: new Map(), outer };
    for (const node of within) {
      if (node.kind === "scope") {
        collect(node.children, names);
        continue;
      }
      scopes.set(node, names);
      if (node.name !== null) names.own.set(node.name, [...(names.own.get(node.name) ?? []), node]);
    }
  };
  collect(nodes, null);
  const reached = new Set([...scopes.keys()].filter(isRoot));
  // A set grows while it is walked: this visits everything that the roots reach.
  for (const declaration of reached) {
    const names = scopes.get(declaration) ?? null;
    for (const name of declaration.names) for (const used of find(name, names)) reached.add(used);
  }
  return keep(nodes, reached);
}

const NONE: readonly Declaration[] = [];

function find(name: string, names: Names | null): readonly Declaration[] {
  return names === null ? NONE : (names.own.get(name) ?? find(name, names.outer));
}

function keep(nodes: readonly Node[], reached: ReadonlySet<Declaration>): readonly Node[] {
  return nodes.flatMap((node): readonly Node[] => {
    if (node.kind === "scope") return [{ ...node, children: keep(node.children, reached) }];
    return reached.has(node) ? [node] : [];
  });
}

/** What is called or bound from outside. */
const OUTSIDE: ReadonlySet<string> = new Set(["__global__", "extern", "enable", "@"]);

const roots = new WeakMap<object, boolean>();

function isRoot(declaration: Declaration): boolean {
  let root = roots.get(declaration.content);
  if (root === undefined) {
    const { name, lines } = declaration;
    root = name === null || lines.some(({ tokens }) => tokens.some((token) => OUTSIDE.has(token)));
    roots.set(declaration.content, root);
  }
  return root;
}
