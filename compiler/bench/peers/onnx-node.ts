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
  return asResult(NAME, () => openOnnxProcess(request, { name: NAME, install: INSTALL, provider: "cpu" }));
}

/** A package of ONNX Runtime that computes on the processor, by machine code or by WebAssembly. */
export interface OnnxPackage {
  readonly name: string;
  readonly install: string;
  readonly provider: "cpu" | "wasm";
}

/** @throws PeerError MTA940 */
export async function openOnnxProcess(
  request: PeerRequest,
  { name, install, provider }: OnnxPackage,
): Promise<Peer> {
  const path = findPackage(name, request.resolveFrom, install);
  const call = preparePeerCall(request);
  const { model, feeds } = onnxAttention(call);
  return openProcessPeer({
    name,
    program: process.execPath,
    args: [peerProgram("onnx-node.mjs")],
    remedy: install,
    outputShape: outputShapeOf(call),
    patienceMs: patienceOf(request),
    async stage(scratch) {
      const file = scratch.file("model.onnx");
      await writeFile(file, model);
      const threads = request.processor?.threads ?? null;
      return { package: path, model: file, provider, threads, tensors: await stageTensors(feeds, scratch) };
    },
  });
}
