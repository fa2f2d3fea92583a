const TWO32 = 4294967296;

/**
 * High words of 32×32-bit products. The f64 product errs by less than 2^11; less its known low word, and divided by 2^32, it is
 * within 2^-21 of the integer looked for.
 */
export function mulHighSigned(a: number, b: number): number {
  return Math.round((a * b - (Math.imul(a, b) >>> 0)) / TWO32) | 0;
}

export function mulHighUnsigned(a: number, b: number): number {
  return Math.round(((a >>> 0) * (b >>> 0) - (Math.imul(a, b) >>> 0)) / TWO32) | 0;
}

export function join64(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** The high word that the last function of this file with a 64-bit result left. */
let high = 0;

export function takeHigh(): number {
  return high;
}

export function setHigh(word: number): void {
  high = word;
}

function split64(value: bigint): number {
  high = Number(BigInt.asIntN(32, value >> 32n));
  return Number(BigInt.asIntN(32, value));
}

/** 64-bit operations too rare to be worth words: they return the low word, `takeHigh` the other. */
export function rare64(
  operation: string,
  al: number,
  ah: number,
  bl: number,
  bh: number,
  signed: number,
): number {
  const a = signed ? join64(al, ah) : BigInt.asUintN(64, join64(al, ah));
  const b = signed ? join64(bl, bh) : BigInt.asUintN(64, join64(bl, bh));
  switch (operation) {
    case "div":
      return split64(b === 0n ? -1n : a / b);
    case "rem":
      return split64(b === 0n ? a : a % b);
    case "mulhi":
      return split64((a * b) >> 64n);
    case "min":
      return split64(a < b ? a : b);
    case "max":
      return split64(a > b ? a : b);
    default:
      throw new RangeError(operation);
  }
}

export function mul64(al: number, ah: number, bl: number, bh: number): number {
  high = (mulHighUnsigned(al, bl) + Math.imul(al, bh) + Math.imul(ah, bl)) | 0;
  return Math.imul(al, bl);
}

export function shl64(low: number, upper: number, count: number): number {
  const n = count >>> 0;
  if (n === 0) {
    high = upper;
    return low;
  }
  if (n < 32) {
    high = (upper << n) | (low >>> (32 - n));
    return low << n;
  }
  high = n < 64 ? low << (n - 32) : 0;
  return 0;
}

export function shr64(low: number, upper: number, count: number, signed: number): number {
  const n = count >>> 0;
  const fill = signed ? upper >> 31 : 0;
  if (n === 0) {
    high = upper;
    return low;
  }
  if (n < 32) {
    high = signed ? upper >> n : upper >>> n;
    return (low >>> n) | (upper << (32 - n));
  }
  high = fill;
  if (n >= 64) return fill;
  return signed ? upper >> (n - 32) : upper >>> (n - 32);
}

export function bfe32(a: number, position: number, length: number, signed: number): number {
  const at = position & 255;
  const count = length & 255;
  if (count === 0) return 0;
  if (!signed) {
    if (at > 31) return 0;
    const shifted = a >>> at;
    return count > 31 ? shifted : shifted & ((1 << count) - 1);
  }
  const sign = (a >>> Math.min(at + count - 1, 31)) & 1;
  const shifted = at > 31 ? 0 : a >>> at;
  const kept = Math.min(count, Math.max(32 - at, 0));
  const mask = kept > 31 ? -1 : (1 << kept) - 1;
  return sign ? shifted | ~mask : shifted & mask;
}

export function bfi32(a: number, b: number, position: number, length: number): number {
  const at = position & 255;
  const count = length & 255;
  if (at > 31 || count === 0) return b;
  const mask = (count > 31 ? -1 : (1 << count) - 1) << at;
  return (b & ~mask) | ((a << at) & mask);
}

export function bitField64(
  extract: number,
  al: number,
  ah: number,
  bl: number,
  bh: number,
  position: number,
  length: number,
  signed: number,
): number {
  const at = BigInt(position & 255);
  const count = BigInt(length & 255);
  const a = BigInt.asUintN(64, join64(al, ah));
  if (extract) {
    if (count === 0n) return split64(0n);
    const last = at + count - 1n > 63n ? 63n : at + count - 1n;
    const sign = signed ? (a >> last) & 1n : 0n;
    const kept = count < 64n - at ? count : at > 63n ? 0n : 64n - at;
    const mask = (1n << kept) - 1n;
    const value = (a >> at) & mask;
    return split64(sign ? value | (((1n << 64n) - 1n) ^ mask) : value);
  }
  const b = BigInt.asUintN(64, join64(bl, bh));
  const mask = BigInt.asUintN(64, ((1n << count) - 1n) << at);
  return split64((b & ~mask) | (BigInt.asUintN(64, a << at) & mask));
}

export function brev32(value: number): number {
  let x = value;
  x = ((x >>> 1) & 0x55555555) | ((x & 0x55555555) << 1);
  x = ((x >>> 2) & 0x33333333) | ((x & 0x33333333) << 2);
  x = ((x >>> 4) & 0x0f0f0f0f) | ((x & 0x0f0f0f0f) << 4);
  x = ((x >>> 8) & 0x00ff00ff) | ((x & 0x00ff00ff) << 8);
  return (x >>> 16) | (x << 16);
}

export function popc32(value: number): number {
  let x = value - ((value >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** `prmt.b32` (PTX ISA 9.0, section "Data Movement and Conversion Instructions: prmt"), default mode and the named ones. */
export function prmt32(a: number, b: number, selector: number, mode: string): number {
  const byte = (index: number) => ((index & 4 ? b : a) >>> (8 * (index & 3))) & 255;
  let result = 0;
  for (let at = 0; at < 4; at++) {
    let value: number;
    if (mode === "") {
      const nibble = (selector >>> (4 * at)) & 15;
      value = byte(nibble & 7);
      if (nibble & 8) value = value & 128 ? 255 : 0;
    } else value = byte(namedByte(mode, selector & 3, at));
    result |= value << (8 * at);
  }
  return result;
}

function namedByte(mode: string, shift: number, at: number): number {
  switch (mode) {
    case "f4e":
      return (shift + at) & 7;
    case "b4e":
      return (shift - at) & 7;
    case "rc8":
      return shift;
    case "ecl":
      return Math.max(shift, at);
    case "ecr":
      return Math.min(shift, at);
    default: // rc16
      return (2 * (shift & 1) + (at & 1)) & 3;
  }
}

/** `shf` (funnel shift): bits of {high word b, low word a}. */
export function funnelLeft(a: number, b: number, count: number): number {
  return count === 0 ? b : count > 31 ? a : (b << count) | (a >>> (32 - count));
}

export function funnelRight(a: number, b: number, count: number): number {
  return count === 0 ? a : count > 31 ? b : (b << (32 - count)) | (a >>> count);
}
