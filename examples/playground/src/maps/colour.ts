/** Colours for values, evenly spaced to the eye: interpolated in OKLab (Björn Ottosson, "A perceptual color space", 2020). */

export type Rgb = readonly [red: number, green: number, blue: number];

export type Scale = "diverging" | "sequential";

/** From nothing to the largest value: ever darker. */
const SEQUENTIAL = ["#f5f3ef", "#f4cb85", "#e57a4c", "#ac2f52", "#3f1250"] as const;

/** From the most negative over 0 to the most positive: as dark on both sides, and 0 as light as above. */
const DIVERGING = ["#173f86", "#7fa9dc", "#f5f3ef", "#eda070", "#a32a17"] as const;

const STEPS = 256;

const TABLES: Readonly<Record<Scale, readonly Rgb[]>> = {
  sequential: tableOf(SEQUENTIAL),
  diverging: tableOf(DIVERGING),
};

/** What the ends of a map's colours stand for. */
export interface Range {
  readonly scale: Scale;
  readonly least: number;
  readonly most: number;
  /** Some values lie beyond an end, and have its colour. */
  readonly clipped: boolean;
}

/** The share of a map's values that its colours tell apart: a few large ones would leave all others pale. */
const TOLD_APART = 0.99;

/**
 * The range of a map's visible values: from 0 up where none is negative and the map holds weights, else the same on both sides of 0.
 * @param weights whether the map comes from the normaliser or later
 */
export function rangeOf(values: Float64Array, visible: Uint8Array, weights: boolean): Range {
  const seen = values.filter((value, index) => visible[index] === 1 && Number.isFinite(value));
  const sizes = seen.map(Math.abs).sort();
  const most = sizes[Math.floor(TOLD_APART * (sizes.length - 1))] ?? 0;
  const clipped = most < (sizes.at(-1) ?? 0);
  if (weights && seen.every((value) => value >= 0)) return { scale: "sequential", least: 0, most, clipped };
  // No -0, which would be shown.
  return { scale: "diverging", least: most === 0 ? 0 : -most, most, clipped };
}

/** The colour of a value; all of a map of zeros has the colour of 0. */
export function colourOf(value: number, { scale, least, most }: Omit<Range, "clipped">): Rgb {
  const zero = scale === "diverging" ? 0.5 : 0;
  const share = most > least ? (value - least) / (most - least) : zero;
  return colourAt(scale, share);
}

/** @param share 0 to 1 */
export function colourAt(scale: Scale, share: number): Rgb {
  const step = Math.round(Math.min(1, Math.max(0, share)) * (STEPS - 1));
  return TABLES[scale][step] ?? [128, 128, 128];
}

function tableOf(anchors: readonly string[]): readonly Rgb[] {
  const points = anchors.map((anchor) => toOklab(parse(anchor)));
  return Array.from({ length: STEPS }, (_, step) => {
    const place = (step / (STEPS - 1)) * (points.length - 1);
    const below = Math.min(points.length - 2, Math.floor(place));
    const [from, to] = [points[below] ?? [0, 0, 0], points[below + 1] ?? [0, 0, 0]];
    const share = place - below;
    const mix = (axis: 0 | 1 | 2): number => from[axis] + (to[axis] - from[axis]) * share;
    return toRgb([mix(0), mix(1), mix(2)]);
  });
}

type Oklab = readonly [lightness: number, a: number, b: number];

function parse(colour: string): Rgb {
  const part = (at: number): number => Number.parseInt(colour.slice(at, at + 2), 16);
  return [part(1), part(3), part(5)];
}

function toLinear(channel: number): number {
  const value = channel / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function fromLinear(value: number): number {
  const channel = value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
  return Math.round(255 * Math.min(1, Math.max(0, channel)));
}

export function toOklab([red, green, blue]: Rgb): Oklab {
  const [r, g, b] = [toLinear(red), toLinear(green), toLinear(blue)];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function toRgb([lightness, a, b]: Oklab): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    fromLinear(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    fromLinear(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    fromLinear(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}
