import type { Span } from "./attention.ts";

/** Where a spec in TypeScript called the builder. */
export interface CallSite {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A span of a built tree: the call's place instead of offsets, and the path of the property. */
export interface BuiltSpan extends Span {
  readonly file: string;
  readonly path: string;
}

/**
 * The place that called `builder`, from a stack trace; null on engines that give none.
 * @param builder the public function: frames up to it are left out
 */
export function callSite(builder: (...given: never[]) => unknown): CallSite | null {
  const holder: { stack?: string } = {};
  // Not every engine has captureStackTrace; its absence costs the position, nothing else.
  Error.captureStackTrace?.(holder, builder);
  for (const line of (holder.stack ?? "").split("\n").slice(1)) {
    const match = /\(?([^()]+):(\d+):(\d+)\)?\s*$/.exec(line.replace(/^\s*at (?:async )?/, ""));
    const [, place, row, column] = match ?? [];
    if (place !== undefined) return { file: plainPath(place), line: Number(row), column: Number(column) };
  }
  return null;
}

/** `file:///a/b%20c.ts?v=1` becomes `/a/b c.ts`. */
function plainPath(place: string): string {
  const path = place.replace(/^.* \(?/, "").replace(/\?.*$/, "");
  if (!path.startsWith("file://")) return place.replace(/\?.*$/, "");
  const decoded = decodeURIComponent(path.slice("file://".length));
  return /^\/[A-Za-z]:/.test(decoded) ? decoded.slice(1) : decoded;
}

export function builtSpan(site: CallSite | null, path: string): BuiltSpan {
  return { start: 0, end: 0, line: site?.line ?? 1, column: site?.column ?? 1, file: site?.file ?? "", path };
}

export function isBuiltSpan(span: Span): span is BuiltSpan {
  return "path" in span && "file" in span;
}
