import { describe, expect, it } from "vitest";
import { EmulatedDevice, type EmulatorError, type WarpOrder } from "../../runtime/emulator/index.ts";
import { faultOf, kernel, type LaunchOptions, launch, wordsOf } from "./harness.ts";

const ORDERS: readonly WarpOrder[] = ["forward", "reverse", "greedy"];
const SHARED = ".extern .shared .align 16 .b8 smem[];\n";

/** Threads' 4-byte slots: %r1 is the thread, %r2 its shared address, %rd1 and %rd2 its places in p0 and p1. */
const PROLOGUE = `
  mov.u32 %r1, %tid.x;
  shl.b32 %r3, %r1, 2;
  mov.u32 %r2, smem;
  add.s32 %r2, %r2, %r3;
  cvt.u64.u32 %rd3, %r3;
  ld.param.u64 %rd1, [p0];
  ld.param.u64 %rd2, [p1];
  add.s64 %rd1, %rd1, %rd3;
  add.s64 %rd2, %rd2, %rd3;
`;

const INPUT = Uint32Array.from({ length: 64 }, (_, index) => index + 1);

function fault(body: string, options: LaunchOptions = {}): EmulatorError {
  const text = kernel(PROLOGUE + body, 2, SHARED);
  return faultOf(() => launch(text, [INPUT, 64], { block: 64, sharedBytes: 1024, ...options }));
}

function expectFault(error: EmulatorError, code: string, line: number | null, message: RegExp): void {
  expect(error.message).toMatch(message);
  expect([error.code, error.file, error.line]).toEqual([code, line === null ? null : "planted.cu", line]);
  expect(error.kernel).toBe("k");
}

const REVERSED = (barrier: string) => `
  st.shared.u32 [%r2], %r1;
  ${barrier}
  sub.s32 %r4, 252, %r3;
  mov.u32 %r5, smem;
  add.s32 %r5, %r5, %r4;
  .loc 1 42 3
  ld.shared.u32 %r6, [%r5];
  st.global.u32 [%rd2], %r6;
`;

describe("planted bugs are reported with their code and line", () => {
  it.each(ORDERS)("a missing barrier, order %s", (warpOrder) => {
    const error = fault(REVERSED(""), { device: { warpOrder } });
    // The other warp has not written yet, or it has and nothing orders the two: both name the load.
    expect(["MTA854", "MTA855"]).toContain(error.code);
    expect([error.file, error.line]).toEqual(["planted.cu", 42]);
    expect(error.block).toEqual([0, 0, 0]);
  });

  it("a missing barrier that no order of execution shows is still a race", () => {
    const body = `
  st.shared.u32 [%r2], %r1;
  bar.sync 0;
  .loc 1 49 3
  ld.shared.u32 %r6, [smem+4];
  .loc 1 50 3
  st.shared.u32 [%r2], %r6;
  st.global.u32 [%rd2], %r6;`;
    expectFault(
      fault(body),
      "MTA855",
      49,
      /warp 1 reads shared address 0x4, written by warp 0 at planted.cu:50/,
    );
  });

  it.each(ORDERS)("no report with the barrier, order %s", (warpOrder) => {
    const text = kernel(PROLOGUE + REVERSED("bar.sync 0;"), 2, SHARED);
    const { outputs } = launch(text, [INPUT, 64], { block: 64, sharedBytes: 1024, device: { warpOrder } });
    expect([...wordsOf(outputs[1])]).toEqual(Array.from({ length: 64 }, (_, index) => 63 - index));
  });

  it("a missing cp.async wait", () => {
    const body = (wait: string) => `
  cp.async.ca.shared.global [%r2], [%rd1], 4;
  cp.async.commit_group;
  ${wait}
  .loc 1 60 1
  ld.shared.u32 %r6, [%r2];
  st.global.u32 [%rd2], %r6;`;
    expectFault(fault(body("")), "MTA859", 60, /copy of .* is pending/);
    expectFault(fault(body("cp.async.wait_group 1;")), "MTA859", 60, /pending/);
    const text = kernel(PROLOGUE + body("cp.async.wait_group 0;"), 2, SHARED);
    const { outputs } = launch(text, [INPUT, 64], { block: 64, sharedBytes: 1024 });
    expect(wordsOf(outputs[1])).toEqual(INPUT);
  });

  it("another thread's copy needs a barrier after the wait", () => {
    const body = `
  cp.async.ca.shared.global [%r2], [%rd1], 4;
  cp.async.wait_all;
  bar.warp.sync -1;
  .loc 1 61 1
  ld.shared.u32 %r6, [smem+4];
  st.global.u32 [%rd2], %r6;`;
    const error = fault(body, { device: { warpOrder: "greedy" } });
    expectFault(error, "MTA855", 61, /warp 1 reads shared address 0x4, written by warp 0/);
  });

  it("an off-by-one row", () => {
    const error = fault(".loc 1 70 1\n ld.global.u32 %r6, [%rd1+4];");
    expectFault(error, "MTA852", 70, /4 bytes at offset 256 of "p0" \(of 256 bytes\) are out of bounds/);
    expect(error.thread).toEqual([63, 0, 0]);
    expectFault(fault(".loc 1 71 1\n ld.global.u32 %r6, [%rd1+-4];"), "MTA852", 71, /offset -4 of "p0"/);
    expectFault(
      fault(".loc 1 72 1\n st.shared.u32 [%r2+800], %r1;"),
      "MTA852",
      72,
      /outside the block's 1024 bytes/,
    );
    expectFault(
      fault(".loc 1 73 1\n mov.u64 %rd5, 64; ld.global.u32 %r6, [%rd5];"),
      "MTA852",
      73,
      /in no allocation/,
    );
  });

  it("a misaligned access", () => {
    expectFault(
      fault(".loc 1 80 1\n ld.global.v2.u32 {%r6, %r7}, [%rd1];"),
      "MTA853",
      80,
      /no multiple of 8/,
    );
    expectFault(fault(".loc 1 81 1\n st.shared.u32 [%r2+2], %r1;"), "MTA853", 81, /0x2 is no multiple of 4/);
  });

  it("reads of memory that nobody wrote", () => {
    expectFault(
      fault(".loc 1 90 1\n ld.shared.u32 %r6, [%r2];"),
      "MTA854",
      90,
      /shared address 0x0 is read and was never written/,
    );
    expectFault(fault(".loc 1 91 1\n ld.global.u32 %r6, [%rd2];"), "MTA854", 91, /offset 0 of "p1"/);
  });

  it("an mma or a shuffle without all its lanes", () => {
    const divergent = (instruction: string) => `
  setp.lt.u32 %p1, %r1, 16;
  @%p1 bra L1;
  .loc 1 100 1
  ${instruction}
L1:`;
    const mma =
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3}, {%r4,%r5}, {%r6}, {%f0,%f1,%f2,%f3};";
    expectFault(fault(divergent(mma)), "MTA856", 100, /only lanes 0xffff0000/);
    expectFault(
      fault(divergent("shfl.sync.bfly.b32 %r4, %r1, 1, 31, -1;")),
      "MTA856",
      100,
      /member mask is 0xffffffff/,
    );
  });

  it("a barrier in divergent code", () => {
    const body = "setp.lt.u32 %p1, %r1, 16;\n@%p1 bra L1;\n.loc 1 110 1\nbar.sync 0;\nL1:";
    expectFault(fault(body), "MTA856", 110, /without lanes 0xffff of the warp/);
  });

  it("a deadlock names who waits where", () => {
    const body = `
  setp.lt.u32 %p1, %r1, 32;
  @%p1 bra L1;
  .loc 1 120 1
  bar.sync 1;
  ret;
L1:
  .loc 1 121 1
  bar.sync 2;`;
    expectFault(fault(body), "MTA857", 121, /warp 0 waits for barrier 2 .*warp 1 waits for barrier 1/);
    expectFault(fault(".loc 1 122 1\nbar.sync 1, 96;"), "MTA857", 122, /no warp can go on/);
  });

  it("producer and consumer barriers order their two sides only", () => {
    // Warp 0 writes and arrives; warp 1 waits and reads: no race. Without the arrival in between: a race.
    const body = (early: string) => `
  setp.ge.u32 %p1, %r1, 32;
  @%p1 bra L1;
  ${early}
  st.shared.u32 [%r2], %r1;
  bar.arrive 1, 64;
  ${early === "" ? "" : ".loc 1 130 1\n st.shared.u32 [%r2], %r3;"}
  ret;
L1:
  bar.sync 1, 64;
  .loc 1 131 1
  ld.shared.u32 %r6, [%r2+-128];
  st.global.u32 [%rd2], %r6;`;
    const run = (early: string, warpOrder: WarpOrder) =>
      launch(kernel(PROLOGUE + body(early), 2, SHARED), [INPUT, 64], {
        block: 64,
        sharedBytes: 1024,
        device: { warpOrder },
      });
    for (const order of ORDERS) expect(() => run("", order)).not.toThrow();
    expect(faultOf(() => run("mov.u32 %r9, 0;", "greedy")).code).toBe("MTA855");
  });

  it("two blocks that write one word", () => {
    const error = fault(".loc 1 140 1\n st.global.u32 [%rd2], %r1;", { grid: 2 });
    expectFault(error, "MTA855", 140, /writes offset 0 of "p1", written by block number 0/);
    expect(error.block).toEqual([1, 0, 0]);
  });

  it("blocks that an atomic orders may read each other's results", () => {
    const body = `
  mov.u32 %r4, %ctaid.x;
  ld.param.u64 %rd4, [p1];
  setp.ne.u32 %p1, %r1, 0;
  @%p1 bra DONE;
  mul.wide.u32 %rd5, %r4, 4;
  add.s64 %rd5, %rd4, %rd5;
  st.global.u32 [%rd5+4], %r4;
  membar.gl;
  atom.global.add.u32 %r5, [%rd4], 1;
  setp.ne.u32 %p2, %r5, 2;
  @%p2 bra DONE;
  ld.global.u32 %r6, [%rd4+4];
  ld.global.u32 %r7, [%rd4+8];
  add.s32 %r6, %r6, %r7;
  st.global.u32 [%rd4+20], %r6;
DONE:`;
    const text = kernel(PROLOGUE + body, 2, SHARED);
    const { outputs } = launch(text, [INPUT, new Uint32Array(16)], { grid: 3, block: 64, sharedBytes: 64 });
    expect(wordsOf(outputs[1])[5]).toBe(1);
  });

  it("two lanes that store different values to one address", () => {
    expectFault(
      fault(".loc 1 150 1\n st.shared.u32 [smem], %r1;", { block: 32 }),
      "MTA855",
      150,
      /another lane of this instruction/,
    );
  });

  it("an endless loop", () => {
    expectFault(
      fault("L1:\n.loc 1 160 1\n add.s32 %r1, %r1, 1;\n bra L1;", { device: { instructionBudget: 10000 } }),
      "MTA860",
      160,
      /more than 10000/,
    );
  });

  it("a trap", () => {
    expectFault(fault(".loc 1 170 1\n trap;"), "MTA861", 170, /trap/);
  });

  it("unknown opcodes and modifiers, when the module is loaded", () => {
    const load = (line: string) => faultOf(() => new EmulatedDevice().load(kernel(line), "test"));
    expect(load("frobnicate.b32 %r1, %r2;").message).toMatch(
      /PTX line 13: the opcode frobnicate is not implemented: frobnicate\.b32 %r1, %r2/,
    );
    expect(load("frobnicate.b32 %r1, %r2;").code).toBe("MTA850");
    expect(load("add.wobbly.s32 %r1, %r2, %r3;").message).toMatch(/modifier \.wobbly/);
    expect(load("wgmma.fence.sync.aligned;").code).toBe("MTA850");
    expect(load("call.uni vprintf, (%r1);").message).toMatch(/calls a function/);
    expect(load("add.s32 %r1, %r2").code).toMatch(/MTA85[01]/);
    expect(load("bra NOWHERE;").code).toBe("MTA851");
  });

  it("impossible launches, freed memory", () => {
    const text = kernel(PROLOGUE, 2, SHARED);
    expect(faultOf(() => launch(text, [INPUT, 64], { sharedBytes: 300000 })).code).toBe("MTA858");
    expect(faultOf(() => launch(text, [INPUT, 64], { block: 2048 })).code).toBe("MTA858");
    const device = new EmulatedDevice();
    const allocation = device.allocate(16, "gone");
    device.free(allocation);
    expect(faultOf(() => device.read(allocation.address, 4)).code).toBe("MTA862");
  });
});
