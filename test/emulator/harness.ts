import {
  type Counters,
  EmulatedDevice,
  EmulatorError,
  type EmulatorOptions,
} from "../../runtime/emulator/index.ts";

const HEADER = ".version 9.0\n.target sm_100\n.address_size 64\n";

/** A module of one kernel `k` with 64-bit pointer parameters, and registers enough for a small body. */
export function kernel(body: string, pointers = 2, extra = ""): string {
  const parameters = Array.from({ length: pointers }, (_, index) => `.param .u64 p${index}`).join(", ");
  return `${HEADER}${extra}
.visible .entry k(${parameters})
{
  .reg .pred %p<16>;
  .reg .b16 %h<32>;
  .reg .b32 %r<64>;
  .reg .f32 %f<64>;
  .reg .b64 %rd<64>;
  .reg .f64 %fd<16>;
${body}
  ret;
}
.file 1 "planted.cu"
`;
}

/**
 * Runs a body once per lane: words `a` in (%a0 … of every lane), words out (%d0 …). 64-bit values travel as two words.
 */
export function lanes(body: string, inputs: readonly ArrayLike<number>[], outputs: number): Uint32Array[] {
  const loads = inputs.map((_, index) => `  ld.global.b32 %a${index}, [%in+${index * 128}];`).join("\n");
  const stores = Array.from(
    { length: outputs },
    (_, index) => `  st.global.b32 [%out+${index * 128}], %d${index};`,
  );
  const text = kernel(`
  .reg .b32 %a<16>;
  .reg .b32 %d<16>;
  .reg .b32 %lane;
  .reg .b64 %in, %out, %off;
  mov.u32 %lane, %laneid;
  mul.wide.u32 %off, %lane, 4;
  ld.param.u64 %in, [p0];
  ld.param.u64 %out, [p1];
  add.s64 %in, %in, %off;
  add.s64 %out, %out, %off;
${loads}
${body}
${stores.join("\n")}`);
  const words = new Uint32Array(32 * inputs.length);
  inputs.forEach((list, index) => {
    for (let lane = 0; lane < 32; lane++) words[index * 32 + lane] = list[lane % list.length] ?? 0;
  });
  const found = launch(text, [words, 32 * outputs], { block: 32 }).outputs[1];
  return Array.from({ length: outputs }, (_, index) => wordsOf(found?.slice(index * 128, index * 128 + 128)));
}

export interface LaunchOptions {
  readonly grid?: number;
  readonly block?: number;
  readonly sharedBytes?: number;
  readonly device?: EmulatorOptions;
  readonly name?: string;
}

/** Launches a kernel whose parameters are pointers: arrays are written, numbers are words left unwritten. */
export function launch(
  ptx: string,
  buffers: readonly (Uint32Array | Uint16Array | Float32Array | Uint8Array | number)[],
  options: LaunchOptions = {},
): { counters: Counters; outputs: Uint8Array[] } {
  const device = new EmulatedDevice(options.device);
  const entry = device.load(ptx, "test").kernels.get(options.name ?? "k");
  if (entry === undefined) throw new Error("the test's kernel is missing");
  const allocations = buffers.map((buffer, index) => {
    const bytes = typeof buffer === "number" ? buffer * 4 : buffer.byteLength;
    const allocation = device.allocate(bytes, `p${index}`);
    if (typeof buffer !== "number") {
      device.write(allocation.address, new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength));
    }
    return allocation;
  });
  const parameters = new DataView(new ArrayBuffer(entry.parameterBytes));
  allocations.forEach(({ address }, index) => {
    parameters.setBigUint64(entry.parameters[index]?.offset ?? 0, address, true);
  });
  const counters = device.launch(entry, {
    grid: [options.grid ?? 1, 1, 1],
    block: [options.block ?? 32, 1, 1],
    sharedBytes: options.sharedBytes ?? 0,
    parameters: new Uint8Array(parameters.buffer),
  });
  return { counters, outputs: allocations.map(({ address, bytes }) => device.read(address, bytes)) };
}

/** 32-bit words of a buffer that came back. */
export function wordsOf(bytes: Uint8Array | undefined): Uint32Array {
  const words = new Uint32Array((bytes?.length ?? 0) >> 2);
  new Uint8Array(words.buffer).set(bytes ?? []);
  return words;
}

/** The emulator's error that an action throws. */
export function faultOf(action: () => unknown): EmulatorError {
  try {
    action();
  } catch (error) {
    if (error instanceof EmulatorError) return error;
    throw error;
  }
  throw new Error("no fault was reported");
}

/** Deterministic 32-bit numbers, edges first. */
export function randomWords(seed: number, count = 32): Uint32Array {
  const edges = [0, 1, 0xffffffff, 0x80000000, 0x7fffffff, 0x80000001, 2, 0xfffffffe];
  let state = seed;
  return Uint32Array.from({ length: count }, (_, index) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return index < 8 ? (edges[(index + seed) % 8] ?? 0) : (state ^ (state >>> 13)) >>> 0;
  });
}

const view = new DataView(new ArrayBuffer(8));

export function f32Word(value: number): number {
  view.setFloat32(0, value);
  return view.getUint32(0);
}

export function f32Value(word: number): number {
  view.setUint32(0, word);
  return view.getFloat32(0);
}

export function f64Words(value: number): [low: number, high: number] {
  view.setFloat64(0, value);
  return [view.getUint32(4), view.getUint32(0)];
}
