/**
 * Control and format characters, line and paragraph separators, halves of surrogate pairs, characters for private use: none is seen
 * (or by all alike), and some end a line in one language or another. Emitted text holds them as escapes only.
 */
export const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;

/** A file's name without its folders, as `basename` of `node:path` gives it, which pages lack. */
export function fileName(path: string): string {
  return path.split(/[\\/]/).at(-1) ?? path;
}

/**
 * What an emitted file's comments say of the spec that it was made from: its name, and a line of it.
 *
 * File names may hold anything: line ends of any language, terminal commands, the end of a C comment. All of it is shown, as escapes,
 * so that a comment stays one comment. Every emitter names specs through this function.
 *
 * @param file The spec's file name, without folders.
 * @param line Counted from 1; none if not given.
 */
export function specPlace(file: string, line?: number): string {
  const name = commentText(file);
  return line === undefined ? name : `${name}:${line}`;
}

function commentText(text: string): string {
  return text
    .replace(UNSEEN, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
    .replaceAll("*/", "*\\/")
    .replaceAll("/*", "/\\*");
}
