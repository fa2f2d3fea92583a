import { checkLayout, checkTensorKind } from "../contract/arguments.ts";
import { callValues } from "../contract/call.ts";
import { MtacError } from "../contract/errors.ts";
import { libraryParts } from "../contract/library-parts.ts";
import { attentionFields, wordsOf } from "../contract/library-words.ts";
import type { Pooled } from "../contract/pool.ts";
import { type AttentionInputs, elementCount, type HostTensor } from "../contract/tensor.ts";
import { INPUT_CODES } from "../contract/validate.ts";
import type { CpuDevice } from "./device.ts";
import { CpuError } from "./errors.ts";
import { CALL_WORDS, kernelOf, writeWords } from "./execution.ts";
import type { CpuLauncher } from "./launcher.ts";
import type { CpuMemory } from "./library.ts";
import type { CpuCall } from "./target.ts";
import {
  allocateUninitialised,
  CPU_TENSORS,
  type CpuTensor,
  checkPlace,
  elementAddress,
  type OwnedCpuTensor,
} from "./tensors.ts";

/** Gradients of Σ o·dO, all in f32; tensors are the caller's to destroy. */
export interface CpuGradients {
  /** [B, H, Lq, D] */
  readonly dQ: OwnedCpuTensor;
  /** [B, H, R, D]; null where the call has no history. */
  readonly dQHistory: OwnedCpuTensor | null;
  /** [B, Hkv, Lk, D] */
  readonly dK: OwnedCpuTensor;
  /** [B, Hkv, Lk, Dv] */
  readonly dV: OwnedCpuTensor;
  /** By name, each in its parameter's shape. */
  readonly parameters: ReadonlyMap<string, HostTensor>;
  /** Time from begin to end, compilation left out. */
  readonly wallMs: number;
  /** Bytes of memory that were needed beside inputs and gradients; they grow with Lk, never with Lq · Lk. */
  readonly workspaceBytes: number;
}

/** Words of the gradients: `templates/c/backward.c`. */
const GRADIENT_WORDS = 10;

/** Strips are cut lower, down to this many rows, where the maps of higher ones would take more than so many bytes. */
const LEAST_STRIP = 16;
const MOST_WORKSPACE = 48 * 2 ** 20;

/**
 * Computes the gradients of Σ o·dO of one call of a launcher, in f32: the forward pass is computed again, strip by strip from the
 * last row to the first, and no map of Lq × Lk is kept. The same bits for every number of threads. Masked entries pass nothing.
 *
 * @param inputs As for `forward`.
 * @param dO The gradient of o: [B, H, Lq, Dv] in the pipeline's storage type, the last stride 1.
 * @throws CpuError MTA879 (WebAssembly has no backward pass), MTA882 … MTA884 (it cannot be compiled or loaded), MTA887, MTA888, MTA891 … MTA894;
 *   MtacError MTA601 … MTA608, MTA614 … MTA616.
 */
export async function computeGradients(
  launcher: CpuLauncher,
  inputs: AttentionInputs<CpuTensor>,
  dO: CpuTensor,
): Promise<CpuGradients> {
  const call = launcher.checkedCall(inputs);
  const { device } = launcher;
  checkOutputGradient(device, call, dO);
  return device.during(() => run(device, call, dO));
}

function checkOutputGradient(device: CpuDevice, { plan, size }: CpuCall, dO: CpuTensor): void {
  const { heads, valueDim, storage } = plan.pipeline;
  checkTensorKind("d_o", dO, CPU_TENSORS);
  checkLayout(dO.shape, dO.storage, dO.strides);
  const expected = [size.B, heads, size.Lq, valueDim];
  if (dO.shape.join() !== expected.join())
    throw new MtacError(
      INPUT_CODES.inputShape,
      "input",
      `the input d_o has shape [${dO.shape.join(", ")}]; expected [B, H, Lq, Dv] = [${expected.join(", ")}]`,
      { remedy: "give d_o the shape of the output o" },
    );
  if (dO.storage !== storage)
    throw new CpuError("MTA891", `the input d_o is stored as ${dO.storage}, the attention as ${storage}`, {
      remedy: `upload d_o as ${storage}`,
    });
  if (valueDim > 1 && dO.strides[3] !== 1)
    throw new CpuError("MTA892", `the last axis of d_o has stride ${dO.strides[3]}: it must be 1`, {
      remedy: "make d_o contiguous along Dv",
    });
  checkPlace(device, "d_o", dO);
}

async function run(device: CpuDevice, call: CpuCall, dO: CpuTensor): Promise<CpuGradients> {
  const { library } = device;
  if (library.gradients === null)
    throw new CpuError("MTA879", `${library.description} has no backward pass`, {
      remedy: 'install a C compiler and koffi; `openCpu({ library: "native" })` says what is missing',
    });
  const backward = await library.gradients();
  if (call.compile !== null) await call.compile();
  const parameters = call.parameters.acquire();
  const held: Pooled<CpuMemory>[] = [];
  const hold = (bytes: number, label: string): CpuMemory => {
    const borrowed = device.pool.acquire(bytes, 0, label);
    held.push(borrowed);
    return borrowed.buffer;
  };
  const made: OwnedCpuTensor[] = [];
  try {
    const tensors = allocateGradients(device, call, made);
    const places = new Map([...call.tensors].map(([name, tensor]) => [name, elementAddress(tensor)]));
    places.set("parameters", BigInt(parameters.buffer.address));
    const values = callValues(call.plan, call.size, call.inputs, dO);
    const words = hold(CALL_WORDS * 8, "call");
    const cutInto = (strip: number): void => {
      const { plan } = call;
      const attention = attentionFields({ ...plan, knobs: { ...plan.knobs, strip } });
      const kernel = { ...kernelOf(call), attention: device.constant(wordsOf(attention), "attention") };
      writeWords(library.bytesOf(words), call, kernel, places, values);
    };
    const { parameterWords } = call.plan;
    const parameterGradients = hold(Math.max(parameterWords, 1) * 4, "parameters' gradients");
    const gradients = hold(GRADIENT_WORDS * 8, "gradients");
    const bytes = library.bytesOf(gradients);
    const { dQ, dQHistory, dK, dV } = tensors;
    new BigInt64Array(bytes.buffer, bytes.byteOffset, GRADIENT_WORDS).set([
      elementAddress(dO),
      ...["b", "h", "l"].map((axis) => BigInt(strideOf(values, axis))),
      elementAddress(dQ),
      dQHistory === null ? 0n : elementAddress(dQHistory),
      elementAddress(dK),
      elementAddress(dV),
      BigInt(parameterGradients.address),
      BigInt(parameterWords),
    ]);
    const parts = libraryParts(call.plan, call.size, library.threads);
    let strip = Number(call.plan.knobs["strip"]);
    cutInto(strip);
    let workspaceBytes = backward.workspaceBytes(words, gradients, parts);
    while (workspaceBytes > MOST_WORKSPACE && strip > LEAST_STRIP) {
      strip = Math.max(LEAST_STRIP, Math.floor(strip / 8) * 4);
      cutInto(strip);
      workspaceBytes = backward.workspaceBytes(words, gradients, parts);
    }
    const workspace = hold(workspaceBytes, "workspace");
    const began = performance.now();
    await backward.compute(words, gradients, workspace, parts);
    const wallMs = performance.now() - began;
    return {
      ...tensors,
      parameters: readParameters(call, library.bytesOf(parameterGradients)),
      wallMs,
      workspaceBytes,
    };
  } catch (error) {
    for (const tensor of made) tensor.destroy();
    throw error;
  } finally {
    for (const borrowed of held) device.pool.release(borrowed);
    call.parameters.release(parameters);
  }
}

function strideOf(values: Readonly<Record<string, number | undefined>>, axis: string): number {
  return values[`o_stride_${axis}`] ?? 0;
}

function allocateGradients(
  device: CpuDevice,
  { plan, size, inputs }: CpuCall,
  made: OwnedCpuTensor[],
): Pick<CpuGradients, "dQ" | "dQHistory" | "dK" | "dV"> {
  const { heads, kvHeads, headDim, valueDim } = plan.pipeline;
  const { B, Lq, Lk, R } = size;
  const make = (shape: readonly number[], label: string): OwnedCpuTensor => {
    const tensor = allocateUninitialised(device, shape, "f32", { label });
    made.push(tensor);
    return tensor;
  };
  return {
    dQ: make([B, heads, Lq, headDim], "d_q"),
    dQHistory: inputs.qHistory === undefined ? null : make([B, heads, R, headDim], "d_q_history"),
    dK: make([B, kvHeads, Lk, headDim], "d_k"),
    dV: make([B, kvHeads, Lk, valueDim], "d_v"),
  };
}

/** The parameters' gradients, copied. */
function readParameters({ plan }: CpuCall, bytes: Uint8Array): ReadonlyMap<string, HostTensor> {
  const floats = new Float32Array(bytes.buffer, bytes.byteOffset, plan.parameterWords);
  const offsets = new Map(plan.parameters.map(({ name, offset }) => [name, offset]));
  return new Map(
    plan.pipeline.parameters.map(({ name, shape }) => {
      const offset = offsets.get(name) ?? 0;
      return [name, { shape, data: floats.slice(offset, offset + elementCount(shape)) }];
    }),
  );
}
