import { writeFile } from "node:fs/promises";
import { onnxAttention } from "../onnx/attention.ts";
import { outputShapeOf, preparePeerCall } from "./call.ts";
import { findPackage } from "./packages.ts";
import { asResult, type Peer, type PeerRequest, type PeerResult, patienceOf } from "./peer.ts";
import { openProcessPeer } from "./process.ts";
import { peerProgram, stageTensors } from "./staging.ts";

const NAME = "onnxruntime-node";

/** Its install script downloads GPU providers that are not used here. */
const INSTALL = "npm install --ignore-scripts onnxruntime-node@1.30";

/** The attention as an ONNX graph in onnxruntime-node, on the processor, in f32, in a process of its own. */
export function openOnnxNode(request: PeerRequest): Promise<PeerResult> {
  return asResult(NAME, () => open(request));
}

async function open(request: PeerRequest): Promise<Peer> {
  const path = findPackage(NAME, request.resolveFrom, INSTALL);
  const call = preparePeerCall(request);
  const { model, feeds } = onnxAttention(call);
  return openProcessPeer({
    name: NAME,
    program: process.execPath,
    args: [peerProgram("onnx-node.mjs")],
    remedy: INSTALL,
    outputShape: outputShapeOf(call),
    patienceMs: patienceOf(request),
    async stage(scratch) {
      const file = scratch.file("model.onnx");
      await writeFile(file, model);
      return { package: path, model: file, tensors: await stageTensors(feeds, scratch) };
    },
  });
}
