/** Headings' fragments as most readers of Markdown make them, and TypeDoc: the pages are read in the package, too. */
export function slugify(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, "")
    .replaceAll(" ", "-");
}
