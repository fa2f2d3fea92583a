import { type FigureBasis, machinesOf, type Rates, type Resource } from "../plan/index.ts";
import { type Style, table, wrap } from "../terminal/style.ts";
import { formatKnobs } from "./describe.ts";
import { formatShare, formatTitle } from "./explanation.ts";
import type { GpuRoofline, RooflineCandidate, RooflineReport } from "./roofline.ts";
import { formatBytes, formatCount, formatMilliseconds, plural } from "./units.ts";

/** Candidates shown of a GPU, unless all are wanted. */
const SHOWN = 12;

type LegalCandidate = Extract<RooflineCandidate, { readonly reason: null }>;

/** The rooflines for people; `all` shows every legal candidate. */
export function formatRooflines(report: RooflineReport, all: boolean, style: Style): string {
  const { shape, operations } = report;
  const note =
    "Bounds from peak rates and the planner's counts of work; launches are free, and nothing is measured. Expect kernels to take longer.";
  return [
    `${formatTitle(report, style)}\n${style.dim(
      `length ${shape.Lq}, batch ${shape.B}: ${formatCount(operations)} operations and ${formatBytes(report.compulsoryBytes)} at least`,
    )}`,
    ...report.rooflines.map((each) => formatGpu(each, all, style)),
    wrap(style.dim(note)),
  ].join("\n\n");
}

function formatGpu(roofline: GpuRoofline, all: boolean, style: Style): string {
  const { title, target, limits, floor, rates } = roofline;
  const machine = machinesOf(target).of(limits);
  const memory = machine.kind === "gpu" ? machine.terms.memory : "memory";
  const place = limits.architecture === undefined ? target : `${target}, ${limits.architecture.name}`;
  const legal = roofline.candidates.flatMap((each) => (each.reason === null ? [each] : []));
  const shown = all ? legal : legal.filter((each, rank) => rank < SHOWN || each.chosen);
  const hidden = legal.length - shown.length;
  return [
    `${style.bold(title)} ${style.dim(`(${place})`)}`,
    wrap(style.dim(`  ${formatRates(rates)}`), "  "),
    wrap(style.dim(`  ${formatFigures(roofline.figures)}`), "  "),
    table(
      [
        ["", "candidate", "predicted", "bound", "of floor", "knobs"].map(style.dim),
        ["", "floor", formatSeconds(floor.seconds), nameOf(floor.bound, memory), "100 %", ""],
        ...shown.map((each) => rowOf(each, memory, style)),
      ],
      ["left", "left", "right", "left", "right", "left"],
      "  ",
    ),
    ...choiceNote(legal).map((line) => wrap(style.dim(line), "    ")),
    ...(hidden > 0 ? [style.dim(`    and ${plural(hidden, "slower candidate")} (with --all)`)] : []),
    ...(legal.length === 0
      ? [`  ${style.red("✗")} ${roofline.candidates[0]?.reason ?? "no candidate"}`]
      : []),
  ].join("\n");
}

/** Which plan is taken, and why, where peaks alone would take another. */
function choiceNote([first, ...others]: readonly LegalCandidate[]): readonly string[] {
  if (first === undefined) return [];
  const chosen = others.find((each) => each.chosen);
  if (chosen === undefined) return ["  → is chosen"];
  if (chosen.roofline.seconds <= first.roofline.seconds) return ["  → is chosen; those before it tie"];
  const slower = formatShare(chosen.roofline.seconds / first.roofline.seconds - 1);
  return [
    `  → is chosen, although peaks alone put another first (by ${slower}): the planner's costs hold what peaks leave out, such as launches and occupancy`,
  ];
}

function rowOf(
  { schedule, knobs, chosen, roofline, floorShare }: LegalCandidate,
  memory: string,
  style: Style,
): readonly string[] {
  return [
    chosen ? style.green("→") : " ",
    chosen ? style.green(schedule) : schedule,
    formatSeconds(roofline.seconds),
    nameOf(roofline.bound, memory),
    formatShare(floorShare),
    style.dim(formatKnobs(knobs)),
  ];
}

/** A resource in the machine's own words: WebGPU says workgroup memory where CUDA says shared memory. */
function nameOf(resource: Resource, memory: string): string {
  return resource === "shared memory" ? memory : resource;
}

function formatSeconds(seconds: number): string {
  return formatMilliseconds(seconds * 1000);
}

function formatFigures(figures: GpuRoofline["figures"]): string {
  const names: Record<FigureBasis, string> = {
    published: "by the vendor",
    derived: "derived",
    measured: "by others",
  };
  const bases = (["published", "derived", "measured"] as const).flatMap((basis) => {
    const count = Object.values(figures).filter((figure) => figure.basis === basis).length;
    return count === 0 ? [] : [`${count} ${names[basis]}`];
  });
  return `figures: ${bases.join(", ")} (sources with --json)`;
}

function formatRates({ matrixPeak, matrix, f32, memoryBandwidth, cacheBytes }: Rates): string {
  const rates = [
    `f32 ${formatCount(2 * f32)}FLOP/s`,
    `memory ${formatCount(memoryBandwidth)}B/s`,
    `cache ${formatBytes(cacheBytes)}`,
  ];
  if (matrixPeak > 0) {
    const share =
      matrix < matrixPeak ? `, of which mma.sync reaches ${formatShare(matrix / matrixPeak)}` : "";
    rates.unshift(`tensor cores ${formatCount(2 * matrixPeak)}FLOP/s${share}`);
  }
  return rates.join(" · ");
}
