/** A comment to the line's end, a string, a name, a number, an operator of two characters that is never parted, one character. */
const TOKEN =
  /\/\/.*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[A-Za-z_]\w*|\.?\d[\w.]*|::|->|\+\+|--|<<|>>|&&|\|\||[-+*/%&|^<>=!]=|\S/g;

/** The tokens of a line of WGSL, CUDA or C; comments are one token each. */
export function tokensOf(line: string): readonly string[] {
  return line.match(TOKEN) ?? [];
}

/** A token and where it begins in its line. */
export interface PlacedToken {
  readonly text: string;
  readonly at: number;
}

/** Lines stand in many kernels. */
const placed = new Map<string, readonly PlacedToken[]>();
const MOST_PLACED = 20_000;

/** The same with places. */
export function placedTokens(line: string): readonly PlacedToken[] {
  let tokens = placed.get(line);
  if (tokens === undefined) {
    let at = 0;
    tokens = tokensOf(line).map((text) => {
      const begin = line.indexOf(text, at);
      at = begin + text.length;
      return { text, at: begin };
    });
    if (placed.size >= MOST_PLACED) placed.clear();
    placed.set(line, tokens);
  }
  return tokens;
}

export function isComment(token: string): boolean {
  return token.startsWith("//");
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
