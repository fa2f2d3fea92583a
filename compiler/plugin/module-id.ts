/**
 * A spec is a module, and so is each of its parts: `spec.mta` is the facade that re-exports, `spec.mta?mtac=mta_830m` an
 * attention's launcher, `spec.mta?mtac=mta_830m.kernels` its plans and kernels. Bundlers drop the parts that nobody uses.
 */
export interface SpecModuleId {
  /** The spec's file, as the bundler names it. */
  readonly file: string;
  /** null: the facade. */
  readonly part: string | null;
}

/**
 * Every id that is a spec's; other queries, such as Vite's `?raw` or `?url`, ask for the file itself. The file's own name may hold
 * `?` and `#`: a query is what follows `.mta`.
 */
export const SPEC_ID =
  /^([\s\S]*?\.mta)(?:\?((?:[^#]*&)?mtac=[\w.]+(?:&[^#]*)?|(?:import|t=\d+|v=[\da-f]+)(?:&(?:import|t=\d+|v=[\da-f]+))*))?$/;

/** Reads an id of a bundler; null if it is none of a spec's. */
export function parseId(id: string): SpecModuleId | null {
  const match = SPEC_ID.exec(id);
  if (match === null) return null;
  const [, file = id, query = ""] = match;
  return { file, part: new URLSearchParams(query).get("mtac") };
}

/** Whether bundlers would take a part of the name for a query or a fragment. */
export function looksLikeQuery(file: string): boolean {
  return /[?#]/.test(file);
}

/** How one module of a spec names another: they lie in one folder, as far as bundlers can tell. */
export function partSpecifier(specName: string, part: string): string {
  return `./${specName}?mtac=${part}`;
}
