import { SCHEDULES, type Schedule } from "../../runtime/contract/plan.ts";
import { suggest } from "../language/suggest.ts";
import { EMITTED_TARGETS, type EmittedTargetName, targetNamed } from "../targets.ts";

/** A project's settings: what `mtac.config.ts` exports. Flags of commands, and options of the bundler plugin, come before them. */
export interface MtacConfig {
  /** Spec files (`.mta` or `.ts`), for commands that are given none. Relative to the config file, as all paths are. */
  readonly specs?: readonly string[];
  /** What `compile` writes; `webgpu` and `cuda` if not given. `wgsl` is another name of `webgpu`. */
  readonly targets?: readonly EmittedTargetName[];
  /** The folder that `compile` writes to. If not given, each spec has a folder of its own, `<spec name>.mtac`, where the command runs. */
  readonly out?: string;
  /** CUDA architectures to plan for, as nvcc's `-arch` names them; `["sm_80"]` if not given. */
  readonly architectures?: readonly string[];
  /** Rows of queries and keys to plan for; 1024 if not given. Kernels run at every length. */
  readonly length?: number;
  /** Consider this schedule only. */
  readonly schedule?: Schedule;
  /** False: take the planner's choice, whatever `mtac tune` has found. */
  readonly tuned?: boolean;
  /** A file of `mtac tune export`, whose winners launchers prefer. */
  readonly tuning?: string;
  /** The tuning store; `mtac/tuning.jsonl` in the cache folder if not given. */
  readonly store?: string;
  /**
   * Whether the bundler plugin writes a `.d.ts` beside each spec that is imported: `spec.mta.d.ts` (true, the default), or
   * `spec.d.mta.ts` ("arbitrary-extensions"); see `mtac types`.
   */
  readonly types?: boolean | "arbitrary-extensions";
}

/**
 * Gives a config its type, for editors:
 *
 * ```ts
 * import { defineConfig } from "mtac";
 *
 * export default defineConfig({ specs: ["src/attention.mta"], targets: ["webgpu"], out: "src/attention" });
 * ```
 */
export function defineConfig(config: MtacConfig): MtacConfig {
  return config;
}

/** What is wrong with a config, and how to mend it. */
export interface ConfigFault {
  readonly message: string;
  readonly remedy: string;
}

type Check = (value: unknown) => string | null;

const strings: Check = (value) =>
  Array.isArray(value) && value.every((each) => typeof each === "string") ? null : "an array of strings";
const string: Check = (value) => (typeof value === "string" ? null : "a string");
const truth: Check = (value) => (typeof value === "boolean" ? null : "true or false");
const quoted = (words: readonly string[]): string => words.map((each) => `"${each}"`).join(", ");

const CHECKS: Readonly<Record<keyof MtacConfig, Check>> = {
  specs: strings,
  targets: (value) =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((each) => typeof each === "string" && targetNamed(each, EMITTED_TARGETS) !== null)
      ? null
      : `an array of one or more of ${quoted(EMITTED_TARGETS)}`,
  out: string,
  architectures: strings,
  length: (value) =>
    typeof value === "number" && Number.isSafeInteger(value) && value > 0
      ? null
      : "a whole number, at least 1",
  schedule: (value) =>
    SCHEDULES.some((schedule) => schedule === value) ? null : `one of ${quoted(SCHEDULES)}`,
  tuned: truth,
  tuning: string,
  store: string,
  types: (value) =>
    value === "arbitrary-extensions" ? null : truth(value) && 'true, false or "arbitrary-extensions"',
};

/** Whether a value is a config; if not, the first thing that is wrong with it. */
export function configFault(value: unknown): ConfigFault | null {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return {
      message: "its default export is no object",
      remedy: 'export settings as default: `export default defineConfig({ specs: ["spec.mta"] })`',
    };
  for (const [key, setting] of Object.entries(value)) {
    if (!isSetting(key)) {
      const near = suggest(key, Object.keys(CHECKS));
      return {
        message: `there is no setting \`${key}\``,
        remedy: near === null ? `there are ${Object.keys(CHECKS).join(", ")}` : `did you mean \`${near}\`?`,
      };
    }
    const wanted = setting === undefined ? null : CHECKS[key](setting);
    if (wanted !== null) return { message: `\`${key}\` is ${shown(setting)}`, remedy: `give ${wanted}` };
  }
  return null;
}

export function isConfig(value: unknown): value is MtacConfig {
  return configFault(value) === null;
}

function isSetting(key: string): key is keyof MtacConfig {
  return Object.hasOwn(CHECKS, key);
}

function shown(value: unknown): string {
  return typeof value === "function" ? "a function" : (JSON.stringify(value) ?? String(value));
}
