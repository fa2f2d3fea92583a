import type { MarkdownRenderer } from "vitepress";

/**
 * Says above a block which file it is, where its info string has `file=…`. What else stands there is for the tests: VitePress would take
 * a digit in it for a line to be marked.
 */
export function captionFiles(markdown: MarkdownRenderer): void {
  const fence = markdown.renderer.rules.fence;
  if (fence === undefined) throw new Error("the renderer has no rule for fenced blocks");
  markdown.renderer.rules.fence = (tokens, index, ...rest) => {
    const token = tokens[index];
    const info = token?.info ?? "";
    if (token !== undefined) token.info = info.split(/\s/, 1)[0] ?? "";
    const file = /\sfile=(?:"([^"]*)"|(\S+))/.exec(info);
    const block = fence(tokens, index, ...rest);
    const name = file?.[1] ?? file?.[2];
    return name === undefined
      ? block
      : `<p class="block-file">${markdown.utils.escapeHtml(name)}</p>\n${block}`;
  };
}
