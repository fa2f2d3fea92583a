import { readFileSync, renameSync } from "node:fs";
import path from "node:path";
import { expect, test, vi } from "vitest";
import { openStore } from "../../compiler/tune/store.ts";
import { temporaryFolder } from "./processes.ts";
import { measured } from "./records.ts";

const folder = temporaryFolder();
const file = path.join(folder, "tuning.jsonl");

/** What happens between a write and its check. */
const meanwhile = vi.hoisted((): { act: (() => void) | null } => ({ act: null }));

vi.mock("node:fs", async (importOriginal) => {
  const original = await importOriginal<typeof import("node:fs")>();
  return {
    ...original,
    fsyncSync: (descriptor: number) => {
      original.fsyncSync(descriptor);
      meanwhile.act?.();
    },
  };
});

test("a store that is moved away under the writer's hands gets the record all the same", () => {
  openStore(file).append(measured({ sweep: "before" }));
  meanwhile.act = () => {
    meanwhile.act = null;
    renameSync(file, `${file}.old`);
  };
  openStore(file).append(measured({ sweep: "meanwhile" }));
  expect(openStore(file).read().records).toEqual([measured({ sweep: "meanwhile" })]);
  expect(readFileSync(`${file}.old`, "utf8").split("\n")).toHaveLength(3);
});

test("one that is moved away again and again is an error", () => {
  let times = 0;
  meanwhile.act = () => renameSync(file, `${file}.${times++}`);
  try {
    expect(() => openStore(file).append(measured())).toThrow(
      expect.objectContaining({ code: "MTA871", message: expect.stringContaining("keeps replacing it") }),
    );
  } finally {
    meanwhile.act = null;
  }
});
