import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  openOnnxNode,
  openOnnxWeb,
  openPeers,
  openPyTorch,
  PEER_NAMES,
  type Peer,
  type PeerRequest,
  type PeerResult,
} from "../../compiler/bench/peers/index.ts";
import { relativeError } from "../support/errors.ts";
import { CASES, type PeerCase } from "./cases.ts";

// Needs the packages and a Python with PyTorch: what is missing fails. MTAC_PEERS is the folder whose node_modules has the
// packages, MTAC_PYTHON the Python.
const { MTAC_PEERS = fileURLToPath(new URL("../../.cache/peers", import.meta.url)) } = process.env;

/** What maps in f16 or bf16 cost: far more than mtac's tolerance, as its maps are f32. */
const HALF_BOUND = 5e-2;

function requestOf({ pipeline, shape, inputs, parameters }: PeerCase): PeerRequest {
  return { pipeline, shape, inputs, parameters, resolveFrom: MTAC_PEERS, patienceMs: 100_000 };
}

function available(result: PeerResult): Peer {
  if (result.available) return result.peer;
  throw new Error(`${result.name} is missing: ${result.reason}\n${result.remedy}`);
}

async function withPeer(result: PeerResult, work: (peer: Peer) => Promise<void>): Promise<void> {
  const peer = available(result);
  try {
    await work(peer);
  } finally {
    await peer.close();
  }
}

const OPENERS = [
  { name: "onnxruntime-node", open: openOnnxNode, onnx: true },
  { name: "onnxruntime-web", open: openOnnxWeb, onnx: true },
  { name: "pytorch", open: openPyTorch, onnx: false },
];

describe.each(OPENERS)("$name", ({ name, open, onnx }) => {
  test.each(CASES)("$name", async (each) => {
    const result = await open(requestOf(each));
    if (onnx && each.onnxDeclines !== null) {
      expect(result).toMatchObject({
        available: false,
        name,
        reason: expect.stringMatching(each.onnxDeclines),
      });
      return;
    }
    await withPeer(result, async (peer) => {
      const o = await peer.run();
      // PyTorch on a GPU computes in the storage type.
      const bound = peer.device.endsWith("float32") ? each.bound : HALF_BOUND;
      expect(relativeError(o, each.expected)).toBeLessThanOrEqual(bound);
      // Nothing of the first run is left behind in the second.
      expect(await peer.run()).toEqual(o);
    });
  });

  test("times each run, says what it is and where it computes", async () => {
    const [first] = CASES;
    if (first === undefined) throw new Error("there are no cases");
    await withPeer(await open(requestOf(first)), async (peer) => {
      const times = await peer.time(3);
      expect(times).toHaveLength(3);
      for (const time of times) expect(time).toBeGreaterThan(0);
      expect(peer.name).toBe(name);
      expect(peer.version).toMatch(/^\d+\.\d+\.\d+/);
      expect(peer.device).toMatch(/computes in float32$/);
      // It still computes after having been timed.
      expect(relativeError(await peer.run(), first.expected)).toBeLessThanOrEqual(first.bound);
    });
  });
});

test("all compute on the processor, in as many threads as they are told", async () => {
  const [first] = CASES;
  if (first === undefined) throw new Error("there are no cases");
  const request = { ...requestOf(first), processor: { threads: 1 } };
  const peers = (await openPeers(request, PEER_NAMES)).map(available);
  try {
    for (const peer of peers) {
      expect(peer.device).toMatch(/^CPU.*, 1 thread, computes in float32$/);
      expect(relativeError(await peer.run(), first.expected)).toBeLessThanOrEqual(first.bound);
    }
    expect(peers.map(({ device }) => /WebAssembly|BLAS \w+/.exec(device)?.[0])).toEqual([
      "WebAssembly",
      undefined,
      expect.stringMatching(/^BLAS/),
    ]);
  } finally {
    for (const peer of peers) await peer.close();
  }
});

test("all peers side by side", async () => {
  const each = CASES.find(({ name }) => name === "mta_toy");
  if (each === undefined) throw new Error("there is no case mta_toy");
  const peers = (await openPeers(requestOf(each), PEER_NAMES)).map(available);
  try {
    expect(peers.map(({ name }) => name)).toEqual(PEER_NAMES);
    for (const peer of peers) {
      expect(relativeError(await peer.run(), each.expected)).toBeLessThanOrEqual(each.bound);
      expect(await peer.time(1)).toHaveLength(1);
    }
  } finally {
    for (const peer of peers) await peer.close();
  }
});
