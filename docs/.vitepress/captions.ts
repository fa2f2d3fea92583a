import type { MarkdownRenderer } from "vitepress";

/** Says above a block which file it is, where its info string has `file=…`. */
export function captionFiles(markdown: MarkdownRenderer): void {
  const fence = markdown.renderer.rules.fence;
  if (fence === undefined) throw new Error("the renderer has no rule for fenced blocks");
  markdown.renderer.rules.fence = (tokens, index, ...rest) => {
    const file = /\sfile=(?:"([^"]*)"|(\S+))/.exec(tokens[index]?.info ?? "");
    const block = fence(tokens, index, ...rest);
    const name = file?.[1] ?? file?.[2];
    return name === undefined
      ? block
      : `<p class="block-file">${markdown.utils.escapeHtml(name)}</p>\n${block}`;
  };
}
