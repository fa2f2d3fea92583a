import { artifactOf, emitArtifact, emitHostFiles } from "../../../../compiler/emit/index.ts";
import { loadGradientTemplates } from "../../../../compiler/emit/template-library.ts";
import { resolve } from "../../../../compiler/ir/index.ts";
import { analyse } from "../../../../compiler/language/index.ts";
import {
  choosePlan,
  cpuMachine,
  cudaArchitecture,
  cudaLimits,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../../../compiler/plan/index.ts";
import { attentionFacts, explain } from "../../../../compiler/report/explain.ts";
import type { Artifact } from "../../../../runtime/contract/index.ts";
import {
  type Attempt,
  type CompileReply,
  type CompileRequest,
  type EmitRequest,
  SPEC_FILE,
} from "./protocol.ts";
import { CallError, problemOf } from "./rpc.ts";

/**
 * Plans one attention for WebGPU and CUDA and emits its kernels: what `mtac explain` says and what `mtac compile` writes.
 *
 * @param version mtac's, for the heads of emitted files
 * @throws CallError when the spec has errors or no such attention
 */
export function compileAttention(request: CompileRequest, version: string): CompileReply {
  const start = performance.now();
  const { text, attention: name, length, architecture, schedule } = request;
  const { spec } = analyse(text, SPEC_FILE);
  const attention = spec?.attentions.find((each) => each.name === name);
  const known = cudaArchitecture(architecture);
  if (spec === null || attention === undefined || known === null)
    throw new CallError({ code: null, message: `there is no attention ${name} to compile`, remedy: null });
  const pipeline = resolve(attention, SPEC_FILE);
  const facts = attentionFacts(spec.stacks, pipeline, { batch: 1, length });
  const chosen = schedule === null ? {} : { schedule };
  const emitted = { shape: facts.shape, ...chosen };
  return {
    pipeline,
    webgpu: explain(facts, { target: "webgpu", limits: WEBGPU_COMMON_LIMITS, ...chosen }),
    cuda: explain(facts, { target: "cuda", limits: cudaLimits(known), ...chosen }),
    wgsl: attempt(() => emitArtifact(pipeline, emitted)),
    cudaFiles: attempt(() => {
      const architectures = [architecture];
      const artifact = emitArtifact(pipeline, { target: "cuda", ...emitted, architectures });
      const files = emitHostFiles(pipeline, artifact, architectures, { version, spec: SPEC_FILE });
      return { plans: artifact.plans, files };
    }),
    milliseconds: performance.now() - start,
  };
}

/**
 * An artifact with one plan, made for one device, and one for gradients where they are asked for. Schedules are GPUs' forward passes':
 * the processor has one.
 */
export async function emitForDevice(request: EmitRequest): Promise<Artifact> {
  const { pipeline, device, shape, schedule, gradients } = request;
  const machine = device.kind === "wasm" ? cpuMachine(device.processor) : webgpuMachine(device.limits);
  const forced = schedule === null || device.kind === "wasm" ? {} : { schedule };
  const plan = choosePlan(pipeline, { machine, shape, ...forced });
  if (!gradients) return artifactOf(pipeline, [plan]);
  await loadGradientTemplates();
  return artifactOf(pipeline, [plan], [choosePlan(pipeline, { machine, shape, direction: "backward" })]);
}

function attempt<T>(work: () => T): Attempt<T> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    return { ok: false, problem: problemOf(error) };
  }
}
