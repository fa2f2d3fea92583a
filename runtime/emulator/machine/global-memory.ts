import { EmulatorError } from "../errors.ts";

/**
 * One allocation. The high word of an address names the allocation, the low word starts at `BASE`: whatever is computed from a
 * pointer hits its own allocation or nothing, unless it is 4 GiB off.
 */
export interface Block {
  readonly label: string;
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly shorts: Uint16Array;
  readonly words: Int32Array;
  /** 1 where a byte was written. */
  readonly flags: Uint8Array;
  readonly flagWords: Int32Array;
  /** Serial number of the block that last wrote, and of the first of a launch that read, each pair of bytes. */
  readonly writers: Int32Array;
  readonly readers: Int32Array;
  /** Instruction of those accesses. */
  readonly writerIds: Int32Array;
  readonly readerIds: Int32Array;
  /** Blocks that released each address through an atomic. */
  readonly releases: Map<number, Set<number>>;
  readonly constant: boolean;
  freed: boolean;
}

/** Low word of every allocation's address: room for guard gaps on both sides. */
export const BASE = 0x10000000;
const FIRST_SLOT = 0x100;

export class GlobalMemory {
  readonly slots: (Block | undefined)[] = [];
  private next = FIRST_SLOT;

  allocate(size: number, label: string, checks: boolean, constant = false): bigint {
    if (!Number.isInteger(size) || size < 0 || size > 0x70000000) {
      throw new EmulatorError("MTA862", `allocation "${label}" cannot have ${size} bytes`);
    }
    const padded = Math.max(16, (size + 15) & ~15);
    const bytes = new Uint8Array(padded).fill(0xff);
    const flags = new Uint8Array(checks ? padded : 0);
    const tags = checks ? padded >> 1 : 0;
    const slot = this.next++;
    this.slots[slot] = {
      label,
      size,
      bytes,
      shorts: new Uint16Array(bytes.buffer),
      words: new Int32Array(bytes.buffer),
      flags,
      flagWords: new Int32Array(flags.buffer),
      writers: new Int32Array(tags),
      readers: new Int32Array(tags),
      writerIds: new Int32Array(tags),
      readerIds: new Int32Array(tags),
      releases: new Map(),
      constant,
      freed: false,
    };
    return (BigInt(slot) << 32n) | BigInt(BASE);
  }

  /** The allocation and offset of a host access. */
  hostRange(address: bigint, bytes: number): { block: Block; offset: number } {
    const block = this.slots[Number(address >> 32n)];
    const offset = Number(address & 0xffffffffn) - BASE;
    if (block === undefined || block.freed || offset < 0 || offset + bytes > block.size) {
      const inside =
        block === undefined
          ? "no allocation"
          : `"${block.label}" (${block.size} bytes${block.freed ? ", freed" : ""})`;
      throw new EmulatorError(
        "MTA862",
        `the host uses ${bytes} bytes at 0x${address.toString(16)}: ${inside}`,
      );
    }
    return { block, offset };
  }

  free(address: bigint): void {
    const slot = Number(address >> 32n);
    const { block } = this.hostRange(address, 0);
    // The label stays for the report of a later access; the bytes do not.
    this.slots[slot] = { ...block, bytes: new Uint8Array(0), freed: true };
  }

  write(address: bigint, data: Uint8Array): void {
    const { block, offset } = this.hostRange(address, data.length);
    block.bytes.set(data, offset);
    if (block.flags.length > 0) block.flags.fill(1, offset, offset + data.length);
  }

  fill(address: bigint, bytes: number, value: number): void {
    const { block, offset } = this.hostRange(address, bytes);
    block.bytes.fill(value, offset, offset + bytes);
    if (block.flags.length > 0) block.flags.fill(1, offset, offset + bytes);
  }
}
