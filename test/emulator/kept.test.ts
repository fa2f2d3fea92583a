import { describe, expect, it } from "vitest";
import { EmulatedDevice, type EmulatedKernel } from "../../runtime/emulator/index.ts";
import { GlobalMemory } from "../../runtime/emulator/machine/global-memory.ts";
import { loadModule } from "../../runtime/emulator/module.ts";
import { TranslatedModules } from "../../runtime/emulator/translated-modules.ts";
import { kernel } from "./harness.ts";

/** Adds `addend` to a variable of the module and writes the sum. */
const counting = (addend: number): string =>
  kernel(
    `  ld.param.u64 %rd1, [p0];
  mov.u64 %rd2, total;
  ld.global.b32 %r1, [%rd2];
  add.s32 %r1, %r1, ${addend};
  st.global.b32 [%rd2], %r1;
  st.global.b32 [%rd1], %r1;`,
    1,
    ".visible .global .align 4 .u32 total = 5;\n",
  );

function entryOf(device: EmulatedDevice, text: string): EmulatedKernel {
  const entry = device.load(text, "test").kernels.get("k");
  if (entry === undefined) throw new Error("the test's kernel is missing");
  return entry;
}

describe("modules that a device keeps ready", () => {
  it.each([0, 500_000])(
    "run the same, and keep their variables, where %i instructions are kept",
    (keptInstructions) => {
      const device = new EmulatedDevice({ keptInstructions });
      const entries = [entryOf(device, counting(1)), entryOf(device, counting(10))];
      const { address } = device.allocate(4);
      const parameters = new Uint8Array(new BigUint64Array([address]).buffer);
      const sums = [0, 1, 0, 0, 1].map((at) => {
        const entry = entries[at];
        if (entry === undefined) throw new Error("there are two");
        device.launch(entry, { grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0, parameters });
        return new DataView(device.read(address, 4).buffer).getUint32(0, true);
      });
      expect(sums).toEqual([6, 15, 7, 8, 25]);
    },
  );

  it("are the ones that were run last", () => {
    const memory = new GlobalMemory();
    const loaded = [1, 2, 3].map((addend) => loadModule(counting(addend), "test", memory, true));
    const each = loaded[0]?.kernels[0]?.compiled.parsed.instructions.length ?? 0;
    const modules = new TranslatedModules(2 * each);
    for (const { source, kernels } of loaded.slice(0, 2)) modules.add(source, kernels);
    const [first, second, third] = loaded.map(({ kernels: [only] }) => only);
    if (first === undefined || second === undefined || third === undefined)
      throw new Error("there are three");
    expect(modules.find(first.kernel)).toBe(first);
    modules.add(loaded[2]?.source ?? { ptx: new Uint8Array(), globals: new Map() }, [third]);
    expect(modules.find(first.kernel)).toBe(first);
    expect(modules.find(third.kernel)).toBe(third);
    expect(modules.find(second.kernel)).not.toBe(second);
    expect(modules.find(second.kernel)?.kernel).toEqual(second.kernel);
  });
});
