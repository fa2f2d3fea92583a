import { type Float64Tensor, hasMask, type Pipeline } from "../../../runtime/contract/index.ts";
import { f32Tensor, outputShapeOf, type PeerTensor, type PreparedCall, preparePeerCall } from "./call.ts";
import { asResult, type Peer, type PeerRequest, type PeerResult, patienceOf } from "./peer.ts";
import { openProcessPeer } from "./process.ts";
import { peerProgram, stageTensors } from "./staging.ts";

const NAME = "pytorch";

const REMEDY =
  "install PyTorch for that Python (pip install torch, or apt-get install python3-torch), or name another one in MTAC_PYTHON";

/**
 * The attention as a plain implementation of its mathematics in PyTorch, in a Python process: on a GPU in the spec's storage
 * type, as models compute, else on the processor in f32.
 */
export function openPyTorch(request: PeerRequest): Promise<PeerResult> {
  return asResult(NAME, () => open(request));
}

async function open(request: PeerRequest): Promise<Peer> {
  const { MTAC_PYTHON } = process.env;
  const call = preparePeerCall(request);
  const { Lq, Lk, R, depthFactor, pipeline } = call;
  return openProcessPeer({
    name: NAME,
    program: request.python ?? (MTAC_PYTHON || "python3"),
    args: ["-u", peerProgram("attention.py")],
    remedy: REMEDY,
    outputShape: outputShapeOf(call),
    patienceMs: patienceOf(request),
    async stage(scratch) {
      const tensors = await stageTensors(tensorsOf(call, request), scratch);
      const threads = request.processor?.threads ?? null;
      return { pipeline, call: { Lq, Lk, R, depthFactor }, threads, tensors };
    },
  });
}

/** Inputs and parameters as the caller gave them: the program sees by itself what is visible. */
function tensorsOf(call: PreparedCall, { inputs, parameters }: PeerRequest): PeerTensor[] {
  const { pipeline, q, k, v } = call;
  const integers = (name: "positions" | "lengths" | "documents", wanted: boolean): PeerTensor[] => {
    const tensor = inputs[name];
    if (!wanted || tensor === undefined) return [];
    return [{ name, type: "int32", dims: tensor.shape, data: Int32Array.from(tensor.data) }];
  };
  const bias = hasMask(pipeline, "bias") ? inputs.bias : undefined;
  return [
    q,
    k,
    v,
    ...integers("positions", true),
    ...integers("lengths", hasMask(pipeline, "lengths")),
    ...integers("documents", hasMask(pipeline, "documents")),
    ...(bias === undefined ? [] : [f32Tensor("bias", bias.shape, bias.data)]),
    ...parameterTensors(pipeline, parameters),
  ];
}

function parameterTensors(pipeline: Pipeline, parameters: ReadonlyMap<string, Float64Tensor>): PeerTensor[] {
  return pipeline.parameters.flatMap(({ name }) => {
    const tensor = parameters.get(name);
    return tensor === undefined ? [] : [f32Tensor(name, tensor.shape, tensor.data)];
  });
}
