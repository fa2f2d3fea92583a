import { storageForm } from "../layout.ts";
import { type TargetLimits, WEBGPU_COMMON_LIMITS, WEBGPU_VARIANTS } from "../limits.ts";
import type { GpuMachine, Machine, Machines } from "../machine.ts";
import { WEBGPU_RATES } from "../rates.ts";
import { checkLimits } from "../request.ts";
import { WEBGPU_UNITS } from "../scalar-units.ts";
import { NORMALIZE_REGISTERS } from "../schedule/registers.ts";

/**
 * Multiply-adds that one dispatch may do: about a second on a processor that emulates a GPU, a millisecond on a small
 * GPU. Browsers end dispatches that run for seconds.
 */
const DISPATCH_MULTIPLY_ADDS = 2 ** 29;

const NORMALIZE_WORKGROUP = 64;

/** A device of WebGPU with these limits. @throws MtacError MTA933 for limits that are none */
export function webgpuMachine(limits: TargetLimits): GpuMachine {
  checkLimits(limits);
  return { ...WEBGPU, limits, storage: (pipeline, wanted) => wanted ?? storageForm(pipeline, limits) };
}

const WEBGPU: Omit<GpuMachine, "limits" | "storage"> = {
  kind: "gpu",
  target: "webgpu",
  architecture: null,
  lowering: {},
  terms: {
    invocation: "invocation",
    workgroup: "workgroup",
    memory: "workgroup memory",
    owner: "the device",
  },
  // Nothing between the rows: memory is what WebGPU devices have least of.
  rows: { carryMultiple: 1, stride: (columns) => columns },
  // 128 registers.
  registers: { counts: "blocks", most: 8 },
  fused: {
    tilesQ: [4, 8, 16, 32, 64],
    tilesK: [8, 16, 32, 64],
    workgroups: [64, 128, 256],
    best: 4,
    keysOfTeam: 1,
    partialSums: true,
    epilogueWords: 2048,
    arenaMultiple: 1,
    // A part costs about what 64 keys cost: it clears workgroup memory, and computes what its convolutions read before it.
    combine: { blocks: 128, keys: 512, tileQ: 4, workgroup: 64 },
  },
  staged: {
    tiles: [
      { tileQ: 32, tileK: 32 },
      { tileQ: 16, tileK: 64 },
      { tileQ: 16, tileK: 32 },
      { tileQ: 64, tileK: 64 },
    ],
    productTilesQ: [8, 16, 32],
    productWorkgroups: [64, 128, 256],
    stripRows: [64, 128, 256],
    // They stay in the last-level cache of most GPUs.
    stripBytes: 10 * 2 ** 20,
    mixTile: { tileQ: 8, tileK: 32 },
    normalize: {
      workgroup: NORMALIZE_WORKGROUP,
      // Few barriers, and 128 neighbouring bytes a step.
      team: 8,
      registers: NORMALIZE_REGISTERS,
      words: ({ normalize }) =>
        normalize === "sparsemax" ? 3 * NORMALIZE_WORKGROUP + 1 : 2 * NORMALIZE_WORKGROUP,
    },
    product: { epilogueWords: Number.POSITIVE_INFINITY, masks: false, source: "map_of_weights" },
    // Barriers are dear where a processor emulates them: eight rows share each.
    outputRows: [8, 4, 2, 1],
    mapWidth: 4,
  },
  dispatches: { kind: "cut", multiplyAdds: DISPATCH_MULTIPLY_ADDS },
  mapGrid: {
    tiles: (rows, keys, heads) => [keys, rows, ["mul", "batches", heads]],
    rows: (rows, heads) => [rows, 1, ["mul", "batches", heads]],
  },
  rates: WEBGPU_RATES,
  units: WEBGPU_UNITS,
  naming: {
    file: (pipeline, kernel) => `${pipeline.name}.${kernel}.wgsl`,
    entryPoint: () => "main",
    // They follow the parameters.
    integers: () => ["parameters"],
    seed: [],
    sharedLaunch: false,
    historyOverrides: { HISTORY: ["min", "R", 1] },
  },
  requires: (storage) => ({ features: storage === "f16-native" ? ["shader-f16"] : [] }),
};

const variants = (): readonly Machine[] => WEBGPU_VARIANTS.map(webgpuMachine);

export const WEBGPU_MACHINES: Machines = {
  of: webgpuMachine,
  wanted: ({ variants: limits = WEBGPU_VARIANTS }) => limits.map(webgpuMachine),
  all: variants,
  typical: () => webgpuMachine(WEBGPU_COMMON_LIMITS),
  // Identities do not say what a device grants.
  behind: variants,
};
