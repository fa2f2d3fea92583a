import { emitCudaKernels } from "../../compiler/emit/cuda/index.ts";
import type { AttentionInputs, Float64Tensor, Plan } from "../../runtime/contract/index.ts";
import {
  type CudaDevice,
  type CudaStatistics,
  type CudaTensor,
  createCudaLauncher,
  type DeviceStorage,
  download,
  release,
  upload,
} from "../../runtime/cuda/index.ts";

export interface CudaResult {
  readonly o: Float32Array;
  readonly lse: Float32Array | null;
  readonly statistics: CudaStatistics;
}

/** Computes one call with one plan on a CUDA device, which may be emulated; parameters are rounded to f32. */
export async function runCudaPlan(
  device: CudaDevice,
  plan: Plan,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
): Promise<CudaResult> {
  const { storage } = plan.pipeline;
  const placed: CudaTensor[] = [];
  const put = ({ shape, data }: Float64Tensor, as: DeviceStorage): CudaTensor => {
    const host = as === "i32" ? Int32Array.from(data) : Float32Array.from(data);
    const tensor = upload(device, { shape, data: host }, as);
    placed.push(tensor);
    return tensor;
  };
  const { q, k, v, qHistory, documents, lengths, positions, bias, layer } = inputs;
  const values = new Map(
    [...parameters].map(([name, { shape, data }]) => [name, { shape, data: Float32Array.from(data) }]),
  );
  const artifact = { name: plan.pipeline.name, plans: [plan], sources: emitCudaKernels(plan) };
  const launcher = await createCudaLauncher(device, artifact, values);
  try {
    const { o, lse, statistics } = await launcher.forward({
      q: put(q, storage),
      k: put(k, storage),
      v: put(v, storage),
      ...(qHistory === undefined ? {} : { qHistory: put(qHistory, storage) }),
      ...(documents === undefined ? {} : { documents: put(documents, "i32") }),
      ...(lengths === undefined ? {} : { lengths: put(lengths, "i32") }),
      ...(positions === undefined ? {} : { positions: put(positions, "i32") }),
      ...(bias === undefined ? {} : { bias: put(bias, "f32") }),
      ...(layer === undefined ? {} : { layer }),
    });
    placed.push(o, ...(lse === null ? [] : [lse]));
    return {
      o: Float32Array.from(await download(device, o)),
      lse: lse === null ? null : Float32Array.from(await download(device, lse)),
      statistics,
    };
  } finally {
    launcher.destroy();
    for (const tensor of placed) release(device, tensor);
  }
}
