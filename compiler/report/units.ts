const BINARY = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
const DECIMAL = ["", " k", " M", " G", " T", " P"] as const;

/** 1536 → "1.5 KiB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < BINARY.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : shorten(value)} ${BINARY[unit]}`;
}

/** 1234567 → "1.23 M". */
export function formatCount(count: number): string {
  if (Math.abs(count) < 10_000) return String(count);
  let value = count;
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < DECIMAL.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${shorten(value)}${DECIMAL[unit]}`;
}

export function formatMilliseconds(milliseconds: number): string {
  if (milliseconds >= 1000) return `${shorten(milliseconds / 1000)} s`;
  return milliseconds >= 0.1 ? `${shorten(milliseconds)} ms` : `${shorten(milliseconds * 1000)} µs`;
}

/** 1.234 → "1.23×". */
export function formatRatio(ratio: number): string {
  return `${shorten(ratio)}×`;
}

/** 3.456e-7 → "3.5e-7". */
export function formatError(error: number): string {
  return error === 0 ? "0" : Number.isFinite(error) ? error.toExponential(1) : String(error);
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Three significant digits without trailing zeros. */
function shorten(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}
