/**
 * The part of the protocol buffers' wire format that ONNX files need: integers, strings and messages in fields, one after the
 * other. A message is the list of its encoded fields.
 */
export type Field = Uint8Array;

const VARINT = 0;
const LENGTH_DELIMITED = 2;

const encoder = new TextEncoder();

/** Base 128, lowest digits first, the high bit of a byte saying that another one follows. */
function varint(value: number): number[] {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${value} cannot be written as a varint`);
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return bytes;
}

function key(field: number, type: number): number[] {
  return varint(field * 8 + type);
}

/** An integer from 0 on, or an enumeration's number. */
export function integer(field: number, value: number): Field {
  return Uint8Array.from([...key(field, VARINT), ...varint(value)]);
}

export function bytes(field: number, value: Uint8Array): Field {
  return join([Uint8Array.from([...key(field, LENGTH_DELIMITED), ...varint(value.length)]), value]);
}

export function text(field: number, value: string): Field {
  return bytes(field, encoder.encode(value));
}

/** A message as a field of another one. */
export function message(field: number, fields: readonly Field[]): Field {
  return bytes(field, join(fields));
}

/** The fields' bytes as one: a whole message. */
export function join(fields: readonly Field[]): Uint8Array {
  const whole = new Uint8Array(fields.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const field of fields) {
    whole.set(field, at);
    at += field.length;
  }
  return whole;
}
