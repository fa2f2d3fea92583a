import type {
  CallShape,
  Expression,
  Pipeline,
  Plan,
  Requirements,
  Schedule,
  StorageForm,
  Target,
} from "../../runtime/contract/index.ts";
import type { CudaArchitecture } from "./architectures.ts";
import type { TargetLimits } from "./limits.ts";
import type { PlanOptions } from "./options.ts";
import type { MachineRates } from "./rates.ts";
import type { ScalarUnits } from "./scalar-units.ts";

/** How rows of a map lie in workgroup memory. */
export interface RowLayout {
  /** Columns kept from earlier steps, and words of documents, are rounded up to a multiple of this. */
  readonly carryMultiple: number;
  /** Words between two rows of so many columns. */
  stride(columns: number): number;
}

/** Rows and keys of a tile. */
export interface Tile {
  readonly tileQ: number;
  readonly tileK: number;
}

/** How widely keys are shared between workgroups where there are few rows. */
export interface Widely {
  /** Workgroups that fill a large device. */
  readonly blocks: number;
  /** The fewest keys that one of them is worth. */
  readonly keys: number;
}

/** What the planner may vary of fused kernels, and how they use a workgroup. */
export interface FusedMenu {
  readonly tilesQ: readonly number[];
  readonly tilesK: readonly number[];
  readonly workgroups: readonly number[];
  /** How many of the two kernels' best geometries `two_pass` combines. */
  readonly best: number;
  /** Keys of a step that each of the invocations that share a row of the softmax takes at least. */
  readonly keysOfTeam: number;
  /** Whether those invocations meet in workgroup memory: else they shuffle. */
  readonly partialSums: boolean;
  /** Words of workgroup memory that the output's stages get, where the maps take fewer. */
  readonly epilogueWords: number;
  /** What the words of workgroup memory are a multiple of. */
  readonly arenaMultiple: number;
  /** How widely few rows' keys are shared, and the kernel that adds up what workgroups find; null where they are not. */
  readonly combine: (Widely & { readonly tileQ: number; readonly workgroup: number }) | null;
}

/** What the planner may vary of the staged schedule, and how its kernels use a workgroup. */
export interface StagedMenu {
  /** Tiles of the kernels that write maps, four rows by four keys an invocation. */
  readonly tiles: readonly Tile[];
  /** Rows of a workgroup of the product with V, and its sizes. */
  readonly productTilesQ: readonly number[];
  readonly productWorkgroups: readonly number[];
  /** Rows of a strip at most: low strips skip more of a causal mask, high ones pay for fewer halos. */
  readonly stripRows: readonly number[];
  /** Bytes that the two maps of a strip may take together, unless the least strip needs more: they stay in a cache. */
  readonly stripBytes: number;
  /** Rows and keys of a workgroup of a mix: four keys of one row an invocation. */
  readonly mixTile: Tile;
  readonly normalize: {
    readonly workgroup: number;
    /** Invocations that share a row, at least. */
    readonly team: number;
    /** Registers of an invocation of the softmax, about. */
    readonly registers: number;
    /** Words of workgroup memory. */
    words(pipeline: Pipeline): number;
  };
  readonly product: {
    /** Words of workgroup memory that the output's stages get at most. */
    readonly epilogueWords: number;
    /** Whether it looks at the mask, and keeps a word a row for those that NaN has reached. */
    readonly masks: boolean;
    /** What its text calls the map of weights. */
    readonly source: string;
  };
  /** Rows of o that a workgroup passes gradients back through the output's stages for at a time: the first number that fits. */
  readonly outputRows: readonly number[];
  /** Entries of a map that one load or store takes where a kernel reads or writes whole blocks. */
  readonly mapWidth: number;
}

/**
 * What an invocation may hold in registers: so many 4x4 blocks of results, or so many words by the estimates of
 * `schedule/registers.ts`.
 */
export interface RegisterBudget {
  readonly counts: "blocks" | "words";
  readonly most: number;
}

/** How a call becomes dispatches: cut where they do too much at once, or over as many batch entries as a grid holds. */
export type DispatchRule =
  | { readonly kind: "cut"; readonly multiplyAdds: number }
  | { readonly kind: "rounds"; readonly batches: number };

export type Grid = readonly [Expression, Expression, Expression];

/** How grids over a strip's maps are ordered. */
export interface MapGrid {
  /** Tiles over rows and keys, one more for each block of heads and batch entry. */
  tiles(rows: Expression, keys: Expression, heads: Expression): Grid;
  /** The same where a workgroup walks all keys. */
  rows(rows: Expression, heads: number): Grid;
}

/** How a target files, names and binds kernels. */
export interface KernelNaming {
  file(pipeline: Pipeline, kernel: string): string;
  entryPoint(pipeline: Pipeline, kernel: string): string;
  /** Integer inputs of a call: buffers of their own, or what stands for them. */
  integers(pipeline: Pipeline): readonly string[];
  /** What a kernel that drops weights binds for the seed beside these. */
  readonly seed: readonly string[];
  /** Whether all kernels of a plan take the same launch block. */
  readonly sharedLaunch: boolean;
  /** Pipeline-overridable constants of kernels that read the history. */
  readonly historyOverrides: Readonly<Record<string, Expression>>;
}

/** The target's own words for what reasons speak of. */
export interface Terms {
  readonly invocation: string;
  readonly workgroup: string;
  readonly memory: string;
  /** What has so much memory. */
  readonly owner: string;
}

/** What the planner knows of every machine. */
interface AnyMachine {
  readonly target: Target;
  /** What one kernel may use of it. */
  readonly limits: TargetLimits;
  /** What times are predicted with. */
  readonly rates: MachineRates;
  readonly naming: KernelNaming;
  /** The form in which it holds a pipeline's tensors, unless another one is wanted that it knows. */
  storage(pipeline: Pipeline, wanted?: StorageForm): StorageForm;
  /** What a plan with this storage asks of a device beside sizes. */
  requires(storage: StorageForm): Pick<Requirements, "features" | "computeCapability">;
}

/** A machine that kernels are planned for, one stage or several each: `webgpuMachine` and `cudaMachine` make them. */
export interface GpuMachine extends AnyMachine {
  readonly kind: "gpu";
  /** The generation of NVIDIA devices that it is; null elsewhere. */
  readonly architecture: CudaArchitecture | null;
  /** What knobs of its scalar kernels begin with. */
  readonly lowering: Readonly<Record<string, string>>;
  readonly terms: Terms;
  readonly rows: RowLayout;
  readonly registers: RegisterBudget;
  readonly fused: FusedMenu;
  readonly staged: StagedMenu;
  readonly dispatches: DispatchRule;
  /** What its scalar kernels execute. */
  readonly units: ScalarUnits;
  readonly mapGrid: MapGrid;
}

/** A processor, for which a library computes every attention: only how the work is cut is planned. `cpuMachine` makes it. */
export interface CpuMachine extends AnyMachine {
  readonly kind: "cpu";
  readonly architecture: null;
  /** Floats of a vector. */
  readonly lanes: number;
  readonly threads: number;
  /** Bytes of the cache that each thread has for itself: the map of a strip should lie in it. */
  readonly cacheBytes: number;
  /** Rows of a strip, and keys of a block, that are tried. */
  readonly strips: readonly number[];
  readonly blocks: readonly number[];
}

/** What the planner knows of the machine that an attention is planned for, as data. */
export type Machine = GpuMachine | CpuMachine;

/** The machines that a target's devices are: which of them is meant, where little is said. */
export interface Machines {
  /** The one that limits describe. @throws MtacError MTA933 for limits of another target */
  of(limits: TargetLimits): Machine;
  /** Those that artifacts have plans for, the most capable first. @throws MtacError MTA918: an architecture that none is planned for */
  wanted(devices: WantedDevices): readonly Machine[];
  /** One of each kind that there is. */
  all(): readonly Machine[];
  /** The one that stands for all, or for an architecture; null where the planner does not know that. */
  typical(architecture?: string): Machine | null;
  /** Those that a device may be of which no more is known than its identity. */
  behind(identity: string): readonly Machine[];
}

/** Devices to make plans for, where it is not the usual ones. */
export interface WantedDevices {
  /** WebGPU devices, the most capable first; if not given, the few kinds that they come in. */
  readonly variants?: readonly TargetLimits[];
  /** CUDA architectures, as nvcc's `-arch` names them; `sm_80` if not given. */
  readonly architectures?: readonly string[];
}

/** What a plan is sought for. */
export interface PlanRequest {
  readonly machine: Machine;
  /** The shape for which cost is predicted; plans run at every shape. */
  readonly shape: CallShape;
  /** Considers this schedule only. */
  readonly schedule?: Schedule;
  /** Plans gradients in place of the attention itself. */
  readonly direction?: "backward";
  /** Storage form, where the machine's own (WebGPU: native f16 if the device has it, else packed) is not wanted. */
  readonly storage?: StorageForm;
  /** Hears how many kernels were fitted and predicted, each time that some were: the planner's work, counted. */
  readonly onPredicted?: (kernels: number) => void;
  /** Levers for tests: what short sequences and small devices never need. */
  readonly options?: PlanOptions;
}

/** What everything that decides something of a plan is told: the pipeline, what is sought, and how a lowering loads rows. */
export interface Task<On extends Machine = Machine> extends PlanRequest {
  readonly machine: On;
  readonly pipeline: Pipeline;
  /** Elements that one load takes of a row. */
  readonly alignment: Plan["alignment"];
  /** The fewest multiply-adds that any plan can do at the request's shape. */
  readonly floor: number;
}

/** A task for lowerings into kernels. */
export type GpuTask = Task<GpuMachine>;
