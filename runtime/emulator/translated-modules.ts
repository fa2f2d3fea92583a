import { type EmulatedKernel, type LoadedKernel, type ModuleSource, remake } from "./module.ts";

interface Translated {
  readonly kernels: ReadonlyMap<string, LoadedKernel>;
  readonly instructions: number;
}

function translatedOf(kernels: readonly LoadedKernel[]): Translated {
  return {
    kernels: new Map(kernels.map((loaded) => [loaded.kernel.name, loaded])),
    instructions: kernels.reduce((sum, { compiled }) => sum + compiled.parsed.instructions.length, 0),
  };
}

/** The modules of a device. Those that were not run for the longest time are kept as text beyond a limit, and translated again when they are run. */
export class TranslatedModules {
  private readonly sources = new WeakMap<EmulatedKernel, ModuleSource>();
  /** In the order of their last run. */
  private readonly translated = new Map<ModuleSource, Translated>();
  /** Instructions of all kernels that are kept, at most. */
  private readonly most: number;
  private instructions = 0;

  constructor(most: number) {
    this.most = most;
  }

  add(source: ModuleSource, kernels: readonly LoadedKernel[]): void {
    for (const { kernel } of kernels) this.sources.set(kernel, source);
    this.keep(source, translatedOf(kernels));
  }

  /** A kernel that is about to run; null where it was loaded on another device. */
  find(kernel: EmulatedKernel): LoadedKernel | null {
    const source = this.sources.get(kernel);
    if (source === undefined) return null;
    const known = this.translated.get(source);
    if (known !== undefined) this.drop(source, known);
    const found = known ?? translatedOf(remake(source));
    this.keep(source, found);
    return found.kernels.get(kernel.name) ?? null;
  }

  private keep(source: ModuleSource, module: Translated): void {
    this.translated.set(source, module);
    this.instructions += module.instructions;
    for (const [oldest, its] of this.translated) {
      if (this.instructions <= this.most || oldest === source) break;
      this.drop(oldest, its);
    }
  }

  private drop(source: ModuleSource, module: Translated): void {
    this.translated.delete(source);
    this.instructions -= module.instructions;
  }
}
