/** One module of the compiler's sources, and what takes its place in builds. */
export interface BrowserModule {
  /** The absolute path of the module in the sources. */
  readonly file: string;
  /** JavaScript with the same exports. */
  text(): Promise<string>;
  /** The files that its text depends on. */
  reads(): readonly string[];
}

export declare const browserModules: readonly BrowserModule[];
