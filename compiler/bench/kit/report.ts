import type { Pipeline } from "../../../runtime/contract/index.ts";
import {
  compulsoryBytes,
  compulsoryGradientBytes,
  floorGradientMultiplyAdds,
  forwardOperations,
} from "../../ir/floors.ts";
import { resolve } from "../../ir/index.ts";
import { analyse } from "../../language/index.ts";
import { formatRatio } from "../../report/units.ts";
import type { BenchReport, LengthReport, Provenance, Row } from "../report.ts";
import { growthsOf, perSecond } from "../rows.ts";
import { formatTime, NONE, type TextTable } from "../summary.ts";
import {
  candidatesOf,
  type KitCase,
  type KitResults,
  type KitStep,
  type KitTime,
  type KitTiming,
  timingsOf,
} from "./results.ts";

/** Who computes the same as mtac, as the authors' model does: what speeds are relative to. */
const BASELINE = "plain";

/** What a benchmark's report calls mtac's own kernels. */
const OWN = "mtac";

/**
 * The times of a kit, as reports of benchmarks: one for each attention and type, in the order in which they were taken.
 *
 * @throws MtacError MTA934 for times that are none.
 */
export function kitReports(results: KitResults): readonly BenchReport[] {
  const timings = timingsOf(results.steps);
  const groups = new Map<string, KitTiming[]>();
  for (const each of timings) {
    const key = `${each.package} ${each.attention} ${each.type}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return [...groups.values()].flatMap((group) => reportOf(results, group) ?? []);
}

function reportOf(results: KitResults, timings: readonly KitTiming[]): BenchReport | null {
  const [first] = timings;
  const text = results.packages.find(({ name }) => name === first?.package)?.text;
  if (first === undefined || text === undefined) return null;
  const file = `${first.package}.mta`;
  const attention = analyse(text, file).spec?.attentions.find(({ name }) => name === first.attention);
  if (attention === undefined) return null;
  const pipeline: Pipeline = { ...resolve(attention, file), storage: first.type };
  const { heads, kvHeads, headDim, valueDim, storage, name } = pipeline;
  const lengths = lengthsOf(timings).map((length) =>
    lengthReport(
      pipeline,
      timings.filter((each) => each.length === length),
      length,
    ),
  );
  const device = deviceOf(results);
  return {
    format: 1,
    provenance: provenanceOf(results),
    spec: { file, text, attention: name, heads, kvHeads, headDim, valueDim, storage },
    target: device.onGpu ? "cuda" : "cpu",
    device: { description: device.description, identity: device.description },
    unit: "ns",
    rounds: Math.max(...timings.map(({ forward }) => forward.samples)),
    seed: results.seed,
    product: { reason: "kits for a GPU time none" },
    missing: missingOf(results, first, timings),
    notes: [],
    lengths,
    growth: growthsOf(lengths),
    interrupted: !results.finished,
  };
}

function lengthsOf(timings: readonly KitTiming[]): readonly number[] {
  return [...new Set(timings.map(({ length }) => length))].sort((a, b) => a - b);
}

function lengthReport(pipeline: Pipeline, timings: readonly KitTiming[], length: number): LengthReport {
  const shape = { B: timings[0]?.batch ?? 1, Lq: length, Lk: length, R: 0 };
  const floors = {
    forward: {
      operations: forwardOperations(pipeline, shape),
      compulsoryBytes: compulsoryBytes(pipeline, shape),
    },
    backward: {
      operations: 2 * floorGradientMultiplyAdds(pipeline, shape),
      compulsoryBytes: compulsoryGradientBytes(pipeline, shape),
    },
  };
  const baseline = timings.find(({ subject }) => subject === BASELINE);
  const rows = (["forward", "backward"] as const).flatMap((pass) =>
    timings.flatMap((timing) => rowOf(timing, pass, floors[pass], baseline?.[pass] ?? null) ?? []),
  );
  return { shape, ...floors.forward, gradients: floors.backward, product: null, rows };
}

function rowOf(
  timing: KitTiming,
  pass: "forward" | "backward",
  floors: { readonly operations: number; readonly compulsoryBytes: number },
  baseline: KitTime | null,
): Row | null {
  const { subject } = timing;
  const found = timing[pass];
  if (found === null) return null;
  const { peakBytes, ...time } = found;
  const own = subject === OWN;
  const backward = pass === "backward";
  return {
    subject: backward ? `${subject} backward` : subject,
    kind: own ? (backward ? "backward" : "schedule") : subject === BASELINE ? "baseline" : "peer",
    plan: null,
    chosen: false,
    tuned: false,
    version: null,
    runsOn: null,
    state: "measured",
    reason: null,
    error: null,
    time,
    speedup: baseline === null ? null : baseline.median / time.median,
    timeOverForward: backward && own ? time.median / timing.forward.median : null,
    // Others compute something else, whose operations are not these.
    operationsPerSecond: own ? perSecond(floors.operations, time) : null,
    shareOfProduct: null,
    peakBytes,
    bytesOverCompulsory: peakBytes === null ? null : peakBytes / floors.compulsoryBytes,
    workspaceBytes: null,
  };
}

/** Who could not be timed beside the attention, and at which lengths. */
function missingOf(
  { steps }: KitResults,
  { attention, type }: KitTiming,
  timings: readonly KitTiming[],
): BenchReport["missing"] {
  const cases = steps.filter(({ name }) => name.startsWith("timing")).flatMap((step) => step.cases);
  const found = new Map<string, BenchReport["missing"][number]>();
  for (const { name, reason, status, data } of cases) {
    const match = /^(\S+) (\S+) L (\d+): (.+)$/.exec(name);
    const [, of = "", ofType = "", length = "", subject = ""] = match ?? [];
    if ((status === "passed" && data["why"] === undefined) || of !== attention || ofType !== type) continue;
    const why = firstLine(shown(data["why"], reason ?? status));
    const key = `${subject} ${why}`;
    const lengths = [...(found.get(key)?.lengths ?? []), Number(length)];
    const timed = timings.some((each) => each.subject === subject);
    found.set(key, {
      name: subject,
      lengths,
      reason: `${why} (L ${lengths.join(", ")})`,
      remedy: timed ? "its other lengths were timed" : "a machine that has it",
    });
  }
  return [...found.values()];
}

/** What the step `environment` says of the machine. */
function machineOf({ steps }: KitResults, name: "machine" | "device"): KitCase["data"] {
  const step = steps.find((each) => each.name === "environment");
  return step?.cases.find((each) => each.name === name && each.status === "passed")?.data ?? {};
}

function shown(value: unknown, otherwise = "unknown"): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : otherwise;
}

/** The device that the kit computed on, for people. */
export function deviceOf(results: KitResults): { readonly description: string; readonly onGpu: boolean } {
  const [machine, device] = [machineOf(results, "machine"), machineOf(results, "device")];
  const torch = `PyTorch ${shown(machine["torch"])}`;
  if (device["name"] === undefined)
    return { description: `${shown(machine["processor"])}, ${torch}`, onGpu: false };
  const smi = device["nvidiaSmi"];
  const driver =
    typeof smi === "object" && smi !== null && "driver_version" in smi ? smi.driver_version : null;
  const parts = [shown(device["name"]), shown(device["capability"]), `driver ${shown(driver)}`];
  return { description: [...parts, torch, `CUDA ${shown(machine["cuda"])}`].join(", "), onGpu: true };
}

function provenanceOf(results: KitResults): Provenance {
  const machine = machineOf(results, "machine");
  const { cores } = machine;
  return {
    mtac: results.mtac,
    node: null,
    platform: `${shown(machine["platform"])}, Python ${shown(machine["python"])}`,
    processor: shown(machine["processor"]),
    cores: typeof cores === "number" ? cores : 1,
    at: results.began,
  };
}

/** The steps of a run: their states, their time, how many cases ended how, what is lacking. */
export function stepTable({ steps }: KitResults): TextTable {
  return {
    head: ["", "state", "time", "cases"],
    rows: steps.map((step) => [
      step.title,
      step.status,
      `${step.seconds.toFixed(1)} s`,
      step.lacking === null ? countsOf(step) : `the machine lacks ${step.lacking}`,
    ]),
  };
}

function countsOf({ cases }: KitStep): string {
  const counts = new Map<string, number>();
  for (const { status } of cases) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => `${count} ${status}`).join(", ") || NONE;
}

/** Cases that went wrong, each with the reason. */
export function troublesOf({ steps }: KitResults): readonly string[] {
  return steps.flatMap(({ name, cases }) =>
    cases
      .filter(({ status }) => status !== "passed" && status !== "skipped")
      .map(({ name: which, status, reason }) => `${status} ${name}: ${which}: ${firstLine(reason ?? "")}`),
  );
}

/** mtac's time over that of the others, length after length. */
export function ratioTable({ lengths }: BenchReport): TextTable {
  const others = [...new Set(lengths.flatMap(({ rows }) => rows.map(({ subject }) => subject)))].filter(
    (subject) => !subject.startsWith(OWN),
  );
  const ratio = ({ rows }: LengthReport, subject: string): string => {
    const median = (name: string): number | undefined =>
      rows.find((row) => row.subject === name)?.time?.median;
    const own = median(subject.endsWith(" backward") ? `${OWN} backward` : OWN);
    const other = median(subject);
    return own === undefined || other === undefined ? NONE : formatRatio(own / other);
  };
  return {
    head: [`time of ${OWN} over`, ...lengths.map(({ shape }) => `L = ${shape.Lq}`)],
    rows: others.map((subject) => [subject, ...lengths.map((length) => ratio(length, subject))]),
  };
}

/** Other plans of the planner, the fastest of each direction first. @throws MtacError MTA934 */
export function candidateTable(results: KitResults): TextTable {
  const candidates = candidatesOf(results.steps).toSorted(
    (a, b) => b.direction.localeCompare(a.direction) || a.time.median - b.time.median,
  );
  return {
    head: ["", "L", "median", "plan"],
    rows: candidates.map(({ of, type, direction, length, time, plan, first }) => [
      `${of} ${type} ${direction}`,
      String(length),
      formatTime(time.median, "ns"),
      first ? `${plan} (the planner's first)` : plan,
    ]),
  };
}

/** Whether something was not as it should be. */
export function hasTroubles(results: KitResults): boolean {
  return troublesOf(results).length > 0;
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}
