import { digestOf } from "../files/text.ts";
import { stableJson } from "../ir/meaning.ts";
import { readRecord } from "./read-record.ts";
import { ValueFault } from "./read-value.ts";
import type { TuningRecord } from "./record.ts";

/** A line of a store that is used, with its text as it stands there. */
export interface ReadLine {
  readonly record: TuningRecord;
  readonly text: string;
}

/** A line that is not used. */
export interface IgnoredLine {
  /** 1-based. */
  readonly line: number;
  readonly why: string;
}

const NEWLINE = 0x0a;

/**
 * One line: the record, and a checksum of its text. A line of which any part is missing, or that is made of parts of two, does
 * not pass it.
 */
export function formatLine(record: TuningRecord): string {
  const text = stableJson(record);
  return `{"check":"${checksum(text)}","record":${text}}\n`;
}

/** A line as `formatLine` writes it, without its end; an editor may have made that one of Windows. */
const LINE = /^\{"check":"([0-9a-f]{16})","record":(\{.*\})\}\r?$/;

/** With what each line begins, also one that was cut short. */
const BEGINNING = '{"check":"';

export interface ReadLines {
  readonly lines: ReadLine[];
  readonly ignored: IgnoredLine[];
  /** Whether the file never was a store: it holds lines, and none of them begins as a record does. */
  readonly foreign: boolean;
}

/** All lines of a store; empty ones do not count. */
export function readLines(bytes: Buffer): ReadLines {
  const lines: ReadLine[] = [];
  const ignored: IgnoredLine[] = [];
  let own = 0;
  let number = 0;
  // By bytes: a store may be larger than a string can be.
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline;
    const text = bytes.toString("utf8", start, end);
    number++;
    start = end + 1;
    if (text.trim() === "") continue;
    if (text.startsWith(BEGINNING) || BEGINNING.startsWith(text)) own++;
    try {
      lines.push({ record: parseLine(text), text });
    } catch (error) {
      if (!(error instanceof ValueFault)) throw error;
      ignored.push({ line: number, why: newline < 0 ? `unfinished: ${error.message}` : error.message });
    }
  }
  return { lines, ignored, foreign: own === 0 && ignored.length > 0 };
}

/** @throws ValueFault */
function parseLine(text: string): TuningRecord {
  const [, check, record] = LINE.exec(text) ?? [];
  if (check === undefined || record === undefined) throw new ValueFault("damaged: it holds no record");
  if (check !== checksum(record)) throw new ValueFault("damaged: its checksum does not fit");
  return readRecord(parseJson(record));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ValueFault("damaged: its record is no JSON");
  }
}

function checksum(text: string): string {
  return digestOf(text).slice(0, 16);
}
