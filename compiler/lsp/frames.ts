import { Transform, type TransformCallback } from "node:stream";

/** Longer messages are no edits of specs; a length beyond it is a broken one. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;

const MAX_HEADER_BYTES = 4096;

const HEADER_END = "\r\n\r\n";

/**
 * Where a frame begins. JSON cannot hold this: in strings it escapes line ends, and outside of them there are no words. So it
 * tells, too, that the body before it was shorter than its header said.
 */
const FRAME_START = /content-length: *\d+\r\n/i;

const HEADER_LINE = /^[\w-]+:[^\r\n]*$/;

/**
 * Passes on the frames of the protocol's base layer, and leaves out what is none: after a broken header or a wrong length, it goes on
 * with the next frame, where the reader behind it would wait for ever.
 *
 * @param onDropped told how many bytes were left out
 */
export class FrameFilter extends Transform {
  private pending = Buffer.alloc(0);
  /** How much of `pending` is known to hold no start of another frame. */
  private searched = 0;
  private readonly onDropped: (bytes: number) => void;

  constructor(onDropped: (bytes: number) => void) {
    super();
    this.onDropped = onDropped;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.pending = Buffer.concat([this.pending, chunk]);
    while (this.takeFrame());
    done();
  }

  /** Passes on or drops what stands first, if enough of it is there to tell. */
  private takeFrame(): boolean {
    const headerEnd = this.pending.indexOf(HEADER_END);
    if (headerEnd === -1 || headerEnd > MAX_HEADER_BYTES) {
      if (this.pending.length <= MAX_HEADER_BYTES) return false;
      return this.dropTo(this.startAfter(1) ?? this.pending.length - MAX_HEADER_BYTES);
    }
    const body = headerEnd + HEADER_END.length;
    const length = bodyLength(this.pending.toString("latin1", 0, headerEnd));
    if (length === null) return this.dropTo(this.startAfter(1) ?? body);
    const end = body + length;
    const next = this.startAfter(Math.max(body, this.searched), end);
    if (next !== null) return this.dropTo(next);
    if (this.pending.length < end) {
      // The next frame's start may have come in part.
      this.searched = Math.max(body, this.pending.length - MAX_HEADER_BYTES);
      return false;
    }
    this.push(this.pending.subarray(0, end));
    this.advance(end);
    return this.pending.length > 0;
  }

  /** Where another frame begins, at or behind an offset. */
  private startAfter(from: number, to = this.pending.length): number | null {
    const match = FRAME_START.exec(this.pending.toString("latin1", from, to));
    return match === null ? null : from + match.index;
  }

  private dropTo(offset: number): boolean {
    this.onDropped(offset);
    this.advance(offset);
    return this.pending.length > 0;
  }

  private advance(offset: number): void {
    this.pending = this.pending.subarray(offset);
    this.searched = 0;
  }
}

/** The length that a header says, or null where it is broken. */
function bodyLength(header: string): number | null {
  const lines = header.split("\r\n");
  if (!lines.every((line) => HEADER_LINE.test(line))) return null;
  const line = lines.find((each) => /^content-length:/i.test(each));
  const [, digits] = /^content-length: *(\d+) *$/i.exec(line ?? "") ?? [];
  const length = Number(digits ?? Number.NaN);
  return length <= MAX_BODY_BYTES ? length : null;
}
