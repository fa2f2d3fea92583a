import {
  CUDA_ARCHITECTURES,
  type CudaArchitecture,
  cudaArchitecture,
  DEFAULT_ARCHITECTURES,
  plannedArchitecture,
} from "../architectures.ts";
import { integerBuffers } from "../bindings.ts";
import { ceilTo } from "../layout.ts";
import { cudaLimits, MOST_GRID } from "../limits.ts";
import type { GpuMachine, Machine, Machines } from "../machine.ts";
import { cudaRates } from "../rates.ts";
import { checkArchitecture } from "../request.ts";
import { CUDA_UNITS } from "../scalar-units.ts";

/** A CUDA device of this architecture. @throws MtacError MTA933 for what is no architecture */
export function cudaMachine(architecture: CudaArchitecture): GpuMachine {
  checkArchitecture(architecture);
  const requires = { features: [], computeCapability: architecture.computeCapability };
  const rates = cudaRates(architecture);
  return { ...CUDA, architecture, limits: cudaLimits(architecture), rates, requires: () => requires };
}

const CUDA: Omit<GpuMachine, "limits" | "architecture" | "rates" | "requires"> = {
  kind: "gpu",
  target: "cuda",
  lowering: { lowering: "direct" },
  terms: { invocation: "thread", workgroup: "block", memory: "shared memory", owner: "a block" },
  // Whole 16-byte units, an odd number of them: eight neighbouring rows lie in different banks.
  rows: {
    carryMultiple: 4,
    stride: (columns) => (ceilTo(columns, 4) % 8 === 0 ? ceilTo(columns, 4) + 4 : ceilTo(columns, 4)),
  },
  // 255 exist, and the compiler needs some for itself.
  registers: { counts: "words", most: 204 },
  fused: {
    tilesQ: [4, 8, 16, 32, 64],
    tilesK: [16, 32, 64],
    workgroups: [128, 256],
    best: 3,
    keysOfTeam: 4,
    partialSums: false,
    epilogueWords: 4096,
    arenaMultiple: 4,
    // Its kernels on tensor cores do.
    combine: null,
  },
  staged: {
    tiles: [
      { tileQ: 64, tileK: 64 },
      { tileQ: 32, tileK: 64 },
      { tileQ: 64, tileK: 32 },
    ],
    productTilesQ: [16, 32, 64],
    productWorkgroups: [128, 256],
    stripRows: [128, 256, 512],
    // They stay in the second-level cache of data-centre devices, of maps that are written where rows see keys.
    stripBytes: 40 * 2 ** 20,
    mixTile: { tileQ: 8, tileK: 64 },
    // Four lanes a row: whole sectors of memory, and what a row costs once is shared by eight in a warp. Rows stay in registers.
    normalize: { workgroup: 64, team: 4, registers: 232, words: () => 0 },
    // More rows at a time need no fewer barriers.
    product: { epilogueWords: 8192, masks: true, source: "weights" },
    outputRows: [1],
    mapWidth: 1,
  },
  // The largest z of a grid.
  dispatches: { kind: "rounds", batches: MOST_GRID },
  mapGrid: {
    tiles: (rows, keys, heads) => [["mul", rows, keys], heads, "batches"],
    rows: (rows, heads) => [rows, heads, "batches"],
  },
  units: CUDA_UNITS,
  naming: {
    file: (pipeline) => `${pipeline.name}.cu`,
    entryPoint: (pipeline, kernel) => `${pipeline.name}_${kernel}`,
    integers: integerBuffers,
    seed: ["dropout_seed"],
    sharedLaunch: true,
    historyOverrides: {},
  },
  storage: ({ storage }) => (storage === "f32" ? "f32" : `${storage}-native`),
};

/** The machine of an architecture that may be none. */
function machineNamed(name: string): Machine | null {
  const architecture = cudaArchitecture(name);
  return architecture === null ? null : cudaMachine(architecture);
}

export const CUDA_MACHINES: Machines = {
  of({ architecture }) {
    checkArchitecture(architecture);
    return cudaMachine(architecture);
  },
  wanted: ({ architectures = DEFAULT_ARCHITECTURES }) =>
    architectures
      .map(plannedArchitecture)
      .sort((a, b) => b.computeCapability - a.computeCapability)
      .map(cudaMachine),
  all: () => CUDA_ARCHITECTURES.map(cudaMachine),
  typical: (name = DEFAULT_ARCHITECTURES[0]) => (name === undefined ? null : machineNamed(name)),
  // `name|sm_90|…`
  behind: (identity) => [machineNamed(identity.split("|")[1] ?? "")].filter((each) => each !== null),
};
