import { writeFile } from "node:fs/promises";
import { onnxAttention, onnxIllegal } from "../onnx/attention.ts";
import { preparePeerCall } from "./call.ts";
import { findPackage } from "./packages.ts";
import { asResult, inexpressible, type Peer, type PeerRequest, type PeerResult, patienceOf } from "./peer.ts";
import { PeerProcess, processPeer } from "./process.ts";
import { openScratch, peerProgram, stageTensors } from "./staging.ts";

const NAME = "onnxruntime-node";

/** The attention as an ONNX graph in onnxruntime-node, on the processor, in f32, in a process of its own. */
export function openOnnxNode(request: PeerRequest): Promise<PeerResult> {
  return asResult(NAME, () => open(request));
}

async function open(request: PeerRequest): Promise<Peer> {
  const install = "npm install --ignore-scripts onnxruntime-node@1.30";
  const path = findPackage(NAME, request.resolveFrom, install);
  const call = preparePeerCall(request);
  const illegal = onnxIllegal(call);
  if (illegal !== null) throw inexpressible(illegal);
  const scratch = await openScratch();
  const child = new PeerProcess(NAME, process.execPath, [peerProgram("onnx-node.mjs")]);
  try {
    const { model, feeds } = onnxAttention(call);
    await writeFile(scratch.file("model.onnx"), model);
    const patienceMs = patienceOf(request);
    const tensors = await stageTensors(feeds, scratch);
    const opened = await child.ask(
      { command: "open", package: path, model: scratch.file("model.onnx"), tensors },
      patienceMs,
    );
    const outputShape = [call.B, call.pipeline.heads, call.Lq, call.pipeline.valueDim];
    return processPeer({ name: NAME, process: child, scratch, opened, outputShape, patienceMs });
  } catch (error) {
    await child.close();
    await scratch.remove();
    throw error;
  }
}
