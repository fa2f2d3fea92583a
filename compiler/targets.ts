import type { Target } from "../runtime/contract/index.ts";

/** A target's device, as far as it is known without its code (`targets/index.ts` loads that). */
interface DeviceFacts {
  /** Whose plans and kernels it runs: those that are written for it, or another target's. */
  readonly runs: Target;
  /** Whether it counts what kernels do, to the digit, rather than time them. */
  readonly counts: boolean;
  /** Whether kernels are made for one of several architectures, of which `--arch` names one. */
  readonly architectures: boolean;
  /** Candidates of a sweep: as many as a device that is timed takes in a minute or so; counted ones are slow. */
  readonly candidates: number;
  /** Keys of the small call that checks a candidate's results: more than one tile of any plan, and no multiple of one. */
  readonly checkedKeys: number;
}

interface TargetFacts {
  /** Other names that are understood wherever the target is named. */
  readonly aliases: readonly string[];
  readonly gradients: boolean;
  /** What kernels run on; null where there are none. */
  readonly device: DeviceFacts | null;
}

/** Every target by its one name: the float64 reference, WebGPU, NVIDIA's driver, and CUDA kernels on the processor. */
const FACTS = {
  reference: { aliases: [], gradients: true, device: null },
  webgpu: {
    aliases: ["wgsl"],
    gradients: false,
    device: { runs: "webgpu", counts: false, architectures: false, candidates: 20, checkedKeys: 77 },
  },
  cuda: {
    aliases: [],
    gradients: false,
    device: { runs: "cuda", counts: false, architectures: true, candidates: 48, checkedKeys: 147 },
  },
  "cuda-emulated": {
    aliases: [],
    gradients: false,
    device: { runs: "cuda", counts: true, architectures: true, candidates: 12, checkedKeys: 147 },
  },
} as const satisfies Readonly<Record<string, TargetFacts>>;

type Facts = typeof FACTS;
export type TargetName = keyof Facts;
/** What kernels are timed and tuned on. */
export type MeteredTarget = { [N in TargetName]: Facts[N]["device"] extends null ? never : N }[TargetName];
/** What kernels are planned and written for: WGSL with typed launchers, CUDA with a C API and typed launchers. */
export type EmittedTarget = Facts[MeteredTarget]["device"]["runs"];
/** A target that kernels are written for, or the name of its language. */
export type EmittedTargetName = EmittedTarget | Facts[EmittedTarget]["aliases"][number];

export const TARGETS: readonly TargetName[] = Object.keys(FACTS).filter(isTarget);
export const METERED_TARGETS: readonly MeteredTarget[] = TARGETS.filter(isMetered);
export const EMITTED_TARGETS: readonly EmittedTarget[] = METERED_TARGETS.filter(isEmitted);

function isTarget(name: string): name is TargetName {
  return Object.hasOwn(FACTS, name);
}

function isMetered(name: TargetName): name is MeteredTarget {
  return FACTS[name].device !== null;
}

function isEmitted(name: MeteredTarget): name is EmittedTarget {
  return FACTS[name].device.runs === name;
}

/** What is known of a target's device. */
export function deviceFacts(target: MeteredTarget): DeviceFacts {
  return FACTS[target].device;
}

/** Whether kernels of a target are made for one of several architectures. */
export function hasArchitectures(target: TargetName): boolean {
  return FACTS[target].device?.architectures ?? false;
}

/** Whether a target computes gradients. */
export function hasGradients(target: TargetName): boolean {
  return FACTS[target].gradients;
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

/** The targets that a caller wants written, each once; all of them if none is named. */
export function emittedTargets(
  words: readonly EmittedTargetName[] = EMITTED_TARGETS,
): readonly EmittedTarget[] {
  return EMITTED_TARGETS.filter((target) =>
    words.some((word) => targetNamed(word, EMITTED_TARGETS) === target),
  );
}
