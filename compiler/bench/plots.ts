import { LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { type EChartsCoreOption, init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { type BenchReport, type LengthReport, type Row, rowOf, subjectsOf } from "./report.ts";
import { formatTime, nameOf } from "./summary.ts";

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const WIDTH = 760;
const HEIGHT = 448;
/** Between legend entries and the plot's edge. */
const MARGIN = 16;

/** Every colour as it is on light and on dark ground: the drawing has the light one, a style sheet in it the other. */
const INK = { text: "#24292f", faint: "#57606a", grid: "#d8dee4", finer: "#eaeef2" } as const;
const SERIES = [
  "#0969da",
  "#bc4c00",
  "#1a7f37",
  "#8250df",
  "#bf3989",
  "#9a6700",
  "#1b7c83",
  "#cf222e",
] as const;
const DARK: Readonly<Record<string, string>> = {
  "#24292f": "#e6edf3",
  "#57606a": "#9198a1",
  "#d8dee4": "#3d444d",
  "#eaeef2": "#262c36",
  "#0969da": "#58a6ff",
  "#bc4c00": "#f0883e",
  "#1a7f37": "#56d364",
  "#8250df": "#bc8cff",
  "#bf3989": "#f778ba",
  "#9a6700": "#e3b341",
  "#1b7c83": "#39c5cf",
  "#cf222e": "#ff7b72",
};

const SYMBOLS = ["circle", "rect", "triangle", "diamond"] as const;

/** One plot over the lengths, with a line a subject. */
interface PlotRequest {
  readonly title: string;
  readonly subtitle: string;
  readonly scale: "log" | "linear";
  readonly format: (value: number) => string;
  readonly value: (row: Row) => number | null;
  readonly spread?: (row: Row) => readonly [low: number, high: number] | null;
}

/** Time over length, both logarithmic, with quartiles: an SVG file of its own, legible on light and dark ground. */
export function timePlot(report: BenchReport): string {
  const { spec, device, unit } = report;
  return draw(report, {
    title: `Time of ${spec.attention}`,
    subtitle: `one forward pass, median and quartiles; large marks: the planner's choice\n${device.description}`,
    scale: "log",
    format: (value) => formatTime(value, unit),
    value: ({ time }) => time?.median ?? null,
    spread: ({ time }) => (time === null ? null : [time.low, time.high]),
  });
}

/** Operations per second over those of the best matrix product; null where no row has a share. */
export function productPlot(report: BenchReport): string | null {
  return drawIfAny(report, {
    title: "Operations per second, of the best matrix product's",
    subtitle: "operations that no implementation avoids",
    scale: "linear",
    format: (value) => `${Math.round(100 * value)} %`,
    value: ({ shareOfProduct }) => shareOfProduct,
  });
}

/** Bytes at the peak over those that every implementation moves; null where no row tells. */
export function bytesPlot(report: BenchReport): string | null {
  return drawIfAny(report, {
    title: "Memory at the peak, over compulsory bytes",
    subtitle: "inputs, outputs, parameters and workspace; 1× is what no implementation avoids",
    scale: "log",
    format: (value) => `${value}×`,
    value: ({ bytesOverCompulsory }) => bytesOverCompulsory,
  });
}

function drawIfAny(report: BenchReport, plot: PlotRequest): string | null {
  const any = report.lengths.some(({ rows }) => rows.some((row) => plot.value(row) !== null));
  return any ? draw(report, plot) : null;
}

function draw(report: BenchReport, plot: PlotRequest): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: HEIGHT });
  try {
    chart.setOption(optionOf(report, plot));
    return adaptive(chart.renderToSVGString());
  } finally {
    // An open chart keeps the process alive.
    chart.dispose();
  }
}

function optionOf(report: BenchReport, plot: PlotRequest): EChartsCoreOption {
  const subjects = subjectsOf(report).filter((subject) => pointsOf(report, subject, plot).length > 0);
  const series = subjects.flatMap((subject, index) => seriesOf(report, subject, index, plot));
  const { text, faint, grid, finer } = INK;
  const lengths = report.lengths.map(({ shape }) => shape.Lq);
  const axis = {
    axisLabel: { color: faint, fontSize: 12 },
    nameTextStyle: { color: faint, fontSize: 12 },
    axisLine: { show: true, lineStyle: { color: faint } },
    axisTick: { lineStyle: { color: faint } },
    splitLine: { show: true, lineStyle: { color: grid } },
  };
  return {
    animation: false,
    backgroundColor: "transparent",
    textStyle: { fontFamily: "system-ui, sans-serif", color: text },
    title: {
      text: plot.title,
      subtext: plot.subtitle,
      left: MARGIN,
      top: MARGIN / 2,
      textStyle: { color: text, fontSize: 15, fontWeight: 600 },
      subtextStyle: { color: faint, fontSize: 12 },
    },
    legend: {
      data: subjects.map((subject) => nameOf(report, subject)),
      bottom: MARGIN / 2,
      textStyle: { color: text, fontSize: 12 },
      // Without a font to measure, texts come out wider than they are taken to be.
      itemGap: 2 * MARGIN,
    },
    grid: { left: 74, right: 2 * MARGIN, top: 84, bottom: 100 },
    xAxis: {
      type: "log",
      logBase: 2,
      ...rangeAround(lengths),
      name: "L, rows of queries and keys",
      nameLocation: "middle",
      nameGap: 28,
      ...axis,
    },
    yAxis: {
      type: plot.scale === "log" ? "log" : "value",
      min: plot.scale === "log" ? undefined : 0,
      ...axis,
      axisLabel: { ...axis.axisLabel, formatter: plot.format },
      minorTick: { show: plot.scale === "log", splitNumber: 9 },
      minorSplitLine: { show: plot.scale === "log", lineStyle: { color: finer } },
    },
    series,
  };
}

/** A single length stands in the middle. */
function rangeAround(lengths: readonly number[]): { min: number; max: number } {
  const [least, most] = [Math.min(...lengths), Math.max(...lengths)];
  return least === most ? { min: least / 2, max: 2 * most } : { min: least, max: most };
}

interface Point {
  readonly length: LengthReport;
  readonly row: Row;
  readonly value: number;
}

function pointsOf({ lengths }: BenchReport, subject: string, plot: PlotRequest): readonly Point[] {
  return lengths.flatMap((length) => {
    const row = rowOf(length, subject);
    const value = row === undefined ? null : plot.value(row);
    return row === undefined || value === null ? [] : [{ length, row, value }];
  });
}

/** A line through the values, and strokes from low to high, which are a second line with gaps. */
function seriesOf(report: BenchReport, subject: string, index: number, plot: PlotRequest): object[] {
  const points = pointsOf(report, subject, plot);
  const color = SERIES[index % SERIES.length];
  const peer = points.every(({ row }) => row.kind === "peer");
  const strokes = points.flatMap(({ length: { shape }, row }) => {
    const spread = plot.spread?.(row) ?? null;
    if (spread === null) return [];
    const [low, high] = spread;
    return [
      [shape.Lq, low],
      [shape.Lq, high],
      [shape.Lq, "-"],
    ];
  });
  const line = {
    type: "line",
    name: nameOf(report, subject),
    data: points.map(({ length: { shape }, row, value }) => ({
      value: [shape.Lq, value],
      symbolSize: row.chosen ? 13 : 8,
    })),
    symbol: SYMBOLS[index % SYMBOLS.length],
    itemStyle: { color },
    lineStyle: { color, width: 2, type: peer ? "dashed" : "solid" },
    clip: false,
  };
  const whiskers = {
    type: "line",
    data: strokes,
    symbol: "none",
    lineStyle: { color, width: 1.5, type: "solid" },
    clip: false,
    legendHoverLink: false,
  };
  return strokes.length === 0 ? [line] : [line, whiskers];
}

/** Style sheets win over attributes: one drawing serves light and dark ground. */
function adaptive(svg: string): string {
  const rules = Object.entries(DARK).flatMap(([light, dark]) => [
    `[fill="${light}"]{fill:${dark}}`,
    `[stroke="${light}"]{stroke:${dark}}`,
  ]);
  const style = `<style>@media (prefers-color-scheme:dark){${rules.join("")}}</style>`;
  // The drawing's background is whatever it stands on.
  return `${svg.replace(/^(<svg[^>]*>)/, `$1\n${style}`)}\n`;
}
