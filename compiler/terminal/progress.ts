import type { Output } from "./output.ts";
import { displayWidth, printable, type Style } from "./style.ts";

/** What one line of progress shows. */
export interface ProgressState {
  /** From 0 to 1; null where nobody knows: then there is no bar. */
  readonly share: number | null;
  readonly before: string;
  readonly after: string;
}

export interface ProgressLine {
  show(state: ProgressState): void;
  /** Takes the line away. */
  clear(): void;
}

const BAR_WIDTH = 20;
/** Redrawn at most so often. */
const LEAST_MILLISECONDS = 80;

/** A line on stderr that is drawn again and again; where that is no terminal, nothing at all. */
export function progressLine(stream: NodeJS.WriteStream, style: Style): ProgressLine {
  if (stream.isTTY !== true) return { show: () => {}, clear: () => {} };
  let last = Number.NEGATIVE_INFINITY;
  let step: string | null = null;
  let shown = false;
  return {
    show: ({ share, before, after }) => {
      const now = performance.now();
      // What is new is drawn at once: nothing else may come for long, where work keeps this thread.
      if (before === step && now - last < LEAST_MILLISECONDS) return;
      step = before;
      last = now;
      const text = `${printable(before, false)} ${share === null ? "" : bar(share, style)} `;
      // 0 where a terminal was never told its size.
      const room = Math.max(0, (stream.columns || 80) - displayWidth(text) - 1);
      stream.write(`\r\u001b[2K${text}${style.dim(printable(after, false).slice(0, room))}`);
      shown = true;
    },
    clear: () => {
      if (shown) stream.write("\r\u001b[2K");
      shown = false;
    },
  };
}

function bar(share: number, style: Style): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);
  const percent = `${Math.floor(share * 100)} %`.padStart(5);
  return `${style.cyan("█".repeat(filled))}${style.dim("░".repeat(BAR_WIDTH - filled))} ${percent} `;
}

/** Says what is being done now, and how much of it is; called as often as one likes. */
export type ReportStep = (step: string, share?: number) => void;

/** How often the clock beside a step moves. */
const CLOCK_MILLISECONDS = 250;

/**
 * Long work with a line of progress: the step that is under way, its share where it is known, and a clock. The line is gone
 * when the work has ended, well or badly.
 */
export async function withProgress<T>(
  { noteStyle }: Pick<Output, "noteStyle">,
  work: (report: ReportStep) => Promise<T>,
  stream: NodeJS.WriteStream = process.stderr,
): Promise<T> {
  const line = progressLine(stream, noteStyle);
  const start = performance.now();
  let state: { before: string; share: number | null } | null = null;
  const draw = (): void => {
    if (state !== null) line.show({ ...state, after: formatClock(performance.now() - start) });
  };
  const clock = setInterval(draw, CLOCK_MILLISECONDS);
  try {
    return await work((before, share) => {
      state = { before, share: share ?? null };
      draw();
    });
  } finally {
    clearInterval(clock);
    line.clear();
  }
}

/** `1:05` from milliseconds. */
export function formatClock(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
