import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  DEFAULTS,
  MOST_CHARACTERS,
  readSettings,
  type Settings,
} from "../../examples/playground/src/state/settings.ts";
import { decodeFragment, encodeSettings, LinkError } from "../../examples/playground/src/state/share.ts";
import { Random } from "../support/random.ts";

const settings = (spec: string): Settings => ({ ...DEFAULTS, spec });

describe("links", () => {
  test("bring settings back, whatever the spec holds", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 2000 }), async (spec) => {
        expect(await decodeFragment(await encodeSettings(settings(spec)))).toEqual(settings(spec));
      }),
      { numRuns: 50 },
    );
  });

  test("are made of characters that no program changes", async () => {
    expect(await encodeSettings(settings("attention a { heads 1  head_dim 8 }"))).toMatch(/^1\.[\w-]+$/);
  });

  test("that were changed give a LinkError, and nothing else", async () => {
    const sound = await encodeSettings(settings("attention a { heads 1  head_dim 8 } // π"));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(sound.length - 1),
        fc.string({ minLength: 1, maxLength: 3 }),
        fc.boolean(),
        async (at, text, cut) => {
          const changed = cut ? sound.slice(0, at) : sound.slice(0, at) + text + sound.slice(at);
          const outcome = await decodeFragment(changed).catch((error: unknown) => error);
          // A change may go unnoticed by deflate; what comes out is checked all the same.
          if (!(outcome instanceof LinkError)) expect(readSettings(outcome)).toEqual(outcome);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("are not made of specs that are too long for them", async () => {
    const random = new Random(1);
    const noise = Array.from({ length: 40_000 }, () => random.integer(33, 126)).map((code) =>
      String.fromCharCode(code),
    );
    const outcome = await encodeSettings(settings(noise.join(""))).catch((error: unknown) => error);
    expect(outcome instanceof LinkError).toBe(true);
  });

  test("that unpack to far more than a spec are refused", async () => {
    const stream = new Blob(["a".repeat(5_000_000)])
      .stream()
      .pipeThrough(new CompressionStream("deflate-raw"));
    const bytes = Buffer.from(await new Response(stream).arrayBuffer());
    await expect(decodeFragment(`1.${bytes.toString("base64url")}`)).rejects.toThrow("more than any spec");
  });
});

describe("settings from a link", () => {
  test("without a spec are none", () => {
    for (const value of [null, 5, "text", [], {}, { spec: 5 }, { spec: "x".repeat(MOST_CHARACTERS + 1) }])
      expect(readSettings(value)).toBeNull();
  });

  test("are cut to their ranges, and what makes no sense is left out", () => {
    const read = readSettings({
      spec: "a",
      length: 1e12,
      architecture: "<img>",
      schedule: "quickly",
      tab: "admin",
      attention: 7,
      run: { batch: -3, rows: Number.NaN, keys: "9", seed: 1.4 },
      maps: { length: 1e9, head: -1, parameters: "mine" },
    });
    expect(read).toEqual({
      ...DEFAULTS,
      spec: "a",
      length: 1_048_576,
      run: { ...DEFAULTS.run, batch: 1, seed: 1 },
      maps: { ...DEFAULTS.maps, length: 128 },
    });
  });
});
