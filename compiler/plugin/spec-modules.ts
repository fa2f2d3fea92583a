import type { SourceMap } from "./source-map.ts";

/** One module of a spec as JavaScript. */
export interface SpecModule {
  readonly code: string;
  /** null: nothing in it has an origin. */
  readonly map: SourceMap | null;
}

/** Everything that a spec's modules need, whichever of them are asked for. */
export interface SpecBuild {
  readonly contents: SpecContents;
  /** The launchers, and the kernels' modules, by part. */
  readonly modules: Readonly<Record<string, SpecModule>>;
  /** The types of all of them, as a `.d.ts`. */
  readonly declarations: string;
}

/** What the modules of a spec hold, as far as the one that re-exports them must know. */
export interface SpecContents {
  /** The spec's file name, without folders. */
  readonly spec: string;
  /** Between an attention's name and its modules' ending. */
  readonly suffix: string;
  readonly attentions: readonly string[];
  readonly stacks: readonly SpecStack[];
}

export interface SpecStack {
  readonly name: string;
  /** Tells its module from one with other layers: equal attentions share kernels, so that names alone do not. */
  readonly digest: string;
}

/** What modules import where a launcher needs the runtime; Vite's server gives another one than builds do. */
export interface BuildFlavour {
  readonly hot: boolean;
}
