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

/** Precedes ids of modules that are no files to the bundler. */
export const VIRTUAL_SCHEME = "mtac-spec:";

/** Browsers cut addresses at these two, and Vite undoes what is escaped with `%`. */
const ESCAPED = /[~#?%]/g;

/**
 * The id under which Vite's server serves a spec whose name would not survive in an address: the zero byte keeps other plugins and Vite
 * itself from taking it for a file.
 *
 * @param id As `resolveSpec` gives it; a query stays one.
 */
export function servedId(id: string): string {
  const file = parseId(id)?.file ?? id;
  const name = file.replace(ESCAPED, (character) => `~${character.charCodeAt(0).toString(16)}`);
  return `\0${VIRTUAL_SCHEME}${name}${id.slice(file.length)}`;
}

/** The id with the file's own name, of whatever a bundler was given for it. */
export function realId(id: string): string {
  const start = id.indexOf(VIRTUAL_SCHEME);
  if (start < 0) return id;
  const real = id.slice(start + VIRTUAL_SCHEME.length);
  return id.startsWith("\0")
    ? real.replace(/~([\da-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    : real;
}

/** How one module of a spec names another: they lie in one folder, as far as bundlers can tell. */
export function partSpecifier(specName: string, part: string): string {
  return `./${specName}?mtac=${part}`;
}
