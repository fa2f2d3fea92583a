import type { TextEdit } from "vscode-languageserver-types";
import { format } from "../language/format.ts";
import { rangeOf, type SpecDocument } from "./spec-document.ts";

/** The edits that format a whole spec, of changed lines only; none where it has syntax errors. */
export function formattingEdits(spec: SpecDocument): TextEdit[] {
  const source = spec.text.getText();
  const formatted = format(source, "");
  if (!("text" in formatted)) return [];
  // The line endings stay what they are.
  const ending = source.includes("\r\n") ? "\r\n" : "\n";
  const target = formatted.text.replaceAll("\n", ending);
  return changedLines(linesOf(source), linesOf(target)).map(({ start, end, newText }) => ({
    range: rangeOf(spec, { start, end }),
    newText,
  }));
}

interface Change {
  readonly start: number;
  readonly end: number;
  readonly newText: string;
}

/** Lines with their endings. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+/g) ?? [];
}

/** Lines that are neither alike in the same order: found from both ends, then by the longest common subsequence. */
function changedLines(before: readonly string[], after: readonly string[]): Change[] {
  const changes: Change[] = [];
  let offset = 0;
  let pending = { start: 0, end: 0, newText: "" };
  const flush = (): void => {
    if (pending.start < pending.end || pending.newText !== "") changes.push(pending);
  };
  for (const step of alignment(before, after)) {
    if (step.kind === "same") {
      flush();
      offset += step.line.length;
      pending = { start: offset, end: offset, newText: "" };
    } else if (step.kind === "removed") {
      offset += step.line.length;
      pending = { ...pending, end: offset };
    } else pending = { ...pending, newText: pending.newText + step.line };
  }
  flush();
  return changes;
}

interface Step {
  readonly kind: "same" | "removed" | "added";
  readonly line: string;
}

/** Larger tables are not worth their time: the lines between are then replaced as one. */
const MOST_CELLS = 4_000_000;

function alignment(before: readonly string[], after: readonly string[]): Step[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  const most = Math.min(before.length, after.length) - head;
  while (tail < most && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  const same = (lines: readonly string[]): Step[] => lines.map((line) => ({ kind: "same", line }));
  const inner = {
    before: before.slice(head, before.length - tail),
    after: after.slice(head, after.length - tail),
  };
  return [
    ...same(before.slice(0, head)),
    ...alignInner(inner.before, inner.after),
    ...same(before.slice(before.length - tail)),
  ];
}

function alignInner(before: readonly string[], after: readonly string[]): Step[] {
  const width = after.length + 1;
  if ((before.length + 1) * width > MOST_CELLS) {
    return [
      ...before.map((line): Step => ({ kind: "removed", line })),
      ...after.map((line): Step => ({ kind: "added", line })),
    ];
  }
  // common[i * width + j]: the longest common subsequence of the lines from i and from j on.
  const common = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number): number => common[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i -= 1)
    for (let j = after.length - 1; j >= 0; j -= 1)
      common[i * width + j] =
        before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const steps: Step[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const [removed, added] = [before[i], after[j]];
    if (removed !== undefined && removed === added) {
      steps.push({ kind: "same", line: removed });
      i += 1;
      j += 1;
    } else if (removed !== undefined && (added === undefined || at(i + 1, j) >= at(i, j + 1))) {
      steps.push({ kind: "removed", line: removed });
      i += 1;
    } else if (added !== undefined) {
      steps.push({ kind: "added", line: added });
      j += 1;
    }
  }
  return steps;
}
