import type { Counters } from "../counters.ts";
import { shapeVolume } from "../counters.ts";
import { popc32 } from "../numeric/integer.ts";
import type { BasicBlock, CompiledKernel, Part } from "../translate/kernel.ts";
import { Barriers } from "./barrier.ts";
import { fault, placeOf } from "./fault.ts";
import type { GlobalMemory } from "./global-memory.ts";
import { SharedMemory } from "./shared-memory.ts";
import { Tally } from "./tally.ts";
import { type Cta, Warp } from "./warp.ts";

export type WarpOrder = "forward" | "reverse" | "greedy";

export interface RunOptions {
  readonly warpOrder: WarpOrder;
  readonly checks: boolean;
  readonly truncate: boolean;
  readonly instructionBudget: number;
}

export interface RunLaunch {
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  readonly sharedBytes: number;
  readonly parameters: DataView;
}

/** A basic block as the scheduler needs it. */
interface Step {
  readonly block: BasicBlock;
  readonly full: readonly Part[];
  readonly masked: readonly Part[];
  readonly length: number;
}

/** Runs one launch: blocks one after the other, the warps of each interleaved as the order says. */
export class Run {
  private readonly steps: readonly Step[];
  private readonly executions: Float64Array;
  private readonly lanes: Float64Array;
  private readonly cta: Cta;
  private readonly warps: readonly Warp[];
  private readonly barriers: Barriers;
  private readonly options: RunOptions;
  private readonly launch: RunLaunch;
  private instructions = 0;
  private arrivals = 0;

  constructor(
    kernel: CompiledKernel,
    memory: GlobalMemory,
    launch: RunLaunch,
    options: RunOptions,
    firstSerial: number,
  ) {
    this.options = options;
    this.launch = launch;
    this.steps = kernel.blocks.map((block) => ({
      block,
      full: block.full,
      masked: block.masked,
      length: block.last - block.first,
    }));
    this.executions = new Float64Array(this.steps.length);
    this.lanes = new Float64Array(this.steps.length);
    const threads = launch.block[0] * launch.block[1] * launch.block[2];
    const warpCount = Math.ceil(threads / 32);
    const sharedBytes = kernel.staticShared + launch.sharedBytes;
    this.cta = {
      kernel,
      memory,
      shared: new SharedMemory(sharedBytes, warpCount, kernel.granule, options.checks),
      tally: new Tally(),
      parameters: launch.parameters,
      checks: options.checks,
      truncate: options.truncate,
      specials: Int32Array.of(0, 0, 0, ...launch.block, ...launch.grid, launch.sharedBytes, sharedBytes),
      ctaid: [0, 0, 0],
      serial: firstSerial,
      firstSerial,
      acquired: [],
    };
    this.warps = Array.from(
      { length: warpCount },
      (_, index) => new Warp(this.cta, index, threads, warpCount, kernel.rows, kernel.parsed.predicates),
    );
    this.barriers = new Barriers(this.warps);
  }

  /** Runs every block of the grid, x fastest. */
  all(): void {
    const [x, y, z] = this.launch.grid;
    for (let k = 0; k < z; k++) {
      for (let j = 0; j < y; j++) {
        for (let i = 0; i < x; i++) {
          this.startBlock(i, j, k);
          this.runBlock();
          this.cta.serial++;
        }
      }
    }
  }

  private startBlock(x: number, y: number, z: number): void {
    const { cta } = this;
    cta.ctaid = [x, y, z];
    cta.specials[0] = x;
    cta.specials[1] = y;
    cta.specials[2] = z;
    cta.acquired = [];
    cta.shared.reset();
    this.barriers.reset();
    for (const warp of this.warps) this.startWarp(warp);
  }

  private startWarp(warp: Warp): void {
    const { kernel } = this.cta;
    // A NaN in f32 and in both halves: what reads a register before writing it shows.
    warp.I.fill(0x7fff7fff);
    warp.P.fill(0);
    const [width, height] = this.launch.block;
    for (let lane = 0; lane < 32; lane++) {
      const thread = warp.index * 32 + lane;
      warp.I[lane] = thread % width;
      warp.I[32 + lane] = Math.floor(thread / width) % height;
      warp.I[64 + lane] = Math.floor(thread / (width * height));
    }
    for (const { row, value } of kernel.constants) warp.I.fill(value, row * 32, row * 32 + 32);
    warp.live = warp.initial;
    warp.pcs = [0];
    warp.masks = [warp.initial];
    warp.waited = [0];
    warp.parkedAt = -1;
    warp.clock.fill(0);
    warp.clock[warp.index] = 1;
    warp.order.reset();
    warp.local.fill(0xff);
    warp.localFlags.fill(0);
    warp.copies.reset();
  }

  private runBlock(): void {
    const { warpOrder } = this.options;
    const order = warpOrder === "reverse" ? [...this.warps].reverse() : this.warps;
    for (;;) {
      let progressed = false;
      for (const warp of order) {
        if (!warp.runnable) continue;
        progressed = true;
        this.step(warp);
        while (warpOrder === "greedy" && warp.runnable) this.step(warp);
      }
      if (!progressed) break;
    }
    const stuck = this.warps.find((warp) => warp.parkedAt >= 0);
    if (stuck !== undefined) throw this.deadlock(stuck);
  }

  private deadlock(warp: Warp): Error {
    const { kernel } = this.cta;
    const states = this.warps.map((other) => {
      if (other.parkedAt < 0) return `warp ${other.index} exited`;
      const instruction = kernel.parsed.instructions[other.parkedAt];
      const place = instruction === undefined ? "" : ` at ${placeOf(instruction, kernel.files).text}`;
      return `warp ${other.index} waits for barrier ${other.parkedBarrier}${place}`;
    });
    return fault(
      "MTA857",
      warp,
      warp.parkedAt,
      -1,
      `no warp can go on (${states.join("; ")}); the first waits`,
    );
  }

  /** The group of lanes to run: the lowest program counter, but one that needs the whole warp lets the others catch up. */
  private chooseGroup(warp: Warp): number {
    const { masks, pcs, live, waited } = warp;
    if (masks.length === 1 && masks[0] === live) return 0;
    for (let index = 0; index < masks.length; index++) {
      const step = this.steps[pcs[index] as number];
      if (!step?.block.collective || masks[index] === live) return index;
      waited[index] = (waited[index] as number) | live;
    }
    return 0;
  }

  /** Runs one basic block for one group of a warp's lanes. */
  private step(warp: Warp): void {
    const group = this.chooseGroup(warp);
    const pc = warp.pcs[group] as number;
    const mask = warp.masks[group] as number;
    const step = this.steps[pc] as Step;
    const parts = mask === -1 ? step.full : step.masked;
    warp.expected = warp.waited[group] as number;
    for (let index = 0; index < parts.length; index++) (parts[index] as Part)(warp, mask);
    this.executions[pc] = (this.executions[pc] as number) + 1;
    this.lanes[pc] = (this.lanes[pc] as number) + (mask === -1 ? 32 : popc32(mask));
    this.instructions += step.length;
    warp.executed += step.length;
    if (this.instructions > this.options.instructionBudget) {
      throw fault(
        "MTA860",
        warp,
        step.block.first,
        -1,
        `the launch executed more than ${this.options.instructionBudget} warp instructions; it was`,
      );
    }
    this.terminate(warp, group, pc, mask, step.block);
  }

  private terminate(warp: Warp, group: number, pc: number, mask: number, block: BasicBlock): void {
    const { terminator, terminatorId } = block;
    const instruction = warp.cta.kernel.parsed.instructions[terminatorId];
    const guard = instruction?.guard;
    let taken = mask;
    if (guard !== null && guard !== undefined) {
      const predicate = warp.P[guard.register.row] as number;
      taken = mask & (guard.negated ? ~predicate : predicate);
    }
    switch (terminator.kind) {
      case "fall":
        this.move(warp, group, pc + 1, mask, 0, 0);
        return;
      case "branch":
        if (taken === mask) this.move(warp, group, terminator.target, mask, 0, 0);
        else this.move(warp, group, pc + 1, mask & ~taken, terminator.target, taken);
        return;
      case "table":
        this.branchTable(warp, group, pc, mask, taken, terminator.index, terminator.targets);
        return;
      case "exit":
        warp.live &= ~taken;
        this.move(warp, group, pc + 1, mask & ~taken, 0, 0);
        if (warp.live === 0) this.barriers.exited();
        return;
      case "trap":
        if (taken !== 0)
          throw fault("MTA861", warp, terminatorId, 31 - Math.clz32(taken & -taken), "a trap is executed");
        this.move(warp, group, pc + 1, mask, 0, 0);
        return;
      case "barrier": {
        const waited = warp.waited[group] as number;
        this.move(warp, group, pc + 1, mask, 0, 0);
        if (taken === 0 || instruction === undefined) return;
        this.arrivals++;
        this.barriers.arrive(warp, taken, waited, terminatorId, instruction);
      }
    }
  }

  private branchTable(
    warp: Warp,
    group: number,
    pc: number,
    mask: number,
    taken: number,
    index: { kind: string } & object,
    targets: readonly number[],
  ): void {
    const row = "register" in index ? (index.register as { row: number }).row : 0;
    this.move(warp, group, pc + 1, mask & ~taken, 0, 0);
    for (let lane = 0; lane < 32; lane++) {
      if (((taken >>> lane) & 1) === 0) continue;
      const target = targets[warp.I[row * 32 + lane] as number];
      if (target === undefined)
        throw fault(
          "MTA852",
          warp,
          this.steps[pc]?.block.terminatorId ?? 0,
          lane,
          "the index of brx.idx is out of its table",
        );
      this.join(warp, target, 1 << lane);
    }
  }

  /** Replaces a group by up to two others; groups that meet become one. */
  private move(
    warp: Warp,
    group: number,
    to: number,
    mask: number,
    otherTo: number,
    otherMask: number,
  ): void {
    if (warp.masks.length === 1 && otherMask === 0 && mask !== 0) {
      warp.pcs[0] = to;
      warp.masks[0] = mask;
      warp.waited[0] = 0;
      return;
    }
    warp.pcs.splice(group, 1);
    warp.masks.splice(group, 1);
    warp.waited.splice(group, 1);
    if (mask !== 0) this.join(warp, to, mask);
    if (otherMask !== 0) this.join(warp, otherTo, otherMask);
  }

  private join(warp: Warp, pc: number, mask: number): void {
    const { pcs, masks, waited } = warp;
    let index = 0;
    while (index < pcs.length && (pcs[index] as number) < pc) index++;
    if (pcs[index] === pc) {
      masks[index] = (masks[index] as number) | mask;
      return;
    }
    pcs.splice(index, 0, pc);
    masks.splice(index, 0, mask);
    waited.splice(index, 0, 0);
  }

  counters(): Counters {
    const { tally } = this.cta;
    const opcodes: Record<string, number> = {};
    let [warpInstructions, laneFma, specialFunctions] = [0, tally.guardedFma, tally.guardedSpecial];
    this.steps.forEach(({ block, length }, index) => {
      const times = this.executions[index] as number;
      if (times === 0) return;
      const lanes = this.lanes[index] as number;
      warpInstructions += times * length;
      laneFma += lanes * block.laneFma;
      specialFunctions += lanes * block.laneSpecial;
      for (const [name, count] of block.counts) opcodes[name] = (opcodes[name] ?? 0) + times * count;
    });
    const mma: Record<string, number> = {};
    let tensorMultiplyAdds = 0;
    for (const [name, count] of Object.entries(opcodes)) {
      if (!name.startsWith("mma.")) continue;
      mma[name.slice(4)] = count;
      tensorMultiplyAdds += count * shapeVolume(name.slice(4));
    }
    const [x, y, z] = this.launch.grid;
    return {
      blocks: x * y * z,
      warpInstructions,
      opcodes,
      mma,
      tensorMultiplyAdds,
      laneFma,
      specialFunctions,
      sharedWavefronts: tally.sharedWavefronts,
      sharedConflicts: tally.sharedConflicts,
      ldmatrixConflicts: tally.ldmatrixConflicts,
      globalSectorsRead: tally.globalSectorsRead,
      globalSectorsWritten: tally.globalSectorsWritten,
      globalBytesWritten: tally.globalBytesWritten,
      barriers: this.arrivals,
    };
  }
}
