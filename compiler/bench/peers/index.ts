import { openOnnxNode } from "./onnx-node.ts";
import { openOnnxWeb } from "./onnx-web.ts";
import { type PeerRequest, type PeerResult, reasonOf } from "./peer.ts";
import { openPyTorch } from "./pytorch.ts";

export { openOnnxNode } from "./onnx-node.ts";
export { openOnnxWeb } from "./onnx-web.ts";
export { type Peer, PeerError, type PeerRequest, type PeerResult } from "./peer.ts";
export { openPyTorch } from "./pytorch.ts";

const OPENERS = {
  "onnxruntime-web": openOnnxWeb,
  "onnxruntime-node": openOnnxNode,
  pytorch: openPyTorch,
} as const satisfies Record<string, (request: PeerRequest) => Promise<PeerResult>>;

export type PeerName = keyof typeof OPENERS;

/** In the order in which a benchmark lists them. */
export const PEER_NAMES: readonly PeerName[] = ["onnxruntime-web", "onnxruntime-node", "pytorch"];

export function isPeerName(name: string): name is PeerName {
  return Object.hasOwn(OPENERS, name);
}

/**
 * Opens peers one after the other, so that none disturbs another one's start, and lets each compute the call once: one that
 * opens and then fails is not available either. Never throws; close what is available.
 */
export async function openPeers(request: PeerRequest, names: readonly PeerName[]): Promise<PeerResult[]> {
  const results: PeerResult[] = [];
  for (const name of names) results.push(await firstRun(await OPENERS[name](request)));
  return results;
}

async function firstRun(result: PeerResult): Promise<PeerResult> {
  if (!result.available) return result;
  const { peer } = result;
  try {
    await peer.run();
    return result;
  } catch (error) {
    await peer.close();
    return reasonOf(peer.name, error);
  }
}
