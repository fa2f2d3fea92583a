import { displayWidth, printable, type Style } from "./style.ts";

/** What one line of progress shows. */
export interface ProgressState {
  /** From 0 to 1. */
  readonly share: number;
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
  let shown = false;
  return {
    show: ({ share, before, after }) => {
      const now = performance.now();
      if (now - last < LEAST_MILLISECONDS) return;
      last = now;
      const filled = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);
      const bar = `${style.cyan("█".repeat(filled))}${style.dim("░".repeat(BAR_WIDTH - filled))}`;
      const percent = `${Math.floor(share * 100)} %`.padStart(5);
      const text = `${printable(before, false)} ${bar} ${percent}  `;
      const room = Math.max(0, (stream.columns ?? 80) - displayWidth(text) - 1);
      stream.write(`\r\u001b[2K${text}${style.dim(printable(after, false).slice(0, room))}`);
      shown = true;
    },
    clear: () => {
      if (shown) stream.write("\r\u001b[2K");
      shown = false;
    },
  };
}

/** `1:05` from milliseconds. */
export function formatClock(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
