import { accessText, fault, hex } from "./fault.ts";
import type { SharedStore, Warp } from "./warp.ts";

const UNINITIALISED = 0;
const INITIALISED = 1;
const PENDING = 2;
const ALL_INITIALISED = 0x01010101;
const EPOCH = 0xffffff;

/**
 * Shared memory of a block with its shadow. Every granule (the smallest access of the kernel) remembers its last write and each
 * warp's last read by the epoch of that warp's vector clock; an access races where the other one's epoch is not known to lie before
 * it. Source: the FastTrack algorithm (Flanagan, Freund 2009), with warps for threads and barriers as the only synchronisation.
 */
export class SharedMemory implements SharedStore {
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly shorts: Uint16Array;
  readonly words: Int32Array;
  private readonly flags: Uint8Array;
  private readonly flagWords: Int32Array;
  private readonly shift: number;
  private readonly granules: number;
  private readonly warps: number;
  /** Last write: (warp + 1) << 24 | epoch; 0 is none. Atomics have the complement of their instruction's number. */
  private readonly writes: Int32Array;
  private readonly writers: Int32Array;
  /** Lane of the last write. */
  private readonly lanes: Uint8Array;
  private readonly reads: Int32Array;
  private readonly readers: Int32Array;
  /** Dynamic number of the last store instruction, to find two lanes that store different values to one address. */
  private readonly stamps: Int32Array;
  private stamp = 0;

  constructor(size: number, warps: number, granule: number, checks: boolean) {
    this.size = size;
    const padded = (size + 15) & ~15;
    this.bytes = new Uint8Array(padded);
    this.shorts = new Uint16Array(this.bytes.buffer);
    this.words = new Int32Array(this.bytes.buffer);
    this.shift = granule >= 4 ? 2 : granule >= 2 ? 1 : 0;
    this.granules = checks ? padded >> this.shift : 0;
    this.warps = warps;
    this.flags = new Uint8Array(checks ? padded : 0);
    this.flagWords = new Int32Array(this.flags.buffer);
    this.writes = new Int32Array(this.granules);
    this.writers = new Int32Array(this.granules);
    this.lanes = new Uint8Array(this.granules);
    this.stamps = new Int32Array(this.granules);
    this.reads = new Int32Array(this.granules * warps);
    this.readers = new Int32Array(this.granules * warps);
  }

  /** Before every block: poison that reads as NaN, in f32 as in f16. */
  reset(): void {
    this.bytes.fill(0xff);
    this.flags.fill(UNINITIALISED);
    this.writes.fill(0);
    this.reads.fill(0);
    this.stamps.fill(0);
    this.stamp = 0;
  }

  beginStore(): void {
    this.stamp++;
  }

  checkBounds(warp: Warp, lane: number, offset: number, bytes: number, id: number): void {
    if (offset < 0 || offset + bytes > this.size) {
      throw fault(
        "MTA852",
        warp,
        id,
        lane,
        `shared address ${hex(offset)} (${bytes} bytes) is outside the block's ${this.size} bytes`,
      );
    }
    if ((offset & (bytes - 1)) !== 0) {
      throw fault("MTA853", warp, id, lane, `shared address ${hex(offset)} is no multiple of ${bytes}`);
    }
  }

  /** Before a load; `reader` is the lane that gets what `lane` addresses. */
  checkRead(warp: Warp, lane: number, offset: number, bytes: number, id: number, reader = lane): void {
    if (bytes >= 4) {
      for (let word = offset >> 2; word < (offset + bytes) >> 2; word++) {
        if (this.flagWords[word] !== ALL_INITIALISED) this.refuseRead(warp, lane, offset, bytes, id);
      }
    } else {
      for (let byte = offset; byte < offset + bytes; byte++) {
        if (this.flags[byte] !== INITIALISED) this.refuseRead(warp, lane, offset, bytes, id);
      }
    }
    const { clock, index } = warp;
    const own = (index + 1) << 24;
    const epoch = clock[index] as number;
    const row = index * this.granules;
    const end = (offset + bytes - 1) >> this.shift;
    const { common } = warp.order;
    let harmless = 0;
    for (let granule = offset >> this.shift; granule <= end; granule++) {
      const write = this.writes[granule] as number;
      if (write !== harmless) {
        const writer = write & ~EPOCH;
        const later = (write & EPOCH) > (writer === own ? common : (clock[(writer >> 24) - 1] as number));
        if (later && writer === own) {
          this.checkLane(warp, lane, reader, granule, id, "reads");
          this.reads[row + granule] = epoch;
          this.readers[row + granule] = id;
          continue;
        }
        if (write !== 0 && later) {
          this.race(
            warp,
            lane,
            granule,
            id,
            "reads",
            "written",
            (writer >> 24) - 1,
            this.writers[granule] as number,
          );
        }
        harmless = write;
      }
      this.reads[row + granule] = epoch;
      this.readers[row + granule] = id;
    }
  }

  /** Before a store. `different` says whether the bytes change: two lanes may store one value at once. */
  checkWrite(warp: Warp, lane: number, offset: number, bytes: number, id: number, different: boolean): void {
    const { clock, index } = warp;
    const own = (index + 1) << 24;
    const tag = own | (clock[index] as number);
    warp.order.written = true;
    const end = (offset + bytes - 1) >> this.shift;
    for (let granule = offset >> this.shift; granule <= end; granule++) {
      const write = this.writes[granule] as number;
      if (this.flags[granule << this.shift] === PENDING) {
        this.race(
          warp,
          lane,
          granule,
          id,
          "writes",
          "being filled by cp.async",
          -1,
          this.writers[granule] as number,
        );
      }
      const writer = write & ~EPOCH;
      if (write !== 0 && writer !== own && (write & EPOCH) > (clock[(writer >> 24) - 1] as number)) {
        this.race(
          warp,
          lane,
          granule,
          id,
          "writes",
          "written",
          (writer >> 24) - 1,
          this.writers[granule] as number,
        );
      }
      if (different && this.stamps[granule] === this.stamp) {
        this.race(
          warp,
          lane,
          granule,
          id,
          "writes",
          "written with another value by another lane of this instruction",
          -1,
          id,
        );
      }
      this.checkReaders(warp, lane, granule, id);
      this.writes[granule] = tag;
      this.writers[granule] = id;
      this.lanes[granule] = lane;
      this.stamps[granule] = this.stamp;
    }
    this.flags.fill(INITIALISED, offset, offset + bytes);
  }

  private checkReaders(warp: Warp, lane: number, granule: number, id: number): void {
    const { clock, index } = warp;
    for (let reader = 0, at = granule; reader < this.warps; reader++, at += this.granules) {
      const read = this.reads[at] as number;
      if (read !== 0 && reader !== index && read > (clock[reader] as number)) {
        this.race(warp, lane, granule, id, "writes", "read", reader, this.readers[at] as number);
      }
    }
  }

  /** Atomics race with plain accesses, not with each other. */
  checkAtomic(warp: Warp, lane: number, offset: number, bytes: number, id: number): void {
    for (let byte = offset; byte < offset + bytes; byte++) {
      if (this.flags[byte] !== INITIALISED) this.refuseRead(warp, lane, offset, bytes, id);
    }
    const { clock, index } = warp;
    const own = (index + 1) << 24;
    warp.order.written = true;
    for (let granule = offset >> this.shift; granule <= (offset + bytes - 1) >> this.shift; granule++) {
      const write = this.writes[granule] as number;
      const writer = write & ~EPOCH;
      const atomic = (this.writers[granule] as number) < 0;
      if (
        write !== 0 &&
        !atomic &&
        writer !== own &&
        (write & EPOCH) > (clock[(writer >> 24) - 1] as number)
      ) {
        this.race(
          warp,
          lane,
          granule,
          id,
          "updates",
          "written",
          (writer >> 24) - 1,
          this.writers[granule] as number,
        );
      }
      this.checkReaders(warp, lane, granule, id);
      if (writer === own && !atomic && (write & EPOCH) > warp.order.common) {
        this.checkLane(warp, lane, lane, granule, id, "updates");
        // A plain write of this lane that other lanes do not know of stays on record: their atomics race with it.
        if (this.lanes[granule] === lane) continue;
      }
      this.writes[granule] = own | (clock[index] as number);
      this.writers[granule] = ~id;
      this.lanes[granule] = lane;
    }
  }

  /** cp.async: the destination holds poison until the copy is waited for. */
  issueCopy(warp: Warp, lane: number, offset: number, bytes: number, id: number): void {
    this.checkWrite(warp, lane, offset, bytes, id, true);
    this.flags.fill(PENDING, offset, offset + bytes);
  }

  completeCopy(warp: Warp, offset: number, bytes: number): void {
    const tag = ((warp.index + 1) << 24) | (warp.clock[warp.index] as number);
    warp.order.written = true;
    this.flags.fill(INITIALISED, offset, offset + bytes);
    this.writes.fill(tag, offset >> this.shift, ((offset + bytes - 1) >> this.shift) + 1);
  }

  private refuseRead(warp: Warp, lane: number, offset: number, bytes: number, id: number): never {
    for (let byte = offset; byte < offset + bytes; byte++) {
      if (this.flags[byte] === PENDING) {
        const copy = accessText(warp, this.writers[byte >> this.shift] as number);
        throw fault(
          "MTA859",
          warp,
          id,
          lane,
          `shared address ${hex(byte)} is read while the copy of ${copy} is pending,`,
        );
      }
      if (this.flags[byte] === UNINITIALISED) {
        throw fault("MTA854", warp, id, lane, `shared address ${hex(byte)} is read and was never written,`);
      }
    }
    throw fault("MTA854", warp, id, lane, `shared address ${hex(offset)} is read and was never written,`);
  }

  /** The warp wrote the granule since its lanes last synchronised: no lane but the writer may touch it. */
  private checkLane(
    warp: Warp,
    lane: number,
    reader: number,
    granule: number,
    id: number,
    does: string,
  ): void {
    const writer = this.lanes[granule] as number;
    if (writer === reader) return;
    if (warp.order.knows(reader, writer, (this.writes[granule] as number) & EPOCH)) return;
    const place = accessText(warp, this.writers[granule] as number);
    throw fault(
      "MTA855",
      warp,
      id,
      lane,
      `lane ${lane} of warp ${warp.index} ${does} shared address ${hex(granule << this.shift)}, written by lane ${writer} of the same warp at ${place} with no __syncwarp between;`,
    );
  }

  private race(
    warp: Warp,
    lane: number,
    granule: number,
    id: number,
    does: string,
    done: string,
    otherWarp: number,
    otherId: number,
  ): never {
    const by = otherWarp < 0 ? "" : ` by warp ${otherWarp}`;
    const other =
      otherId === id && otherWarp < 0 ? "" : `${by} at ${accessText(warp, otherId)} with no barrier between`;
    throw fault(
      "MTA855",
      warp,
      id,
      lane,
      `warp ${warp.index} ${does} shared address ${hex(granule << this.shift)}, ${done}${other};`,
    );
  }
}
