import type { TensorKind } from "../contract/arguments.ts";
import type { CallStatistics } from "../contract/call.ts";
import type { MtacError } from "../contract/errors.ts";
import type { CallSize, ExpandedPlan, KernelVariant } from "../contract/expand.ts";
import type { DeviceStorage, Layout } from "../contract/layout.ts";
import type { ParameterStore, ParameterVersion } from "../contract/parameters.ts";
import type { Artifact, KernelPlan, Plan, Target } from "../contract/plan.ts";
import type { Pooled } from "../contract/pool.ts";
import type { ResultTensor } from "../contract/results.ts";
import type { AttentionInputs } from "../contract/tensor.ts";
import type { TensorRules } from "../contract/tensor-faults.ts";

/** What a target makes of a launcher's notions. */
export interface BackendTypes<Tensor extends Layout> {
  readonly device: unknown;
  /** A tensor that mtac made. */
  readonly owned: Tensor & { destroy(): void };
  /** Memory that kernels use. */
  readonly memory: unknown;
  /** A kernel that is ready to run. */
  readonly kernel: unknown;
  readonly statistics: CallStatistics;
}

/** What a call gives; tensors stay on the device. */
export interface CallResult<Tensor extends Layout, Types extends BackendTypes<Tensor>> {
  /** [B, H, Lq, Dv]; the caller's to destroy (`o.destroy()`). */
  readonly o: Types["owned"];
  /** f32 [B, H, Lq]; null with sparsemax. */
  readonly lse: Types["owned"] | null;
  readonly statistics: Types["statistics"];
}

/** Where a call's results go; those that are left out are allocated. */
export interface CallOutputs<Tensor> {
  /** [B, H, Lq, Dv] in the pipeline's storage type; any strides, the last one 1. */
  readonly o?: Tensor;
  /** f32 [B, H, Lq], contiguous: log of the softmax's sum, −∞ for a row that sees no key. Unused with sparsemax. */
  readonly lse?: Tensor;
}

/** Where a call's results go, and whether it is followed by `backward`. */
export interface ForwardOptions<Tensor> extends CallOutputs<Tensor> {
  /** Keeps what `backward` needs: the result has `saved` then. */
  readonly save?: boolean;
}

/** A call whose tensors are checked, and whose plan is applied to its size. */
export interface CheckedCall<Tensor extends Layout> {
  /** Its direction says what is computed: o, or gradients. */
  readonly plan: Plan;
  readonly size: CallSize;
  readonly expanded: ExpandedPlan;
  readonly inputs: AttentionInputs<Tensor>;
  /** What kernels read, by resource name: inputs and, for gradients, d_o. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The caller's tensors for results, by resource name. */
  readonly outputs: ReadonlyMap<string, Tensor>;
  /** What the call is to give. */
  readonly results: readonly ResultTensor[];
  /** What the plan computes, too, and nobody asked for. */
  readonly unwanted: readonly ResultTensor[];
}

/** What a call gave. */
export interface CallOutcome<Tensor extends Layout, Types extends BackendTypes<Tensor>> {
  /** By resource name. */
  readonly results: ReadonlyMap<string, Types["owned"]>;
  readonly statistics: Types["statistics"];
}

/** A call that a back end can run. */
export interface PreparedCall<Tensor extends Layout, Types extends BackendTypes<Tensor>>
  extends CheckedCall<Tensor> {
  /** For messages: `attention "mta"`. */
  readonly subject: string;
  /** Whether the plan won on this device, at shapes near the call. */
  readonly tuned: boolean;
  readonly parameters: ParameterStore<Types["memory"]>;
  /** The parameters that are read; null: those of the moment when the call begins. */
  readonly version: ParameterVersion<Types["memory"]> | null;
  /** Compiles the kernels that are missing; null when none is. */
  readonly compile: (() => Promise<void>) | null;
  /** @throws the target's error where a kernel is not compiled. */
  kernels(): ReadonlyMap<KernelPlan, Types["kernel"]>;
}

/** What a launcher finds wrong on any target; each has codes of its own for it. */
export type LauncherFault =
  | "unfit"
  | "plan"
  | "storage"
  | "strides"
  | "alignment"
  | "shape"
  | "data"
  | "values"
  | "grid"
  | "memory"
  | "unprepared"
  | "destroyed";

/** What an error says beside its message. */
export interface FaultDetails {
  /** Instead of the target's usual one. */
  readonly remedy?: string;
  readonly kernel?: KernelPlan | null;
}

/** What a call needs and a device does not have. */
export interface Excess {
  readonly fault: "grid" | "memory";
  readonly message: string;
  readonly kernel: KernelPlan | null;
}

/** How a call is run. */
export interface RunOptions {
  /** Measure device time, where the device has a clock. */
  readonly timestamps: boolean;
  /** Whether the caller may change or destroy inputs while the call runs. */
  readonly protectsInputs: boolean;
}

/** The target's errors. */
export interface Faults {
  /** The target's error for what the launcher found wrong. */
  error(fault: LauncherFault, message: string, details?: FaultDetails): MtacError;
}

/** How tensors of a call are checked. */
export interface TensorChecks<Tensor extends Layout> extends Faults {
  /** How the target's tensors are told from other things. */
  readonly tensors: TensorKind;
  /** @throws the target's error when a tensor does not lie where kernels may use it. */
  checkPlacement(name: string, tensor: Tensor, rules: TensorRules): void;
}

/** What a device offers to plans. */
export interface Capabilities extends Faults {
  /** Whose plans the device runs. */
  readonly target: Target;
  /** What messages call the target, for example `WebGPU`. */
  readonly targetName: string;
  /** What messages call the device. */
  readonly name: string;
  /** Why the device cannot run a plan of its target, as phrases with the size of each gap. */
  shortfalls(plan: Plan): readonly string[];
}

/** What a device offers to calls. */
export interface SizeLimits extends Faults {
  /** What the dispatches and the workspace of a call need beyond the device's limits. */
  findExcess(expanded: ExpandedPlan): Excess | null;
  /** What a result of so many bytes needs beyond the device's limits. */
  findOutputExcess(bytes: number): string | null;
}

/** The checks of calls against a device's limits: `sizeChecks` makes them. */
export interface SizeChecks {
  /**
   * Checks that workspace and grids of a call stay within the limits.
   *
   * @throws the target's error: which limit, by how much, and what would fit.
   */
  checkCall(plan: Plan, size: CallSize, expanded: ExpandedPlan): void;
  /**
   * Checks the size of a call's result before its dispatches are counted: a size beyond all bounds would have as many.
   *
   * @throws the target's error for memory
   */
  checkOutput(plan: Plan, size: CallSize): void;
}

/**
 * What a launcher needs of a device: memory, kernels, and a queue on which calls run. Everything else, from the checks of a call to
 * its statistics, is the same on all targets (`launcher.ts`).
 */
export interface Backend<Tensor extends Layout, Types extends BackendTypes<Tensor>>
  extends TensorChecks<Tensor>,
    Capabilities {
  /** Device and driver as one text: results that were measured on one device are not used on another. */
  readonly identity: string;
  /** Null where nothing limits a call but memory, which says itself when it is used up. */
  readonly sizes: SizeChecks | null;
  /** @throws the target's error when the device is lost or closed. */
  checkUsable(): void;

  /** @throws the target's error when a result lies where another tensor of the call does. */
  checkApart(call: PreparedCall<Tensor, Types>): void;

  /** A tensor for a result, whose contents kernels write in full. */
  allocate(shape: readonly number[], storage: DeviceStorage, label: string): Types["owned"];
  /** The caller's own tensors get the methods, too, where they come back as results. */
  owned(tensor: Tensor): Types["owned"];
  /** Puts parameters into new memory. */
  write(words: Float32Array<ArrayBuffer>): Types["memory"];
  /** Frees memory that `write` gave. */
  free(memory: Types["memory"]): void;
  /** Memory for the length of a call. */
  borrow(bytes: number, label: string, usage?: number): Pooled<Types["memory"]>;
  /** @param sound False after an error of the device: memory that may be invalid is not lent again. */
  giveBack(borrowed: Pooled<Types["memory"]>, sound: boolean): void;

  /** Brings a contiguous tensor of f32 to the host. */
  read(tensor: Tensor): Promise<Float32Array | Int32Array>;

  /** Compiles and loads a kernel, or finds it loaded. */
  load(variant: KernelVariant, artifact: Artifact): Promise<Types["kernel"]>;
  /** Records or launches a call's kernels in their order, waits for their end, tells how long they took. */
  run(call: PreparedCall<Tensor, Types>, options: RunOptions): Promise<CallOutcome<Tensor, Types>>;
}
