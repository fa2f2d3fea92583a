import type { Schedule } from "../../runtime/contract/plan.ts";
import { suggest } from "../language/suggest.ts";
import {
  type Check,
  type Checks,
  isRecord,
  listed,
  listOf,
  type OptionFault,
  optionFault,
  schedule,
  text,
  texts,
  truth,
  wholeNumber,
} from "../options.ts";
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
  /** Gradients, too: launchers have `backward`. Not, if not given. */
  readonly grad?: boolean;
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

/** Whether `.d.ts` files are written, and how they are called. */
export const declarations: Check = (value) =>
  value === "arbitrary-extensions" ? null : truth(value) && 'true, false or "arbitrary-extensions"';

/** A target that kernels are written for, by one of its names. */
export const emittedTarget: Check = (value) =>
  typeof value === "string" && targetNamed(value, EMITTED_TARGETS) !== null
    ? null
    : `one of ${listed(EMITTED_TARGETS)}`;

const CHECKS: Checks<keyof MtacConfig> = {
  specs: texts,
  targets: listOf(emittedTarget, `of ${listed(EMITTED_TARGETS)}`),
  out: text,
  architectures: texts,
  length: wholeNumber,
  schedule,
  grad: truth,
  tuned: truth,
  tuning: text,
  store: text,
  types: declarations,
};

/** Whether a value is a config; if not, the first thing that is wrong with it. */
export function configFault(value: unknown): OptionFault | null {
  if (!isRecord(value))
    return {
      message: "its default export is no object",
      remedy: 'export settings as default: `export default defineConfig({ specs: ["spec.mta"] })`',
    };
  const unknown = Object.keys(value).find((key) => !Object.hasOwn(CHECKS, key));
  if (unknown === undefined) return optionFault(value, CHECKS);
  const near = suggest(unknown, Object.keys(CHECKS));
  return {
    message: `there is no setting \`${unknown}\``,
    remedy: near === null ? `there are ${Object.keys(CHECKS).join(", ")}` : `did you mean \`${near}\`?`,
  };
}

export function isConfig(value: unknown): value is MtacConfig {
  return configFault(value) === null;
}
