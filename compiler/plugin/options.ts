import type { Schedule } from "../../runtime/contract/index.ts";
import { declarations, type MtacConfig } from "../config/index.ts";
import {
  type Check,
  type Checks,
  listed,
  optionFault,
  schedule,
  text,
  truth,
  wholeNumber,
} from "../options.ts";
import {
  DEFAULT_TARGET,
  MODULE_TARGETS,
  type ModuleTarget,
  type ModuleTargetName,
  moduleTargetNamed,
  wantedModuleTarget,
} from "../targets.ts";
import { badOption } from "./errors.ts";

/** How the `.d.ts` beside a spec is called; see `declarationsFile`. */
export type DeclarationsForm = "bundler" | "arbitrary-extensions";

/**
 * What the plugin takes. Everything but `target` and `cache` means the same as the flags of `mtac compile`, and may stand in
 * `mtac.config.ts` instead.
 */
export interface PluginOptions {
  /** Rows of queries and keys for which plans are chosen; 1024 if not given. Kernels run at every length. */
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
   * Whether to write a `.d.ts` beside each spec that is imported: `spec.mta.d.ts` (true, the default), which TypeScript finds with
   * `moduleResolution: "bundler"`, or `spec.d.mta.ts` ("arbitrary-extensions"), which it finds wherever `allowArbitraryExtensions`
   * is on, with NodeNext too.
   */
  readonly types?: boolean | "arbitrary-extensions";
  /**
   * `"webgpu"` (the default; also by the name `"wgsl"`), `"wasm"` for the processor in pages, `"auto"` for pages that take WebGPU where it is, else
   * the processor; `"cpu"` or `"cuda"` for programs that Node runs.
   */
  readonly target?: ModuleTargetName;
  /** False: compile anew in each process instead of keeping what was compiled in the cache folder. */
  readonly cache?: boolean;
}

/** The plugin's options, complete. */
export interface PluginSettings {
  readonly length: number;
  readonly schedule: Schedule | null;
  readonly grad: boolean;
  readonly tuned: boolean;
  readonly tuning: string | null;
  readonly store: string | null;
  /** null: write none. */
  readonly types: DeclarationsForm | null;
  readonly target: ModuleTarget;
  readonly cache: boolean;
}

/** What modules can be made for, by one of its names. */
const moduleTarget: Check = (value) =>
  typeof value === "string" && moduleTargetNamed(value) !== null ? null : `one of ${listed(MODULE_TARGETS)}`;

const CHECKS: Checks<keyof PluginOptions> = {
  length: wholeNumber,
  schedule,
  grad: truth,
  tuned: truth,
  tuning: text,
  store: text,
  types: declarations,
  target: moduleTarget,
  cache: truth,
};

/** @throws MtacError MTA960 for an option that is none, or a value that it does not take. */
export function pluginSettings(options: PluginOptions): PluginSettings {
  const fault = optionFault(options, CHECKS);
  if (fault !== null) throw badOption(fault.message, fault.remedy);
  const { length = 1024, grad = false, tuned = true, types = true, target = DEFAULT_TARGET } = options;
  return {
    length,
    schedule: options.schedule ?? null,
    grad,
    tuned,
    tuning: options.tuning ?? null,
    store: options.store ?? null,
    types: types === true ? "bundler" : types === false ? null : types,
    target: wantedModuleTarget(target),
    cache: options.cache ?? true,
  };
}

/** The same where the spec's project has a config: options come before it. */
export function projectSettings(options: PluginOptions, config: MtacConfig): PluginSettings {
  const { length, schedule: wanted, grad, tuned, tuning, store, types } = config;
  const settings = { length, schedule: wanted, grad, tuned, tuning, store, types };
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return pluginSettings({ ...Object.fromEntries(given), ...options });
}
