/**
 * Leaves out what a source declares and never uses: constants and device functions, with their comments. Templates share
 * partials, and nvcc rightly warns of constants that nobody reads.
 *
 * @param text declarations that may go
 * @param users text that uses them, beside `text` itself
 */
export function pruneCuda(text: string, users = ""): string {
  let current = text;
  for (;;) {
    const next = pruneOnce(current, users);
    if (next === current) return current.replace(/\n{3,}/g, "\n\n");
    current = next;
  }
}

/** A declaration at the start of a line: its comments, then a constant or a device function. */
const DECLARATION =
  /(?:^\/\/\/[^\n]*\n)*(?:^constexpr \w+ (?<constant>\w+) = [^\n]*;\n|(?:^template <[^\n]*>\n)?^__device__ __forceinline__ [^(\n]*?(?<function>\w+)\([^{]*\{\n(?:(?!^\}$)[^\n]*\n)*^\}\n\n?)/gm;

function pruneOnce(text: string, users: string): string {
  const uses = new Map<string, number>();
  for (const [word] of `${text}\n${users}`.replace(/\/\/[^\n]*/g, "").matchAll(/[A-Za-z_]\w*/g)) {
    uses.set(word, (uses.get(word) ?? 0) + 1);
  }
  return text.replace(DECLARATION, (declaration: string, ...rest: unknown[]) => {
    const groups = rest.at(-1) as { constant?: string; function?: string };
    const name = groups.constant ?? groups.function;
    if (name === undefined || (uses.get(name) ?? 0) > 1) return declaration;
    // A comment may stand for several constants: it stays with the next one.
    const comments = /^(?:\/\/\/[^\n]*\n)*/.exec(declaration)?.[0] ?? "";
    return groups.constant !== undefined && /;|, |\band\b/.test(comments) ? comments : "";
  });
}
