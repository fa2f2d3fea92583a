/** A file's name without its folders, as `basename` of `node:path` gives it, which pages lack. */
export function fileName(path: string): string {
  return path.split(/[\\/]/).at(-1) ?? path;
}
