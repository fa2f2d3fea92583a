import type { ConvStage } from "../../runtime/contract/index.ts";

/** What one thread does for one unit of an op. */
export interface UnitWork {
  readonly f32MultiplyAdds: number;
  readonly specialFunctions: number;
  readonly instructions: number;
  /** Bytes; what lanes share with each other is counted once, in equal parts. */
  readonly sharedBytes: number;
}

/** Where an op's operands lie: in workgroup memory, or in a map in storage. */
export type OperandPlace = "workgroup" | "storage";

/** What a target's scalar kernels execute, op by op: all that they differ in where costs are predicted. */
export interface ScalarUnits {
  /** Lanes that work in step: those without work count as well. 1 where nobody knows how many there are. */
  readonly lanes: number;
  /** Instructions of a step's loops, and of a barrier. */
  readonly step: number;
  readonly barrier: number;
  /** Instructions that a word of a map takes, read or written. */
  readonly word: number;
  /** Whether each step along the keys reads the tile's queries again. */
  readonly rereadsQueries: boolean;
  /** Factor on the instructions of kernels over maps: their operands come through storage buffers. */
  readonly maps: number;
  /** A 4x4 block of scores: q · k. */
  dot(headDim: number): UnitWork;
  /** A 4x4 block of a convolution. */
  conv(stage: ConvStage, source: OperandPlace): UnitWork;
  /** Four keys of one row of `outputs` heads, mixed of `group`. */
  mix(group: number, outputs: number, source: OperandPlace): UnitWork;
  /** Placing and masking a 4x4 block; its bytes are those of writing it to workgroup memory. */
  readonly block: UnitWork;
  /** An exponential of an entry whose row's statistics are known. */
  readonly exp: UnitWork;
  /** An entry of the online softmax; its weight is written where the same kernel multiplies it. */
  softmax(written: boolean): UnitWork;
  /** An entry of a dropout: ten rounds of two wide products each. */
  readonly dropout: UnitWork;
  /** An entry of the softmax of a whole row in a map. */
  readonly normalize: UnitWork;
  /** Four rows by four of `valueBlocks · 4` values over four keys; `same` of the thread's units read the same values. */
  product(valueBlocks: number, same: number, source: OperandPlace): UnitWork;
}

/** A 4x4 block of f32. */
const BLOCK_BYTES = 64;
/** Four entries of f32, one lane's. */
const FOUR_BYTES = 16;

/**
 * WGSL, in multiply-adds of the score product: ratios were fitted to the benchmark program on an emulated device. Bytes of
 * workgroup memory are the fewest that any device moves.
 */
export const WEBGPU_UNITS: ScalarUnits = {
  lanes: 1,
  step: 0,
  barrier: 40,
  word: 4.5,
  rereadsQueries: false,
  maps: 1.5,
  dot: (headDim) => unit({ f32MultiplyAdds: 16 * headDim, instructions: 16 * headDim }),
  conv({ kernel, across, dilation }, source) {
    const taps = kernel.query * kernel.key * across;
    // Four rows of a kernel row's window, entry by entry where they slide along.
    const entries = dilation.key === 1 ? kernel.key + 3 : kernel.key * 4;
    return unit({
      f32MultiplyAdds: 16 * taps,
      instructions: 16 * taps * (source === "storage" ? 6 : 1.5),
      sharedBytes: source === "storage" ? 0 : across * kernel.query * entries * FOUR_BYTES,
    });
  },
  mix: (group, outputs, source) =>
    unit({
      f32MultiplyAdds: 4 * group * outputs,
      instructions: 5.2 * group * outputs + (source === "storage" ? 22.5 : 200) * outputs,
      sharedBytes: source === "storage" ? 0 : 2 * group * FOUR_BYTES,
    }),
  block: unit({ instructions: 90, sharedBytes: BLOCK_BYTES }),
  exp: unit({ specialFunctions: 1, instructions: 14 }),
  softmax: (written) => unit({ specialFunctions: 1, instructions: 14, sharedBytes: written ? 12 : 8 }),
  dropout: unit({ instructions: 110 }),
  normalize: unit({ specialFunctions: 1, instructions: 48 }),
  // Neighbouring lanes share the rows' weights.
  product: (valueBlocks, _same, source) =>
    unit({
      f32MultiplyAdds: 64,
      instructions: source === "storage" ? 64 + 90 / valueBlocks : 122,
      sharedBytes: (4 * FOUR_BYTES * Math.max(1, valueBlocks / 32)) / valueBlocks,
    }),
};

/** Bytes a lane of a warp's 16-byte load, by how many of them one transfer serves: neighbouring places, few rows, one place. */
const LOAD = { contiguous: 16, rows: 24, pairs: 8, broadcast: 4 } as const;

/** CUDA, on f32 units: instructions as the emulator counts them. */
export const CUDA_UNITS: ScalarUnits = {
  lanes: 32,
  step: 60,
  barrier: 0,
  word: 1.5,
  rereadsQueries: true,
  maps: 1,
  dot(headDim) {
    const fours = Math.ceil(headDim / 4);
    const loads = 8 * fours;
    return unit({
      f32MultiplyAdds: 64 * fours,
      instructions: 64 * fours + loads,
      sharedBytes: loads * LOAD.rows,
    });
  },
  conv({ kernel, across, dilation }, source) {
    const sliding = dilation.key === 1 && source === "workgroup";
    const windows = Math.ceil((kernel.key + 5) / 4);
    const loads = kernel.query * (sliding ? 4 * windows : 16 * kernel.key) * across;
    const taps = kernel.query * kernel.key * across;
    return unit({
      f32MultiplyAdds: 16 * taps,
      instructions: 17 * taps + loads,
      sharedBytes: loads * (sliding ? LOAD.contiguous : LOAD.pairs) + taps * LOAD.broadcast,
    });
  },
  mix: (group, outputs) =>
    unit({
      f32MultiplyAdds: 4 * group * outputs,
      instructions: 5 * group * outputs + 8 * group + 32 * outputs,
      sharedBytes: (group + outputs) * LOAD.contiguous + group * outputs * LOAD.broadcast,
    }),
  block: unit({ instructions: 130, sharedBytes: BLOCK_BYTES }),
  exp: unit({ f32MultiplyAdds: 8, specialFunctions: 1, instructions: 8 }),
  softmax: () => unit({ f32MultiplyAdds: 14, specialFunctions: 1, instructions: 14, sharedBytes: 8 }),
  // Products of 32 bits by halves.
  dropout: unit({ instructions: 400 }),
  normalize: unit({ f32MultiplyAdds: 12, specialFunctions: 2, instructions: 48 }),
  product: (_valueBlocks, same) =>
    unit({
      f32MultiplyAdds: 64,
      instructions: 64 + 4 + 4 / same + 6,
      sharedBytes: 8 * LOAD.broadcast + (4 / same) * LOAD.contiguous,
    }),
};

function unit(work: Partial<UnitWork>): UnitWork {
  return { f32MultiplyAdds: 0, specialFunctions: 0, instructions: 0, sharedBytes: 0, ...work };
}
