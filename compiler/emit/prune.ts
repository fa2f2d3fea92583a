/** A declaration of a WGSL module: its comment, its text and the name it declares. */
interface Declaration {
  readonly text: string;
  readonly name: string | null;
}

const DECLARED = /^(?:@\S+(?:\([^)]*\))?\s+)*(?:fn|const|override|struct|var(?:<[^>]*>)?)\s+([A-Za-z_]\w*)/m;

/**
 * Drops the functions, constants and structs that nothing uses, so that an emitted kernel holds what it needs and no
 * more: what the entry point and the bindings reach stays. Works on our own formatting: declarations start in column 0
 * and a blank line or another declaration ends them.
 */
export function pruneUnused(source: string): string {
  const declarations = split(source);
  const named = new Map<string, Declaration>();
  for (const declaration of declarations) {
    if (declaration.name !== null) named.set(declaration.name, declaration);
  }
  const reached = new Set(declarations.filter(isRoot));
  // A set grows while it is walked: this visits everything that the roots reach.
  for (const { text } of reached) {
    for (const word of stripComments(text).match(/[A-Za-z_]\w*/g) ?? []) {
      const used = named.get(word);
      if (used !== undefined) reached.add(used);
    }
  }
  return join(declarations.filter((declaration) => reached.has(declaration)));
}

function isRoot({ name, text }: Declaration): boolean {
  return name === null || text.includes("@compute") || text.startsWith("@group");
}

function stripComments(text: string): string {
  return text.replace(/\/\/.*$/gm, "");
}

function split(source: string): Declaration[] {
  const declarations: Declaration[] = [];
  let lines: string[] = [];
  let depth = 0;
  const close = (): void => {
    if (lines.length === 0) return;
    const text = lines.join("\n");
    declarations.push({ text, name: DECLARED.exec(stripComments(text))?.[1] ?? null });
    lines = [];
  };
  for (const line of source.split("\n")) {
    if (depth === 0 && line.trim() === "") {
      close();
      continue;
    }
    lines.push(line.trimEnd());
    const code = line.replace(/\/\/.*$/, "");
    depth += (code.match(/[{(]/g)?.length ?? 0) - (code.match(/[})]/g)?.length ?? 0);
    // One declaration per semicolon or closing brace in column 0, unless an attribute or comment leads on.
    if (depth === 0 && /[;}]\s*$/.test(code)) close();
  }
  close();
  return declarations;
}

/** Puts declarations together: constants and bindings in blocks, everything else apart. */
function join(declarations: readonly Declaration[]): string {
  let text = "";
  let previous = "";
  for (const declaration of declarations) {
    const kind = /^@group/.test(declaration.text)
      ? "binding"
      : /^const \w+ = [^{]*;$/.test(stripLeadingComment(declaration.text))
        ? "const"
        : "block";
    if (text !== "") text += kind !== "block" && kind === previous ? "\n" : "\n\n";
    text += declaration.text;
    previous = kind;
  }
  return `${text}\n`;
}

function stripLeadingComment(text: string): string {
  return text.replace(/^(?:\/\/.*\n)+/, "");
}
