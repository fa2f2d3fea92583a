/** A comment to the line's end or to its own, a string, a name, a number, an operator of two characters that is never parted, one character. */
const TOKEN =
  /\/\/.*|\/\*.*?\*\/|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[A-Za-z_]\w*|\.?\d[\w.]*|::|->|\+\+|--|<<|>>|&&|\|\||[-+*/%&|^<>=!]=|\S/g;

/** The tokens of a line of WGSL, CUDA or C; comments are one token each. */
export function tokensOf(line: string): readonly string[] {
  return line.match(TOKEN) ?? [];
}

/** The same, each with where it begins. */
export function placedTokens(line: string): readonly { readonly text: string; readonly at: number }[] {
  return [...line.matchAll(TOKEN)].map(({ 0: text, index }) => ({ text, at: index }));
}

export function isComment(token: string): boolean {
  return token.startsWith("//") || token.startsWith("/*");
}

export function isName(token: string): boolean {
  const first = token.charCodeAt(0);
  // a … z, A … Z, _
  return (first >= 97 && first <= 122) || (first >= 65 && first <= 90) || first === 95;
}

export function opens(token: string): boolean {
  return token === "(" || token === "[" || token === "{";
}

export function closes(token: string): boolean {
  return token === ")" || token === "]" || token === "}";
}
