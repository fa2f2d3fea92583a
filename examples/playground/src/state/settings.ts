import { SCHEDULES, type Schedule } from "../../../../runtime/contract/index.ts";

export const TABS = ["pipeline", "plan", "wgsl", "cuda", "run", "maps"] as const;
export type TabName = (typeof TABS)[number];

/** What a run computes on: the GPU where the page has one, else the processor; or one of them. */
export const DEVICE_CHOICES = ["auto", "webgpu", "wasm"] as const;
export type DeviceChoice = (typeof DEVICE_CHOICES)[number];

/** What people call devices. */
export const DEVICE_NAMES = { webgpu: "the GPU", wasm: "the processor" } as const;

export interface RunSettings {
  readonly device: DeviceChoice;
  readonly batch: number;
  readonly rows: number;
  readonly keys: number;
  readonly seed: number;
  readonly layer: number;
  /** Whether gradients are computed, too. */
  readonly gradients: boolean;
}

export interface MapSettings {
  readonly length: number;
  readonly seed: number;
  readonly parameters: "random" | "init";
  readonly batch: number;
  readonly head: number;
  /** Whether gradients are shown beside the maps. */
  readonly gradients: boolean;
}

/** All that the page shows depends on these, and a link carries them. */
export interface Settings {
  readonly spec: string;
  /** The attention that is shown; null takes the first. */
  readonly attention: string | null;
  /** Rows and keys that plans are chosen for. */
  readonly length: number;
  readonly architecture: string;
  /** Null leaves the choice to the planner. */
  readonly schedule: Schedule | null;
  readonly tab: TabName;
  readonly run: RunSettings;
  readonly maps: MapSettings;
}

/** Longer specs are not carried in links. */
export const MOST_CHARACTERS = 50_000;

export const DEFAULTS: Omit<Settings, "spec"> = {
  attention: null,
  length: 1024,
  architecture: "sm_80",
  schedule: null,
  tab: "pipeline",
  run: { device: "auto", batch: 1, rows: 128, keys: 128, seed: 1, layer: 0, gradients: false },
  maps: { length: 48, seed: 1, parameters: "random", batch: 0, head: 0, gradients: false },
};

/** What each number may be: from, to. */
export const RANGES = {
  length: [1, 1_048_576],
  batch: [1, 64],
  rows: [1, 8192],
  keys: [1, 8192],
  seed: [0, 4_294_967_295],
  layer: [0, 1023],
  mapLength: [2, 128],
  mapBatch: [0, 1],
  head: [0, 1023],
} as const satisfies Record<string, readonly [number, number]>;

/** A whole number within its range: cut to it, or the fallback where it is none. */
export function within(value: unknown, [least, most]: readonly [number, number], fallback: number): number {
  if (typeof value !== "number" || !Number.isFinite(value)) return fallback;
  return Math.min(most, Math.max(least, Math.round(value)));
}

/** Settings from a link: null without a spec, the defaults for whatever else is missing or makes no sense. */
export function readSettings(value: unknown): Settings | null {
  const given = recordOf(value);
  const { spec, attention, architecture } = given;
  if (typeof spec !== "string" || spec.length > MOST_CHARACTERS) return null;
  const run = recordOf(given["run"]);
  const maps = recordOf(given["maps"]);
  return {
    spec,
    attention: typeof attention === "string" ? attention : null,
    length: within(given["length"], RANGES.length, DEFAULTS.length),
    architecture:
      typeof architecture === "string" && /^sm_\d{2,3}$/.test(architecture)
        ? architecture
        : DEFAULTS.architecture,
    schedule: SCHEDULES.find((each) => each === given["schedule"]) ?? null,
    tab: TABS.find((each) => each === given["tab"]) ?? DEFAULTS.tab,
    run: {
      device: DEVICE_CHOICES.find((each) => each === run["device"]) ?? DEFAULTS.run.device,
      batch: within(run["batch"], RANGES.batch, DEFAULTS.run.batch),
      rows: within(run["rows"], RANGES.rows, DEFAULTS.run.rows),
      keys: within(run["keys"], RANGES.keys, DEFAULTS.run.keys),
      seed: within(run["seed"], RANGES.seed, DEFAULTS.run.seed),
      layer: within(run["layer"], RANGES.layer, DEFAULTS.run.layer),
      gradients: run["gradients"] === true,
    },
    maps: {
      length: within(maps["length"], RANGES.mapLength, DEFAULTS.maps.length),
      seed: within(maps["seed"], RANGES.seed, DEFAULTS.maps.seed),
      parameters: maps["parameters"] === "init" ? "init" : "random",
      batch: within(maps["batch"], RANGES.mapBatch, DEFAULTS.maps.batch),
      head: within(maps["head"], RANGES.head, DEFAULTS.maps.head),
      gradients: maps["gradients"] === true,
    },
  };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
