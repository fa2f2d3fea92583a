import type { CallFootprint } from "../../runtime/contract/call.ts";
import {
  type AttentionInputs,
  type Float64Tensor,
  type Layout,
  LSE,
  O,
  type Pipeline,
  type Plan,
  shapeOf as sizesOf,
  tensorExists,
} from "../../runtime/contract/index.ts";
import type { BackendTypes, CallOutputs } from "../../runtime/launcher/backend.ts";
import type { AttentionLauncher } from "../../runtime/launcher/launcher.ts";
import { emitKernels } from "../emit/index.ts";
import type { Machine } from "../plan/index.ts";
import type { MeteredTarget } from "../targets.ts";
import { hostParameters, placeInputs } from "./call-tensors.ts";
import { readResults, type TargetDevice } from "./device.ts";
import { type Meter, type MeteredPlan, type PlacedCall, type Sample, timedSample } from "./meter.ts";
import { type AttentionCall, shapeOf } from "./request.ts";

/** Where a call's results go. */
type PlacedOutputs<Tensor> = CallOutputs<Tensor> & { readonly o: Tensor };

/** A call's tensors on a device. */
class DeviceCall<Tensor extends Layout> implements PlacedCall {
  readonly inputs: AttentionInputs<Tensor>;
  readonly outputs: PlacedOutputs<Tensor>;
  readonly #owned: readonly { destroy(): void }[];

  constructor(
    inputs: AttentionInputs<Tensor>,
    outputs: PlacedOutputs<Tensor>,
    owned: readonly { destroy(): void }[],
  ) {
    this.inputs = inputs;
    this.outputs = outputs;
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
    const counted = this.#device.counted(statistics);
    return counted === null ? timedSample(statistics) : { time: counted.cycles, clock: "estimate" };
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
    return new DeviceCall(inputs, outputs, owned);
  }

  async open(plan: Plan, call: AttentionCall): Promise<DevicePlan<Tensor, Types>> {
    const artifact = { name: plan.pipeline.name, plans: [plan], sources: emitKernels(plan) };
    const launcher = await this.#device.launch(artifact, hostParameters(call.parameters));
    return new DevicePlan(this.#device, launcher);
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
