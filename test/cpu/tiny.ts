import { emitKernels } from "../../compiler/emit/index.ts";
import { cpuMachine, planCandidates } from "../../compiler/plan/index.ts";
import type { Artifact, AttentionInputs, CallShape, StorageType } from "../../runtime/contract/index.ts";
import type { CpuDevice } from "../../runtime/cpu/device.ts";
import { type CpuTensor, upload } from "../../runtime/cpu/index.ts";
import { pipelineOf } from "../support/pipelines.ts";

/** A small attention, with one parameter. */
export function tinyArtifact(storage: StorageType = "f32"): Artifact {
  const text = `attention tiny { heads 2 kv_heads 1 head_dim 4 dtype ${storage} mask causal output { norm } }`;
  const pipeline = pipelineOf(text, "tiny");
  const shape = { B: 1, Lq: 8, Lk: 8, R: 0 };
  const found = planCandidates(pipeline, { machine: cpuMachine(), shape }).find(({ plan }) => plan !== null);
  if (found?.plan === undefined || found.plan === null) throw new Error("no plan");
  return { name: "tiny", plans: [found.plan], sources: emitKernels(found.plan) };
}

export const TINY_WEIGHT = new Map([["output.norm.weight", Float32Array.of(1, 2, 3, 4)]]);

export function tinyInputs(
  device: CpuDevice,
  { B, Lq, Lk }: Pick<CallShape, "B" | "Lq" | "Lk">,
): AttentionInputs<CpuTensor> {
  const ramp = (shape: readonly number[]): CpuTensor => {
    const length = shape.reduce((product, size) => product * size, 1);
    return upload(
      device,
      { shape, data: Float32Array.from({ length }, (_, index) => index / length) },
      "f32",
    );
  };
  return { q: ramp([B, 2, Lq, 4]), k: ramp([B, 1, Lk, 4]), v: ramp([B, 1, Lk, 4]) };
}
