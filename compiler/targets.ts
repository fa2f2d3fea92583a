import { MtacError } from "../runtime/contract/errors.ts";
import type { Artifact, Target } from "../runtime/contract/index.ts";

/** A target's device, as far as it is known without its code (`targets/index.ts` loads that). */
interface DeviceFacts {
  /** Whose plans and kernels it runs: those that are written for it, or another target's. */
  readonly runs: Target;
  /** Whether it counts what kernels do, to the digit, rather than time them. */
  readonly counts: boolean;
  /** Whether kernels are made for one of several architectures, of which `--arch` names one. */
  readonly architectures: boolean;
  /** Whether a call is kernels that are dispatched to a device, or what a library computes in one go. */
  readonly dispatches: boolean;
  /** Candidates of a sweep: as many as a device that is timed takes in a minute or so; counted ones are slow. */
  readonly candidates: number;
  /** Keys of the small call that checks a candidate's results: more than one tile of any plan, and no multiple of one. */
  readonly checkedKeys: number;
}

/** What is written for a target, as far as it is known without the code that writes it (`compile/emissions.ts`). */
interface EmissionFacts {
  /** The target's name for people. */
  readonly title: string;
  /** What `compile` calls its artifacts. */
  readonly artifacts: string;
  /** Whether nvcc compiles its kernels, for `--images` and `--ptxas`. */
  readonly nvcc: boolean;
  /** Whether its plans come in several schedules, of which `--schedule` names one. */
  readonly schedules: boolean;
  /** Whether the pipeline as most code computes it can be planned, which benchmarks compare with. */
  readonly unfused: boolean;
}

interface TargetFacts {
  /** Other names that are understood wherever the target is named. */
  readonly aliases: readonly string[];
  /** What kernels run on; null where there are none. */
  readonly device: DeviceFacts | null;
  /** Null where nothing is written for it: it has no kernels, or runs another target's. */
  readonly emission: EmissionFacts | null;
}

/** Every target by its one name: the float64 reference, WebGPU, NVIDIA's driver, and CUDA kernels on the processor. */
const FACTS = {
  reference: { aliases: [], device: null, emission: null },
  webgpu: {
    aliases: ["wgsl"],
    device: {
      runs: "webgpu",
      counts: false,
      architectures: false,
      dispatches: true,
      candidates: 20,
      checkedKeys: 77,
    },
    emission: {
      title: "WebGPU",
      artifacts: "artifacts",
      nvcc: false,
      schedules: true,
      unfused: true,
    },
  },
  cuda: {
    aliases: [],
    device: {
      runs: "cuda",
      counts: false,
      architectures: true,
      dispatches: true,
      candidates: 48,
      checkedKeys: 147,
    },
    emission: {
      title: "CUDA",
      artifacts: "cuda",
      nvcc: true,
      schedules: true,
      unfused: false,
    },
  },
  cpu: {
    aliases: [],
    device: {
      runs: "cpu",
      counts: false,
      architectures: false,
      dispatches: false,
      candidates: 40,
      checkedKeys: 147,
    },
    emission: {
      title: "the processor",
      artifacts: "cpu",
      nvcc: false,
      schedules: false,
      unfused: true,
    },
  },
  "cuda-emulated": {
    aliases: [],
    device: {
      runs: "cuda",
      counts: true,
      architectures: true,
      dispatches: true,
      candidates: 12,
      checkedKeys: 147,
    },
    emission: null,
  },
} as const satisfies Readonly<Record<string, TargetFacts>> &
  Readonly<Record<Target, TargetFacts & { readonly emission: EmissionFacts }>>;

type Facts = typeof FACTS;
export type TargetName = keyof Facts;
/** What kernels are timed and tuned on. */
export type MeteredTarget = { [N in TargetName]: Facts[N]["device"] extends null ? never : N }[TargetName];
/** A target that kernels are written for, or the name of its language. */
export type EmittedTargetName = Target | Facts[Target]["aliases"][number];
/** Artifacts of every target that kernels are written for; one that is not wanted has none. */
export type NamedArtifacts = {
  readonly [T in Target as Facts[T]["emission"]["artifacts"]]: readonly Artifact[];
};

/** What kernels are written for where nobody says. */
export const DEFAULT_TARGET = "webgpu" satisfies Target;
/** What computes where nobody says (`targets/index.ts` looks which): the GPU, where there is a real one, else the processor. */
export const COMPUTING_TARGETS = { gpu: "webgpu", other: "cpu" } as const satisfies Record<
  string,
  MeteredTarget
>;
/** What results of all other targets are compared with. */
export const REFERENCE = "reference" satisfies TargetName;

export const TARGETS: readonly TargetName[] = Object.keys(FACTS).filter(isTarget);
export const METERED_TARGETS: readonly MeteredTarget[] = TARGETS.filter(hasDevice);
/** What kernels are planned and written for: WGSL with typed launchers, CUDA with a C API and typed launchers. */
export const EMITTED_TARGETS: readonly Target[] = TARGETS.filter(isEmitted);

function isTarget(name: string): name is TargetName {
  return Object.hasOwn(FACTS, name);
}

function isEmitted(name: TargetName): name is Target {
  return FACTS[name].emission !== null;
}

/** Whether a target has kernels, and a device that they run on. */
export function hasDevice(name: TargetName): name is MeteredTarget {
  return FACTS[name].device !== null;
}

/** What is known of a target's device. */
export function deviceFacts(target: MeteredTarget): DeviceFacts {
  return FACTS[target].device;
}

/** What is known of what is written for a target. */
export function emissionFacts(target: Target): EmissionFacts {
  return FACTS[target].emission;
}

/** Whether kernels of a target are made for one of several architectures. */
export function hasArchitectures(target: TargetName): boolean {
  return FACTS[target].device?.architectures ?? false;
}

/** The one of some targets that a word names, if it names one of them. */
export function targetNamed<T extends TargetName>(word: string, known: readonly T[]): T | null {
  return (
    known.find((each) => {
      const { aliases }: TargetFacts = FACTS[each];
      return each === word || aliases.includes(word);
    }) ?? null
  );
}

/** Names as messages list them. */
export function quoted(names: readonly string[]): string {
  return names.map((each) => `\`${each}\``).join(", ");
}

/** @throws MtacError MTA903: the word names none of the targets that somebody takes */
export function wantedTarget<T extends TargetName>(word: string, known: readonly T[]): T {
  const named = targetNamed(word, known);
  if (named !== null) return named;
  throw noTarget(word, known);
}

function noTarget(word: string, known: readonly string[]): MtacError {
  return new MtacError("MTA903", "usage", `there is no target \`${word}\``, {
    remedy: `choose ${quoted(known)}`,
  });
}

/** The targets that a caller wants written, each once; all of them if none is named. @throws MtacError MTA903 */
export function emittedTargets(words: readonly string[] = EMITTED_TARGETS): readonly Target[] {
  const wanted = words.map((word) => wantedTarget(word, EMITTED_TARGETS));
  return EMITTED_TARGETS.filter((target) => wanted.includes(target));
}

/** What the module of an imported spec is made for, as far as it is known without the code that prints it (`compile/modules.ts`). */
interface ModuleFacts {
  /** Whose kernels it has; where there are several, the page chooses. */
  readonly holds: readonly [Target, ...Target[]];
  /** What Vite's server gives modules in place of the runtime that launchers import, for kernels that change; null where there is none. */
  readonly hotRuntime: string | null;
}

const MODULES = {
  webgpu: { holds: ["webgpu"], hotRuntime: "mtac/runtime/hot" },
  cuda: { holds: ["cuda"], hotRuntime: null },
  cpu: { holds: ["cpu"], hotRuntime: null },
  wasm: { holds: ["cpu"], hotRuntime: "mtac/runtime/hot/wasm" },
  auto: { holds: ["webgpu", "cpu"], hotRuntime: "mtac/runtime/hot/auto" },
} as const satisfies Readonly<Record<string, ModuleFacts>> & Readonly<Record<Target, ModuleFacts>>;

/** What modules of imported specs are made for: a target; the processor in pages; or whatever a page has. */
export type ModuleTarget = keyof typeof MODULES;
/** The same, by one of its names. */
export type ModuleTargetName = ModuleTarget | EmittedTargetName;

export const MODULE_TARGETS: readonly ModuleTarget[] = Object.keys(MODULES).filter(isModuleTarget);

function isModuleTarget(name: string): name is ModuleTarget {
  return Object.hasOwn(MODULES, name);
}

export function moduleFacts(target: ModuleTarget): ModuleFacts {
  return MODULES[target];
}

/** What a word names of all that modules are made for; null if it names none of it. */
export function moduleTargetNamed(word: string): ModuleTarget | null {
  return isModuleTarget(word) ? word : targetNamed(word, EMITTED_TARGETS);
}

/** @throws MtacError MTA903 */
export function wantedModuleTarget(word: string): ModuleTarget {
  const named = moduleTargetNamed(word);
  if (named !== null) return named;
  throw noTarget(word, MODULE_TARGETS);
}
