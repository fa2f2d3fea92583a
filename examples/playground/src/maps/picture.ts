import { colourAt, colourOf, type Range } from "./colour.ts";

/** Draws a map, one pixel an entry: row by row from the top, columns from the left. What is not visible stays transparent. */
export function drawMap(
  canvas: HTMLCanvasElement,
  columns: number,
  values: Float64Array,
  visible: Uint8Array,
  range: Range,
): void {
  const rows = values.length / columns;
  canvas.width = columns;
  canvas.height = rows;
  const image = new ImageData(columns, rows);
  for (const [index, value] of values.entries()) {
    if (visible[index] !== 1) continue;
    const [red, green, blue] = Number.isFinite(value) ? colourOf(value, range) : NOT_FINITE;
    image.data.set([red, green, blue, 255], index * 4);
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

const NOT_FINITE = [0, 255, 0] as const;

/** Draws the colours of a range, from its least to its most. */
export function drawLegend(canvas: HTMLCanvasElement, { scale }: Range): void {
  const width = 128;
  canvas.width = width;
  canvas.height = 1;
  const image = new ImageData(width, 1);
  for (let x = 0; x < width; x += 1) image.data.set([...colourAt(scale, x / (width - 1)), 255], x * 4);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
