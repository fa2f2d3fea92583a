/** Where the lines of the text asked about last begin: its diagnostics come one by one, and it may have thousands of both. */
let known: { readonly source: string; readonly starts: readonly number[] } = { source: "", starts: [0] };

function lineStarts(source: string): readonly number[] {
  if (known.source === source) return known.starts;
  const starts = [0];
  for (const { index, 0: end } of source.matchAll(/\r\n|\n|\r/g)) starts.push(index + end.length);
  known = { source, starts };
  return starts;
}

/** A line's text without its end, or undefined where there is none. Lines count from 1. */
export function lineText(source: string, line: number): string | undefined {
  const starts = lineStarts(source);
  const start = starts[line - 1];
  if (start === undefined) return undefined;
  // Step by step: a regular expression would read the whole line, which may be the whole file.
  let end = starts[line] ?? source.length;
  while (end > start && "\r\n".includes(source[end - 1] ?? "")) end -= 1;
  return source.slice(start, end);
}

/** Line and column, from 1, of an offset. */
export function placeAt(source: string, offset: number): { readonly line: number; readonly column: number } {
  const starts = lineStarts(source);
  let [from, to] = [0, starts.length - 1];
  while (from < to) {
    const middle = Math.ceil((from + to) / 2);
    if ((starts[middle] ?? 0) <= offset) from = middle;
    else to = middle - 1;
  }
  return { line: from + 1, column: offset - (starts[from] ?? 0) + 1 };
}
