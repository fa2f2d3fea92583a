import { describe, expect, it } from "vitest";
import type { EmulatorOptions } from "../../runtime/emulator/index.ts";
import { faultOf, kernel, type LaunchOptions, launch, wordsOf } from "./harness.ts";

const SHARED = ".extern .shared .align 16 .b8 smem[];\n";

/** %rd4: even lanes point into p0, odd ones into p1, 4 bytes a lane; %rd5 is the same place in p2. */
const SELECT = `
  mov.u32 %r1, %tid.x;
  shl.b32 %r3, %r1, 2;
  cvt.u64.u32 %rd3, %r3;
  mov.u32 %r2, smem;
  add.s32 %r2, %r2, %r3;
  ld.param.u64 %rd1, [p0];
  ld.param.u64 %rd2, [p1];
  ld.param.u64 %rd5, [p2];
  and.b32 %r4, %r1, 1;
  setp.eq.u32 %p1, %r4, 1;
  selp.b64 %rd4, %rd2, %rd1, %p1;
  add.s64 %rd4, %rd4, %rd3;
  add.s64 %rd5, %rd5, %rd3;
`;

const EVEN = Uint32Array.from({ length: 32 }, (_, lane) => 100 + lane);
const ODD = Uint32Array.from({ length: 32 }, (_, lane) => 2000 + lane);
const chosen = (lane: number) => (lane % 2 === 0 ? 100 : 2000) + lane;
const all = (compute: (lane: number) => number) =>
  Uint32Array.from({ length: 32 }, (_, lane) => compute(lane));

const CHECKS = ["full", "bounds"] as const satisfies EmulatorOptions["checks"][];

function run(body: string, options: LaunchOptions = {}, buffers: (Uint32Array | number)[] = [EVEN, ODD, 32]) {
  return launch(kernel(SELECT + body, 3, SHARED), buffers, { sharedBytes: 512, ...options });
}

describe.each(CHECKS)("one instruction, several allocations, checks %s", (checks) => {
  const device = { checks };

  it("loads", () => {
    const { outputs, counters } = run("ld.global.u32 %r5, [%rd4];\nst.global.u32 [%rd5], %r5;", { device });
    expect(wordsOf(outputs[2])).toEqual(all(chosen));
    // 128 bytes of each allocation in sectors of 32.
    expect(counters.globalSectorsRead).toBe(8);
    expect(counters.globalSectorsWritten).toBe(4);
  });

  it("loads to the register of the address", () => {
    const pairs = (list: Uint32Array) => Uint32Array.from({ length: 64 }, (_, i) => list[i >> 1] ?? 0);
    const body = "add.s64 %rd4, %rd4, %rd3;\nld.global.u64 %rd4, [%rd4];\nst.global.u32 [%rd5], %rd4;";
    const { outputs } = run(body, { device }, [pairs(EVEN), pairs(ODD), 32]);
    expect(wordsOf(outputs[2])).toEqual(all(chosen));
  });

  it("stores", () => {
    const { outputs, counters } = run("st.global.u32 [%rd4], %r1;", { device });
    expect(wordsOf(outputs[0])).toEqual(all((lane) => (lane % 2 === 0 ? lane : 100 + lane)));
    expect(wordsOf(outputs[1])).toEqual(all((lane) => (lane % 2 === 0 ? 2000 + lane : lane)));
    expect(counters.globalSectorsWritten).toBe(8);
  });

  it("atomics and reductions", () => {
    const body = `atom.global.add.u32 %r5, [%rd4], 7;
red.global.max.u32 [%rd4], 1000;
st.global.u32 [%rd5], %r5;`;
    const { outputs, counters } = run(body, { device });
    expect(wordsOf(outputs[2])).toEqual(all(chosen));
    expect(wordsOf(outputs[0])).toEqual(all((lane) => (lane % 2 === 0 ? 1000 : 100 + lane)));
    expect(wordsOf(outputs[1])).toEqual(all((lane) => 2000 + lane + (lane % 2 === 0 ? 0 : 7)));
    expect([counters.globalSectorsRead, counters.globalSectorsWritten]).toEqual([16, 20]);
  });

  it.each(["", ", %r6"])("sources of cp.async%s", (size) => {
    const body = `
  mov.u32 %r6, 4;
  cp.async.ca.shared.global [%r2], [%rd4], 4${size};
  cp.async.wait_all;
  ld.shared.u32 %r5, [%r2];
  st.global.u32 [%rd5], %r5;`;
    const { outputs, counters } = run(body, { device });
    expect(wordsOf(outputs[2])).toEqual(all(chosen));
    expect(counters.globalSectorsRead).toBe(8);
  });

  it("lanes of a cp.async that read nothing may point anywhere", () => {
    const body = `
  selp.b32 %r6, 0, 4, %p1;
  @%p1 mov.u64 %rd4, 0;
  cp.async.ca.shared.global [%r2], [%rd4], 4, %r6;
  cp.async.wait_all;
  ld.shared.u32 %r5, [%r2];
  st.global.u32 [%rd5], %r5;`;
    const { outputs } = run(body, { device });
    expect(wordsOf(outputs[2])).toEqual(all((lane) => (lane % 2 === 0 ? 100 + lane : 0)));
  });

  it("generic addresses in shared, local and global memory at once", () => {
    // Lanes 0, 3, …: global p0; 1, 4, …: shared; 2, 5, …: local.
    const body = `
  .local .align 4 .b8 mine[128];
  rem.u32 %r4, %r1, 3;
  cvt.u64.u32 %rd6, %r2;
  cvta.shared.u64 %rd6, %rd6;
  mov.u64 %rd7, mine;
  cvta.local.u64 %rd7, %rd7;
  add.s64 %rd7, %rd7, %rd3;
  add.s64 %rd4, %rd1, %rd3;
  setp.eq.u32 %p1, %r4, 1;
  @%p1 mov.u64 %rd4, %rd6;
  setp.eq.u32 %p2, %r4, 2;
  @%p2 mov.u64 %rd4, %rd7;
  add.s32 %r5, %r1, 50;
  st.u32 [%rd4], %r5;
  ld.u32 %r6, [%rd4];
  @!%p2 atom.add.u32 %r7, [%rd4], 1000;
  @!%p2 ld.u32 %r6, [%rd4];
  st.global.u32 [%rd5], %r6;`;
    const { outputs, counters } = run(body, { device });
    expect(wordsOf(outputs[2])).toEqual(all((lane) => lane + (lane % 3 === 2 ? 50 : 1050)));
    expect(wordsOf(outputs[0])).toEqual(all((lane) => lane + (lane % 3 === 0 ? 1050 : 100)));
    // Four accesses each to 11 lanes of global memory in 4 sectors, and to shared memory without conflicts.
    expect([counters.globalSectorsRead, counters.sharedWavefronts, counters.sharedConflicts]).toEqual([
      12, 4, 0,
    ]);
  });

  it.each([
    ["ld.global.u32 %r5, [%rd4+-4];", 0, /4 bytes at offset -4 of "p0"/],
    ["ld.global.u32 %r5, [%rd4+4];", 31, /4 bytes at offset 128 of "p1"/],
    ["st.global.u32 [%rd4+4], %r1;", 31, /offset 128 of "p1" .* out of bounds/],
    ["red.global.add.u32 [%rd4+4], 1;", 31, /offset 128 of "p1" .* out of bounds/],
    ["cp.async.ca.shared.global [%r2], [%rd4+4], 4;", 31, /offset 128 of "p1" .* out of bounds/],
    ["cp.async.ca.shared.global [%r2], [%rd4+4], 4, %r3;", 31, /(?:source size|offset 128 of "p1")/],
  ])("bounds: %s", (instruction, lane, message) => {
    const body = `min.u32 %r3, %r3, 4;\n${instruction}`;
    const error = faultOf(() => run(body, { device }));
    expect(error.code).toBe("MTA852");
    expect(error.message).toMatch(message);
    expect(error.thread).toEqual([lane, 0, 0]);
  });

  it("a pointer of one lane into nothing, and a shared one used as global", () => {
    const wild = (instruction: string) =>
      faultOf(() => run(`@%p1 mov.u64 %rd4, 64;\n${instruction}`, { device }));
    for (const instruction of ["ld.global.u32 %r5, [%rd4];", "red.global.add.u32 [%rd4], 1;"]) {
      expect(wild(instruction).message).toMatch(/thread \(1, 0, 0\): address 0x40 is in no allocation/);
    }
    const shared = "cvt.u64.u32 %rd6, %r2;\ncvta.shared.u64 %rd6, %rd6;\n@%p1 mov.u64 %rd4, %rd6;\n";
    for (const instruction of [
      "ld.global.u32 %r5, [%rd4];",
      "red.global.add.u32 [%rd4], 1;",
      "cp.async.ca.shared.global [%r2], [%rd4], 4;",
    ]) {
      const error = faultOf(() => run(shared + instruction, { device }));
      expect(error.message).toMatch(/shared address is used as a global one/);
    }
  });
});

describe("full checks of one instruction, several allocations", () => {
  it.each([
    ["ld.global.u32 %r5, [%rd4];", /read/],
    ["atom.global.add.u32 %r5, [%rd4], 1;", /updated/],
    ["cp.async.ca.shared.global [%r2], [%rd4], 4;", /read/],
  ])("memory that nobody wrote: %s", (instruction, what) => {
    const error = faultOf(() => run(instruction, {}, [EVEN, 32, 32]));
    expect(error.code).toBe("MTA854");
    expect(error.message).toMatch(/thread \(1, 0, 0\): offset 4 of "p1" is (?:read|updated)/);
    expect(error.message).toMatch(what);
    expect(() => run(instruction, { device: { checks: "bounds" } }, [EVEN, 32, 32])).not.toThrow();
  });

  it("races between blocks are found in each allocation", () => {
    // Block 0 writes p1; block 1 touches both, and only its odd lanes race.
    const race = (instruction: string) =>
      faultOf(() =>
        run(
          `mov.u32 %r9, %ctaid.x;
  setp.ne.u32 %p3, %r9, 0;
  @%p3 bra SECOND;
  @%p1 st.global.u32 [%rd4], %r1;
  ret;
SECOND:
  ${instruction}`,
          { grid: 2 },
        ),
      );
    for (const instruction of [
      "ld.global.u32 %r5, [%rd4];",
      "st.global.u32 [%rd4], %r1;",
      "red.global.add.u32 [%rd4], 1;",
      "cp.async.ca.shared.global [%r2], [%rd4], 4;",
    ]) {
      const error = race(instruction);
      expect([error.code, error.block, error.thread]).toEqual(["MTA855", [1, 0, 0], [1, 0, 0]]);
      expect(error.message).toMatch(/offset 4 of "p1", written by block number 0/);
    }
  });
});
