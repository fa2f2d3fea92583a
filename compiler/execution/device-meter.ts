import type { CallFootprint } from "../../runtime/contract/call.ts";
import {
  type Artifact,
  type AttentionInputs,
  type Float64Tensor,
  GRADIENT_TENSORS,
  type Layout,
  LSE,
  O,
  type Pipeline,
  type Plan,
  shapeOf as sizesOf,
  tensorExists,
} from "../../runtime/contract/index.ts";
import type { BackendTypes, CallOutputs } from "../../runtime/launcher/backend.ts";
import type { Gradients } from "../../runtime/launcher/gradients.ts";
import type { AttentionLauncher } from "../../runtime/launcher/launcher.ts";
import type { SavedCall } from "../../runtime/launcher/saved.ts";
import { artifactOf, loadGradients } from "../emit/index.ts";
import { choosePlan, type Machine } from "../plan/index.ts";
import type { MeteredTarget } from "../targets.ts";
import { hostParameters, placeInputs } from "./call-tensors.ts";
import { readResults, type TargetDevice } from "./device.ts";
import { type Meter, type MeteredPlan, type PlacedCall, type Sample, timedSample } from "./meter.ts";
import { type AttentionCall, shapeOf } from "./request.ts";
import { readGradients } from "./training.ts";

/** Where a call's results go. */
type PlacedOutputs<Tensor> = CallOutputs<Tensor> & { readonly o: Tensor };

/** A call's tensors on a device. */
class DeviceCall<Tensor extends Layout> implements PlacedCall {
  readonly inputs: AttentionInputs<Tensor>;
  readonly outputs: PlacedOutputs<Tensor>;
  readonly dO: Tensor | null;
  readonly #owned: readonly { destroy(): void }[];

  constructor(
    inputs: AttentionInputs<Tensor>,
    outputs: PlacedOutputs<Tensor>,
    dO: Tensor | null,
    owned: readonly { destroy(): void }[],
  ) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.dO = dO;
    this.#owned = owned;
  }

  release(): void {
    for (const tensor of this.#owned) tensor.destroy();
  }
}

class DevicePlan<Tensor extends Layout, Types extends BackendTypes<Tensor>>
  implements MeteredPlan<DeviceCall<Tensor>>
{
  readonly #device: TargetDevice<Tensor, Types>;
  readonly #launcher: AttentionLauncher<Tensor, Types>;
  #footprint: CallFootprint | null = null;

  constructor(device: TargetDevice<Tensor, Types>, launcher: AttentionLauncher<Tensor, Types>) {
    this.#device = device;
    this.#launcher = launcher;
  }

  async sample({ inputs, outputs }: DeviceCall<Tensor>): Promise<Sample> {
    const { statistics } = await this.#launcher.forward(inputs, outputs);
    this.#footprint = statistics;
    return sampleOf(this.#device, statistics);
  }

  results({ outputs }: DeviceCall<Tensor>): Promise<ReadonlyMap<string, Float64Tensor>> {
    return readResults(this.#device, outputs);
  }

  footprint(): CallFootprint | null {
    return this.#footprint;
  }

  release(): void {
    this.#launcher.destroy();
  }
}

/** The backward pass of calls: each is computed forward once, into its outputs, and then backward again and again. */
class DeviceGradients<Tensor extends Layout, Types extends BackendTypes<Tensor>>
  implements MeteredPlan<DeviceCall<Tensor>>
{
  readonly #device: TargetDevice<Tensor, Types>;
  readonly #launcher: AttentionLauncher<Tensor, Types>;
  /** Calls that were computed forward. */
  readonly #saved = new Map<DeviceCall<Tensor>, SavedCall>();
  #last: Gradients<Tensor, Types> | null = null;

  constructor(device: TargetDevice<Tensor, Types>, launcher: AttentionLauncher<Tensor, Types>) {
    this.#device = device;
    this.#launcher = launcher;
  }

  async sample(call: DeviceCall<Tensor>): Promise<Sample> {
    const { dO } = call;
    if (dO === null) throw new RangeError("gradients of a call without a gradient of its output");
    const gradients = await this.#launcher.backward(await this.#savedOf(call), dO);
    this.#free();
    this.#last = gradients;
    return sampleOf(this.#device, gradients.statistics);
  }

  async results(): Promise<ReadonlyMap<string, Float64Tensor>> {
    return this.#last === null ? new Map() : readGradients(this.#device, this.#last);
  }

  footprint(): CallFootprint | null {
    return this.#last?.statistics ?? null;
  }

  release(): void {
    this.#free();
    for (const saved of this.#saved.values()) saved.release();
    this.#launcher.destroy();
  }

  async #savedOf(call: DeviceCall<Tensor>): Promise<SavedCall> {
    const { inputs, outputs } = call;
    const saved =
      this.#saved.get(call) ?? (await this.#launcher.forward(inputs, { ...outputs, save: true })).saved;
    this.#saved.set(call, saved);
    return saved;
  }

  #free(): void {
    for (const { key } of GRADIENT_TENSORS) this.#last?.[key]?.destroy();
  }
}

/** What a call's statistics say of its time. */
function sampleOf<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  device: TargetDevice<Tensor, Types>,
  statistics: Types["statistics"],
): Sample {
  const counted = device.counted(statistics);
  return counted === null ? timedSample(statistics) : { time: counted.cycles, clock: "estimate" };
}

/** Times plans on a device by its own clock, where it has one, or counts cycles. */
export class DeviceMeter<Tensor extends Layout, Types extends BackendTypes<Tensor>>
  implements Meter<DeviceCall<Tensor>>
{
  readonly target: MeteredTarget;
  readonly description: string;
  readonly identity: string;
  readonly machine: Machine;
  readonly unit: "ns" | "cycles";
  readonly exact: boolean;
  readonly #open: () => Promise<TargetDevice<Tensor, Types>>;
  #device: TargetDevice<Tensor, Types>;

  /** @param open Opens a fresh device. */
  constructor(device: TargetDevice<Tensor, Types>, open: () => Promise<TargetDevice<Tensor, Types>>) {
    this.target = device.target;
    this.description = device.description;
    this.identity = device.identity;
    this.machine = device.machine;
    this.exact = device.counts;
    this.unit = device.counts ? "cycles" : "ns";
    this.#open = open;
    this.#device = device;
  }

  get gpu(): GPUDevice | null {
    return this.#device.gpu;
  }

  place(pipeline: Pipeline, call: AttentionCall): DeviceCall<Tensor> {
    const device = this.#device;
    const owned: Types["owned"][] = [];
    const own = (tensor: Types["owned"]): Types["owned"] => {
      owned.push(tensor);
      return tensor;
    };
    const shape = shapeOf(call);
    const o = own(device.allocate(sizesOf(pipeline, O.axes, shape), pipeline.storage, "mtac o"));
    const outputs: PlacedOutputs<Tensor> = tensorExists(pipeline, LSE)
      ? { o, lse: own(device.allocate(sizesOf(pipeline, LSE.axes, shape), LSE.element, "mtac lse")) }
      : { o };
    const inputs = placeInputs<Tensor>(pipeline, call.inputs, (tensor, as) => own(device.upload(tensor, as)));
    const dO = call.dO === null ? null : own(device.upload(call.dO, pipeline.storage));
    return new DeviceCall(inputs, outputs, dO, owned);
  }

  async open(plan: Plan, call: AttentionCall): Promise<MeteredPlan<DeviceCall<Tensor>>> {
    const { pipeline } = plan;
    const device = this.#device;
    const launch = (artifact: Artifact): Promise<AttentionLauncher<Tensor, Types>> =>
      device.launch(artifact, hostParameters(call.parameters));
    if (plan.direction !== "backward")
      return new DevicePlan(device, await launch(artifactOf(pipeline, [plan])));
    await loadGradients();
    const forward = choosePlan(pipeline, { machine: device.machine, shape: shapeOf(call) });
    return new DeviceGradients(device, await launch(artifactOf(pipeline, [forward], [plan])));
  }

  async restart(): Promise<void> {
    // What is lost may not close in order.
    await this.#device.close().catch(() => undefined);
    this.#device = await this.#open();
  }

  close(): Promise<void> {
    return this.#device.close();
  }
}
