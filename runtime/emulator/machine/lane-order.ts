/**
 * Order between the lanes of one warp, which run in lockstep nowhere but here: since Volta a lane sees another one's write only
 * after a warp-level synchronisation of both (PTX ISA 9.0, "bar.warp.sync": it orders the memory accesses of its lanes). Epochs are
 * those of the warp's own entry in its vector clock, which every synchronisation moves on.
 */
export class LaneOrder {
  /** Whether shared memory was written since all lanes synchronised. */
  written = false;
  /** Last epoch that all lanes know of. */
  common = 0;
  /** After synchronisations of some lanes: the epoch up to which lane r knows the writes of lane w, at 32 r + w. */
  private known: Int32Array | null = null;
  private readonly clock: Int32Array;
  private readonly index: number;

  constructor(clock: Int32Array, index: number) {
    this.clock = clock;
    this.index = index;
  }

  reset(): void {
    this.written = false;
    this.common = 0;
    this.known = null;
  }

  /** All lanes of the warp: what was written lies before what follows. */
  advance(): void {
    this.common = this.clock[this.index] as number;
    this.clock[this.index] = this.common + 1;
    this.written = false;
    this.known = null;
  }

  /** Lanes that execute a `.sync` instruction together, and those of the warp that have not exited. */
  synchronise(mask: number, live: number): void {
    // Epochs are few: they move on only where there is something to tell apart.
    if (!this.written) return;
    if ((live & ~mask) === 0) this.advance();
    else this.join(mask);
  }

  private join(mask: number): void {
    this.known ??= new Int32Array(1024).fill(this.common);
    const { known } = this;
    const epoch = this.clock[this.index] as number;
    const joined = new Int32Array(32);
    for (let lane = 0; lane < 32; lane++) {
      if (((mask >>> lane) & 1) === 0) continue;
      for (let writer = 0; writer < 32; writer++) {
        joined[writer] = Math.max(joined[writer] as number, known[lane * 32 + writer] as number);
      }
    }
    for (let lane = 0; lane < 32; lane++) if ((mask >>> lane) & 1) joined[lane] = epoch;
    for (let lane = 0; lane < 32; lane++) if ((mask >>> lane) & 1) known.set(joined, lane * 32);
    this.clock[this.index] = epoch + 1;
  }

  /** Whether a write of another lane later than `common` lies before what a lane does now. */
  knows(reader: number, writer: number, epoch: number): boolean {
    return this.known !== null && reader < 32 && (this.known[reader * 32 + writer] as number) >= epoch;
  }
}
