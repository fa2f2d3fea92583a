/** Every target by its one name: the float64 reference, WebGPU, NVIDIA's driver, and CUDA kernels on the processor. */
export const TARGETS = ["reference", "webgpu", "cuda", "cuda-emulated"] as const;
export type TargetName = (typeof TARGETS)[number];

/** What kernels are planned and written for: WGSL with typed launchers, CUDA with a C API and typed launchers. */
export const EMITTED_TARGETS = ["webgpu", "cuda"] as const satisfies readonly TargetName[];
export type EmittedTarget = (typeof EMITTED_TARGETS)[number];

/** What kernels are timed and tuned on. */
export const METERED_TARGETS = ["webgpu", "cuda", "cuda-emulated"] as const satisfies readonly TargetName[];
export type MeteredTarget = (typeof METERED_TARGETS)[number];

/** Other names that are understood wherever a target is named. */
const ALIASES = { wgsl: "webgpu" } as const satisfies Readonly<Record<string, TargetName>>;
type Alias = keyof typeof ALIASES;

/** A target that kernels are written for, or the name of its language. */
export type EmittedTargetName = EmittedTarget | Alias;

/** The one of some targets that a word names, if it names one of them. */
export function targetNamed<T extends TargetName>(word: string, known: readonly T[]): T | null {
  const name = isAlias(word) ? ALIASES[word] : word;
  return known.find((each) => each === name) ?? null;
}

/** The targets that a caller wants written, each once; all of them if none is named. */
export function emittedTargets(
  words: readonly EmittedTargetName[] = EMITTED_TARGETS,
): readonly EmittedTarget[] {
  return EMITTED_TARGETS.filter((target) =>
    words.some((word) => targetNamed(word, EMITTED_TARGETS) === target),
  );
}

function isAlias(word: string): word is Alias {
  return Object.hasOwn(ALIASES, word);
}
