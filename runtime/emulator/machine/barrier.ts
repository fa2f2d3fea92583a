import { popc32 } from "../numeric/integer.ts";
import type { Instruction, Operand } from "../ptx/ir.ts";
import { fault } from "./fault.ts";
import type { Warp } from "./warp.ts";

/** One of the 16 named barriers of a block. */
interface Barrier {
  arrived: number;
  expected: number;
  /** Join of the vector clocks of all that arrived. */
  readonly clock: Int32Array;
  readonly waiting: Warp[];
  /** `bar.red`: lanes that arrived with a true predicate. */
  trueLanes: number;
  /** Lanes that arrived: those of a warp that exited before take no part, whatever the thread count says. */
  lanes: number;
}

/**
 * Barriers of a block (PTX ISA 9.0, "Parallel Synchronization and Communication Instructions: bar, barrier"). Warps that exited do
 * not count for a barrier without a thread count, as on hardware since Volta.
 */
export class Barriers {
  private readonly barriers = new Map<number, Barrier>();
  private readonly warps: readonly Warp[];

  constructor(warps: readonly Warp[]) {
    this.warps = warps;
  }

  reset(): void {
    this.barriers.clear();
  }

  /** A warp reaches a barrier with the lanes `mask`; it is parked unless it only arrives or is the last. */
  arrive(warp: Warp, mask: number, waited: number, id: number, instruction: Instruction): void {
    const required = warp.live | waited;
    if (mask !== required) {
      const lanes = (required & ~mask) >>> 0;
      throw fault(
        "MTA856",
        warp,
        id,
        -1,
        `the barrier is reached without lanes 0x${lanes.toString(16)} of the warp,`,
      );
    }
    const reduction = instruction.modifiers.includes("red");
    const operands = reduction ? instruction.operands.slice(1) : instruction.operands;
    const number = this.read(warp, mask, operands[0]);
    const counted = operands[1] !== undefined && !(reduction && operands.length === 2);
    const count = counted ? this.read(warp, mask, operands[1]) : 0;
    if (number < 0 || number > 15 || count % 32 !== 0) {
      throw fault("MTA858", warp, id, -1, `barrier ${number} with ${count} threads does not exist`);
    }
    let barrier = this.barriers.get(number);
    if (barrier === undefined) {
      const clock = new Int32Array(this.warps.length);
      barrier = { arrived: 0, expected: count, clock, waiting: [], trueLanes: 0, lanes: 0 };
      this.barriers.set(number, barrier);
    }
    if (barrier.arrived > 0 && barrier.expected !== count) {
      throw fault(
        "MTA857",
        warp,
        id,
        -1,
        `barrier ${number} is used with ${count} and with ${barrier.expected} threads at once,`,
      );
    }
    barrier.expected = count;
    barrier.arrived++;
    barrier.lanes += popc32(mask);
    if (reduction) barrier.trueLanes += popc32(mask & predicateMask(warp, operands.at(-1)));
    for (let other = 0; other < barrier.clock.length; other++) {
      barrier.clock[other] = Math.max(barrier.clock[other] as number, warp.clock[other] as number);
    }
    // What the warp does from here on lies after the barrier.
    warp.order.advance();
    if (!instruction.modifiers.includes("arrive")) {
      warp.parkedAt = id;
      warp.parkedBarrier = number;
      barrier.waiting.push(warp);
    }
    this.complete(number, barrier);
  }

  /** A warp exited: barriers without a count may be complete now. */
  exited(): void {
    for (const [number, barrier] of this.barriers) this.complete(number, barrier);
  }

  private complete(number: number, barrier: Barrier): void {
    const live = this.warps.filter((warp) => warp.live !== 0).length;
    const needed = barrier.expected === 0 ? live : barrier.expected >> 5;
    if (barrier.arrived < needed || barrier.arrived === 0) return;
    for (const warp of barrier.waiting) {
      for (let other = 0; other < barrier.clock.length; other++) {
        if (other !== warp.index) {
          warp.clock[other] = Math.max(warp.clock[other] as number, barrier.clock[other] as number);
        }
      }
      const instruction = warp.cta.kernel.parsed.instructions[warp.parkedAt];
      if (instruction?.modifiers.includes("red")) this.reduce(warp, instruction, barrier);
      warp.parkedAt = -1;
      warp.parkedBarrier = -1;
    }
    this.barriers.delete(number);
  }

  private reduce(warp: Warp, instruction: Instruction, barrier: Barrier): void {
    const [target] = instruction.operands;
    if (target?.kind !== "register") return;
    const { row } = target.register;
    if (instruction.modifiers.includes("popc")) {
      for (let lane = 0; lane < 32; lane++) warp.I[row * 32 + lane] = barrier.trueLanes;
      return;
    }
    const holds = instruction.modifiers.includes("and")
      ? barrier.trueLanes === barrier.lanes
      : barrier.trueLanes > 0;
    warp.P[row] = holds ? -1 : 0;
  }

  private read(warp: Warp, mask: number, operand: Operand | undefined): number {
    if (operand?.kind === "immediate") return Number(operand.bits);
    if (operand?.kind !== "register") return 0;
    return warp.I[operand.register.row * 32 + 31 - Math.clz32(mask & -mask)] as number;
  }
}

function predicateMask(warp: Warp, operand: Operand | undefined): number {
  if (operand?.kind !== "register") return -1;
  const mask = warp.P[operand.register.row] as number;
  return operand.negated ? ~mask : mask;
}
