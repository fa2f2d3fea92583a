import type { LaunchValues } from "../contract/launch.ts";
import { libraryParts } from "../contract/library-parts.ts";
import type { StridedName } from "../contract/resources.ts";
import type { Backend, CallOutcome } from "../launcher/backend.ts";
import { CallHoldings } from "../launcher/holdings.ts";
import type { CpuDevice } from "./device.ts";
import type { Cpu, CpuCall, CpuKernel } from "./target.ts";
import { type CpuTensor, elementAddress } from "./tensors.ts";

/** Words of a call, and of what a backward pass takes and gives: `templates/c/entry.h`. */
const CALL_WORDS = 39;
const GRADIENT_WORDS = 13;

/** Tensors with strides, in the order of their words. */
const STRIDED = ["q", "q_history", "k", "v", "bias", "o"] as const satisfies readonly StridedName[];

/** Multiply-adds of a call that takes a millisecond or two: handing it to another thread would take a third of that. */
const BRIEF = 2 ** 27;

/** One call: borrows its workspace, computes, gives everything back. */
export async function runCall(
  backend: Backend<CpuTensor, Cpu>,
  device: CpuDevice,
  call: CpuCall,
): Promise<CallOutcome<CpuTensor, Cpu>> {
  const holdings = new CallHoldings(backend, call);
  const { library } = device;
  try {
    // The library leaves out what has no place.
    const places = holdings.places(elementAddress, () => 0n);
    places.set("parameters", BigInt(holdings.parameters.buffer.address));
    const words = holdings.hold((CALL_WORDS + GRADIENT_WORDS) * 8, "call");
    const kernel = kernelOf(call);
    const { pass } = kernel;
    writeWords(library.bytesOf(words), call, kernel, places, holdings.values());
    const parts = libraryParts(call.plan, call.size, library.threads);
    const workspace = holdings.hold(pass.workspaceBytes(words, parts), "workspace");
    const footprint = holdings.footprint();
    const began = performance.now();
    await pass.compute(words, workspace, parts, multiplyAddsOf(call) <= BRIEF);
    const wallMs = performance.now() - began;
    holdings.end(true);
    return { results: holdings.results, statistics: { ...footprint, wallMs, deviceMs: wallMs } };
  } catch (error) {
    holdings.end(false);
    throw error;
  }
}

function multiplyAddsOf({ expanded }: CpuCall): number {
  return expanded.dispatches.reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0);
}

/** The attention of a call: the only kernel. */
function kernelOf(call: CpuCall): CpuKernel {
  const [kernel] = call.kernels().values();
  if (kernel === undefined) throw new RangeError(`${call.subject} has no kernel`);
  return kernel;
}

/** Writes the words of a call: addresses by resource name, sizes, strides. */
function writeWords(
  bytes: Uint8Array<ArrayBufferLike>,
  { size, plan }: CpuCall,
  kernel: CpuKernel,
  places: ReadonlyMap<string, bigint>,
  values: LaunchValues,
): void {
  const words = new BigInt64Array(bytes.buffer, bytes.byteOffset, CALL_WORDS + GRADIENT_WORDS);
  const floats = new Float32Array([values.depth_scale ?? 1]);
  const bits = new Uint32Array(floats.buffer)[0] ?? 0;
  const place = (name: string): bigint => places.get(name) ?? 0n;
  const sizes = [size.B, size.Lq, size.Lk, size.R].map(BigInt);
  const strided = (name: StridedName): readonly bigint[] => [
    place(name),
    BigInt(values[`${name}_stride_b`] ?? 0),
    BigInt(values[`${name}_stride_h`] ?? 0),
    BigInt(values[`${name}_stride_l`] ?? 0),
  ];
  const lse = plan.pipeline.normalize === "softmax" ? place("lse") : 0n;
  words.set([
    BigInt(kernel.attention.address),
    BigInt(kernel.stages.address),
    place("parameters"),
    ...sizes,
    ...STRIDED.flatMap(strided),
    place("documents"),
    place("lengths"),
    place("positions"),
    lse,
    BigInt(bits),
    place("dropout_seed"),
    // All heads are computed here.
    0n,
    place("values"),
    ...strided("d_o"),
    ...["d_q", "d_q_history", "d_k", "d_v", "d_parameters"].map(place),
    BigInt(plan.parameterWords),
    place("d_bias"),
    ...(size.dBias?.slice(0, 2).map(BigInt) ?? []),
  ]);
}
