import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { withFolder } from "../support/folder.ts";
import { packageOf, python, writeFiles } from "./python.ts";

// Several processes against one, with gloo.

const PROGRAM = fileURLToPath(new URL("parallel.py", import.meta.url));

/** A port that nobody uses. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

async function together(work: string, processes: number, spec: string, layer: string): Promise<string> {
  let said = "";
  await withFolder(async (folder) => {
    writeFiles(folder, packageOf(spec, "spread.mta"));
    const args = [work, processes, folder, "spread", layer, await freePort()].map(String);
    said = await python([PROGRAM, ...args], folder);
  });
  return said;
}

/** The paper's layer, over packed documents. */
const LAYER = readFileSync(new URL("../../examples/mta_830m.mta", import.meta.url), "utf8")
  .replace("causal", "causal documents")
  .replace("head_dim  96", "head_dim  24");

test.each([2, 4])("rows over %s processes give what one gives", async (processes) => {
  expect(await together("by_rows", processes, LAYER, "Mta830m")).toContain("equal");
});

test.each([2, 4])("rows over %s processes drop the weights that one drops", async (processes) => {
  const spec =
    "attention a { heads 2 head_dim 16 mask causal scores { conv 3x5 } weights { dropout 0.3 conv 2x3 } }";
  expect(await together("by_rows", processes, spec, "A")).toContain("equal");
});

/** Heads that are joined by fours, of the paper's layer; and shared key heads, kernels and biases. */
const HEADS = {
  "the paper's layer": [LAYER.replaceAll(/(?<=conv 6x11 +)mix 16/g, "mix 4"), "Mta830m"],
  "grouped keys": [
    "attention a { heads 8 kv_heads 4 head_dim 16 value_dim 12 mask causal scores { conv 3x5 shared across 2 bias conv 2x3 } output { norm gate channel } }",
    "A",
  ],
  dropout: [
    "attention a { heads 8 head_dim 16 mask causal scores { conv 3x5 } weights { dropout 0.3 mix 2 dropout 0.2 } }",
    "A",
  ],
} as const;

describe.each([2, 4])("heads over %s processes", (processes) => {
  test.each(Object.entries(HEADS))("give what one gives: %s", async (_, [spec, layer]) => {
    expect(await together("by_heads", processes, spec, layer)).toContain("equal");
  });
});

/** Batch entries with a mask's documents, and with dropout, which counts them. */
const ENTRIES = {
  documents:
    "attention a { heads 4 head_dim 16 mask causal documents scores { conv 3x5 mix 4 } output { norm gate } }",
  dropout: "attention a { heads 2 head_dim 16 mask causal scores { conv 3x5 } weights { dropout 0.3 } }",
} as const;

test.each(Object.entries(ENTRIES))("DTensors give what one process gives: %s", async (_, spec) => {
  expect(await together("by_entries", 2, spec, "A")).toContain("equal");
});

test("heads over 2 processes and FSDP2 over 2 pairs give what one process gives", async () => {
  const spec =
    "attention a { heads 4 head_dim 16 mask causal documents scores { conv 3x5 mix 2 } output { norm gate } }";
  expect(await together("by_heads_sharded", 4, spec, "A")).toContain("equal");
});

test("heads that are mixed stay together", async () => {
  await expect(together("by_heads", 2, LAYER, "Mta830m")).rejects.toThrow("MTA685");
});

test("FSDP2 over 2 processes gives what one gives", async () => {
  const spec =
    "attention a { heads 4 head_dim 16 mask causal scores { conv 3x5 mix 4 } output { norm gate } }";
  expect(await together("sharded", 2, spec, "A")).toContain("equal");
});

test("where a process dies the others get an error, and none hangs", async () => {
  expect(await together("dying", 2, LAYER, "Mta830m")).toContain("equal");
});

test("a convolution that reads later rows is refused", async () => {
  const spec = "attention a { heads 2 head_dim 16 mask none scores { conv 3x5 pad_query both } }";
  await expect(together("by_rows", 2, spec, "A")).rejects.toThrow("MTA673");
});
