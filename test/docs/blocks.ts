import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A fenced block of a Markdown page. */
export interface Block {
  readonly page: string;
  /** Line of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  /** Words of the info string without a value: `run`, `output`. */
  readonly words: ReadonlySet<string>;
  /** The others: `file=spec.mta`, `norun="why"`. */
  readonly settings: ReadonlyMap<string, string>;
  readonly text: string;
}

/** All pages but what TypeDoc writes. */
export function pages(): readonly string[] {
  const docs = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .map((file) => `docs/${file.replaceAll("\\", "/")}`)
    .filter((file) => file.endsWith(".md") && !/^docs\/(api|\.vitepress|node_modules)\//.test(file));
  return docs.sort();
}

export function readBlocks(page: string): readonly Block[] {
  return parseBlocks(page, readFileSync(join(ROOT, page), "utf8"));
}

const FENCE = /^(\s*)(`{3,}|~{3,})\s*(.*)$/;

/** The fenced blocks of a page's text. In lists they may be indented; a longer fence holds shorter ones. */
export function parseBlocks(page: string, markdown: string): readonly Block[] {
  const blocks: Block[] = [];
  const lines = markdown.split("\n");
  let open: { line: number; indent: string; fence: string; info: string; body: string[] } | null = null;
  for (const [index, text] of lines.entries()) {
    if (open === null) {
      const [, indent = "", fence, info = ""] = FENCE.exec(text) ?? [];
      if (fence !== undefined) open = { line: index + 1, indent, fence, info, body: [] };
    } else if (text.trim() === open.fence) {
      blocks.push({ page, line: open.line, ...readInfo(open.info), text: `${open.body.join("\n")}\n` });
      open = null;
    } else {
      open.body.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text);
    }
  }
  if (open !== null) throw new Error(`${page}:${open.line}: a block without an end`);
  return blocks;
}

function readInfo(info: string): Pick<Block, "language" | "words" | "settings"> {
  const [language = "", ...rest] = info.match(/[^\s"=]+="[^"]*"|\S+/g) ?? [];
  const settings = new Map<string, string>();
  const words = new Set<string>();
  for (const part of rest) {
    const [, key, quoted, plain] = /^([^=]+)=(?:"(.*)"|(.*))$/.exec(part) ?? [];
    if (key === undefined) words.add(part);
    else settings.set(key, quoted ?? plain ?? "");
  }
  return { language, words, settings };
}

export function place({ page, line }: Block): string {
  return `${relative(".", page)}:${line}`;
}
