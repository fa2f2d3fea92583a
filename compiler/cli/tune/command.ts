import { InvalidArgumentError } from "commander";
import { METERED_TARGETS } from "../../targets.ts";
import type { KnobSweep, Shard } from "../../tune/candidates.ts";
import { command } from "../command.ts";
import { type FlagsOf, given, numberList, required, text, value, wholeNumber } from "../flag.ts";
import * as shared from "../flags.ts";

/** `mtac tune SPEC`, and what is done with the results that it stores. */
export const TUNE = command({
  name: "tune",
  summary: "measure the plans that could win, and remember the best",
  description:
    "Measure the plans that could win on a device, each checked against the reference first, and store what was found: `compile` and `run` use it. A sweep that is interrupted goes on where it was when it is started again.",
  arguments: [["[spec]", "spec file (.mta or .ts)"]],
  flags: {
    target: shared.device(METERED_TARGETS, "what to measure on"),
    arch: shared.DEVICE_ARCHITECTURE,
    name: shared.NAME,
    layer: shared.LAYER,
    lengths: value("<list>", "rows of queries and keys, for example 512,2048", numberList),
    batch: value("<list>", "batch entries (default: 1)", numberList),
    sweep: value("<knob=values>", "measure these values of a knob only, for example tile_q=32,64", knobSweep),
    schedule: shared.SCHEDULE,
    grad: given("the backward pass, too: after the forward pass of each shape"),
    candidates: value(
      "<n>",
      "measure at most so many, the most promising (default: webgpu 20; cuda 48; cpu 40; emulated 12)",
      wholeNumber(1),
    ),
    /** Milliseconds. */
    budget: value("<time>", "for all shapes together, for example 60s or 5m", duration),
    shard: value(
      "<i/n>",
      "one of several parts of the sweep, for example 2/8 (default: that of the Slurm array task or Kubernetes pod)",
      shard,
    ),
    shards: value("<n>", "how many parts, where a pod's JOB_COMPLETION_INDEX says which", wholeNumber(1)),
    again: given("measure anew what is known already"),
    seed: shared.SEED,
    store: shared.STORE,
    json: shared.JSON_OBJECT,
  },
});
export type TuneFlags = FlagsOf<typeof TUNE.flags>;

/** Whose results `show` and `export` are about. */
const SELECTION = {
  name: text("<name>", "one attention or stack of the spec (default: all)"),
  target: shared.target(METERED_TARGETS, "of one target only"),
};
const SELECTED_SPEC = ["[spec]", "spec file (.mta or .ts); without it, results for all specs"] as const;

export const SHOW = command({
  name: "show",
  summary: "list the winners",
  description: "List what won for each attention, device and range of shapes, and by how much.",
  arguments: [SELECTED_SPEC],
  flags: {
    ...SELECTION,
    all: given("list every record, also those of other versions of mtac"),
    store: shared.STORE,
    json: shared.JSON_OBJECT,
  },
});
export type ShowFlags = FlagsOf<typeof SHOW.flags>;

export const EXPORT = command({
  name: "export",
  summary: "write the winners to a file",
  description: "Write the winners, and nothing else, to a JSON file that may be shipped beside a launcher.",
  arguments: [SELECTED_SPEC],
  flags: {
    out: required(text("<file>", "JSON file to write")),
    ...SELECTION,
    store: shared.STORE,
    json: shared.JSON_OBJECT,
  },
});
export type ExportFlags = FlagsOf<typeof EXPORT.flags>;

export const PRUNE = command({
  name: "prune",
  summary: "drop results that are not needed any more",
  description:
    "Drop damaged lines, results of other versions of mtac and superseded ones. With --before, --device, --target also results that fit all of those that are given.",
  arguments: [],
  flags: {
    before: value("<date>", "drop what is older, for example 2025-06-30", date),
    device: text("<text>", "drop results of devices whose name holds this text"),
    target: shared.target(METERED_TARGETS, "drop results of this target"),
    keepAll: given("keep superseded results: earlier rounds and repeated measurements"),
    dryRun: given("say what would be dropped, and change nothing"),
    store: shared.STORE,
    json: shared.JSON_OBJECT,
  },
});
export type PruneFlags = FlagsOf<typeof PRUNE.flags>;

export const MERGE = command({
  name: "merge",
  summary: "take over results from other stores",
  description:
    "Append the results of other stores, as sweeps on other machines leave them, that are not there yet.",
  arguments: [["<files...>", "stores to read"]],
  flags: { store: shared.STORE, json: shared.JSON_OBJECT },
});
export type MergeFlags = FlagsOf<typeof MERGE.flags>;

function date(text: string): Date {
  const value = new Date(text);
  if (Number.isNaN(value.getTime()))
    throw new InvalidArgumentError("expected a date, for example 2025-06-30");
  return value;
}

/** `tile_q=32,64` */
function knobSweep(text: string, previous: readonly KnobSweep[] | undefined): readonly KnobSweep[] {
  const match = /^([a-z_][a-z0-9_]*)=(.+)$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError("expected a knob and its values, for example tile_q=32,64");
  const [, knob = "", list = ""] = match;
  const values = list.split(",").map((item) => (/^\d+$/.test(item.trim()) ? Number(item) : item.trim()));
  return [...(previous ?? []), { knob, values }];
}

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `60s`, `1.5m`: milliseconds. A number alone counts seconds. */
function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const milliseconds = Number(match?.[1]) * (MILLISECONDS[match?.[2] ?? "s"] ?? Number.NaN);
  if (!(milliseconds > 0)) throw new InvalidArgumentError("expected a time, for example 60s or 5m");
  return milliseconds;
}

/** `2/8` */
function shard(text: string): Shard {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (!(index >= 1 && index <= count))
    throw new InvalidArgumentError("expected a part of several, for example 2/8");
  return { index, count };
}
