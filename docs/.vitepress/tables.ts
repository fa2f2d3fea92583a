import type { MarkdownRenderer } from "vitepress";

type Token = ReturnType<MarkdownRenderer["parse"]>[number];

/** Markdown's tables must have a head: an empty one is left out, and an empty cell of a head is no heading. */
export function dropEmptyHeads(markdown: MarkdownRenderer): void {
  markdown.core.ruler.push("empty_heads", (state) => {
    state.tokens = withoutEmptyHeads(state.tokens);
  });
}

function withoutEmptyHeads(tokens: readonly Token[]): Token[] {
  const kept: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === undefined) continue;
    if (token.type === "thead_open") {
      const end = tokens.findIndex(({ type }, index) => index > at && type === "thead_close");
      const head = tokens.slice(at, end + 1);
      if (head.every(({ type, content }) => type !== "inline" || content === "")) {
        at = end;
        continue;
      }
      for (const [index, { content, type }] of head.entries())
        if (type === "inline" && content === "")
          for (const cell of [head[index - 1], head[index + 1]]) if (cell !== undefined) cell.tag = "td";
    }
    kept.push(token);
  }
  return kept;
}
