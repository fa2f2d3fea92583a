import type {
  Artifact,
  AttentionInputs,
  DeviceStorage,
  Float64Tensor,
  HostTensor,
  Layout,
  Pipeline,
} from "../../runtime/contract/index.ts";
import type { Counters } from "../../runtime/emulator/index.ts";
import type { BackendTypes } from "../../runtime/launcher/backend.ts";
import type { AttentionLauncher } from "../../runtime/launcher/launcher.ts";
import type { Machine } from "../plan/index.ts";
import type { MeteredTarget } from "../targets.ts";
import { hostParameters, placeInputs } from "./call-tensors.ts";
import type { AttentionCall } from "./request.ts";

/** A device as one call needs it, whichever runtime it is of. */
export interface ForwardDevice<Tensor extends Layout, Statistics> {
  launch(
    artifact: Artifact,
    parameters: ReadonlyMap<string, HostTensor>,
  ): Promise<ForwardLauncher<Tensor, Statistics>>;
  upload(tensor: HostTensor, storage: DeviceStorage): Tensor;
  download(tensor: Tensor): Promise<Float32Array | Int32Array>;
}

interface ForwardLauncher<Tensor extends Layout, Statistics> {
  forward(
    inputs: AttentionInputs<Tensor>,
  ): Promise<{ readonly o: Tensor; readonly lse: Tensor | null; readonly statistics: Statistics }>;
  destroy(): void;
}

/** A device as calls need it: launchers on it, and tensors. */
export interface CallDevice<Tensor extends Layout, Types extends BackendTypes<Tensor>>
  extends ForwardDevice<Tensor, Types["statistics"]> {
  launch(
    artifact: Artifact,
    parameters: ReadonlyMap<string, HostTensor>,
  ): Promise<AttentionLauncher<Tensor, Types>>;
  allocate(shape: readonly number[], storage: DeviceStorage, label: string): Types["owned"];
  upload(tensor: HostTensor, storage: DeviceStorage): Types["owned"];
}

/** A target's device, open: all that executions and meters need of it. */
export interface TargetDevice<Tensor extends Layout, Types extends BackendTypes<Tensor>>
  extends CallDevice<Tensor, Types> {
  readonly target: MeteredTarget;
  /** For people. */
  readonly description: string;
  /** Device and driver, as one text that changes when either does. */
  readonly identity: string;
  /** What plans are made for. */
  readonly machine: Machine;
  /** Whether it counts what kernels do rather than time them; counts repeat to the digit. */
  readonly counts: boolean;
  /** The WebGPU device, for kernels that are no plan's; null elsewhere. */
  readonly gpu: GPUDevice | null;
  /** What was counted in a call, and how long that takes at least; null where time is measured. */
  counted(statistics: Types["statistics"]): { readonly counters: Counters; readonly cycles: number } | null;
  close(): Promise<void>;
}

/** What a device is opened for, and as what. */
export interface OpenOptions {
  readonly purpose: "run" | "meter";
  /** CUDA: what kernels are planned and compiled for; the device's own, or sm_80 where it is emulated. */
  readonly architecture: string | undefined;
  /** The processor: threads that calls use; as many as run at once, if undefined. */
  readonly threads?: number | undefined;
}

/** What a call gave, on the host. */
export interface ForwardOutcome<Statistics> {
  /** `o` [B, H, Lq, Dv] and, with softmax, `lse` [B, H, Lq]. */
  readonly tensors: ReadonlyMap<string, Float64Tensor>;
  readonly statistics: Statistics;
}

/** What a device is to compute. */
export interface ForwardRequest {
  readonly pipeline: Pipeline;
  readonly call: AttentionCall;
  /** Called when the kernels are compiled. */
  readonly compiled?: () => void;
}

/**
 * Computes a call on a device and brings the results back.
 * @throws the target's errors, and MtacError MTA601 … MTA613 when inputs or parameters do not fit
 */
export async function forwardOn<Tensor extends Layout, Statistics>(
  device: ForwardDevice<Tensor, Statistics>,
  artifact: Artifact,
  { pipeline, call, compiled }: ForwardRequest,
): Promise<ForwardOutcome<Statistics>> {
  const launcher = await device.launch(artifact, hostParameters(call.parameters));
  compiled?.();
  const { o, lse, statistics } = await launcher.forward(
    placeInputs(pipeline, call.inputs, (tensor, as) => device.upload(tensor, as)),
  );
  const tensors = await readResults(device, lse === null ? { o } : { o, lse });
  launcher.destroy();
  return { tensors, statistics };
}

/** Brings a call's results to the host, by their names. */
export async function readResults<Tensor extends Layout>(
  device: Pick<ForwardDevice<Tensor, unknown>, "download">,
  { o, lse }: { readonly o: Tensor; readonly lse?: Tensor },
): Promise<ReadonlyMap<string, Float64Tensor>> {
  const tensors = new Map([["o", await readTensor(device, o)]]);
  if (lse !== undefined) tensors.set("lse", await readTensor(device, lse));
  return tensors;
}

/** Brings a tensor to the host. */
export async function readTensor<Tensor extends Layout>(
  device: Pick<ForwardDevice<Tensor, unknown>, "download">,
  tensor: Tensor,
): Promise<Float64Tensor> {
  return { shape: tensor.shape, data: Float64Array.from(await device.download(tensor)) };
}
