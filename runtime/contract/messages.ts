import type { SourceLine } from "./pipeline.ts";

/** ` (kernel "scores", spec.mta:4:3)`, or as much of it as is known. */
export function place(kernel: string | null, source: SourceLine | null): string {
  const parts: string[] = [];
  if (kernel !== null) parts.push(`kernel "${kernel}"`);
  if (source !== null) parts.push(`${source.file}:${source.line}:${source.column}`);
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

/** Bytes as people read them, exact below 1 KiB: `12.5 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : Number(value.toFixed(2))} ${units[unit] ?? ""}`;
}
