import { basename, dirname, extname, relative, resolve } from "node:path";
import type { Schedule, Target } from "../../../runtime/contract/index.ts";
import { loadConfig } from "../../config/load.ts";
import { cudaArchitecture, DEFAULT_ARCHITECTURES } from "../../plan/index.ts";
import type { PackageLayout } from "../../python/layouts.ts";
import { emissionFacts, emittedTargets } from "../../targets.ts";
import { specNeeded, unknownArchitecture, wrongUsage } from "../errors.ts";
import type { CompileFlags } from "./command.ts";

/** Places for compiled kernels. */
const IMAGE_PLACES = ["embed", "files"] as const;
export type ImagePlace = (typeof IMAGE_PLACES)[number];

/** What `mtac compile` does: flags, else the config, else defaults. */
export interface CompileSettings {
  readonly specs: readonly string[];
  /** The config file that was read; null if there is none. */
  readonly configFile: string | null;
  readonly name?: string;
  readonly targets: readonly Target[];
  readonly architectures: readonly string[];
  readonly length: number;
  readonly schedule?: Schedule;
  readonly out?: string;
  readonly launcher: boolean;
  readonly grad: boolean;
  /** How the Python package lies that is written, and nothing else; null where launchers are. */
  readonly python: PackageLayout | null;
  /** Where compiled kernels go: into the launchers, into files beside them; null for nowhere. */
  readonly images: ImagePlace | null;
  /** Whether to show what ptxas says; where neither is asked for, wherever a target of it is asked for by name. */
  readonly ptxas: boolean;
  readonly tuned: boolean;
  readonly store?: string;
  readonly tuning?: string;
}

/**
 * @param spec The spec named on the command line; if none is, the config says which.
 * @throws MtacError MTA900 for `--images`; MTA915 for architectures that are none; MTA905, MTA907 and MTA926 for a config that cannot be used; MTA927
 * without a spec.
 */
export async function compileSettings(
  spec: string | undefined,
  flags: CompileFlags,
): Promise<CompileSettings> {
  const given = flags.config === undefined ? undefined : resolve(flags.config);
  const { file, config } = await loadConfig(spec === undefined ? "." : dirname(spec), given);
  const architectures = flags.arch ?? config.architectures ?? DEFAULT_ARCHITECTURES;
  for (const each of architectures) if (cudaArchitecture(each) === null) throw unknownArchitecture(each);
  const here = (path: string): string => relative(".", path) || ".";
  const specs = spec === undefined ? (config.specs ?? []).map(here) : [spec];
  if (specs.length === 0) throw specNeeded("compile", file);
  const python = packageLayout(flags);
  const targets = emittedTargets(python !== null ? ["cpu"] : (flags.target ?? config.targets));
  const nvccTargets = targets.filter((target) => emissionFacts(target).nvcc);
  const schedule = flags.schedule ?? config.schedule;
  const named = nvccTargets.some((target) => flags.target?.includes(target));
  const optional = {
    name: flags.name,
    out: flags.out ?? (config.out === undefined ? undefined : here(config.out)),
    store: flags.store ?? config.store,
    tuning: flags.tuning ?? config.tuning,
    schedule,
  };
  return {
    specs,
    configFile: file,
    targets,
    architectures,
    length: flags.length ?? config.length ?? 1024,
    launcher: flags.launcher,
    grad: python !== null || (flags.grad ?? config.grad ?? false),
    python,
    images: nvccTargets.length === 0 ? null : imagePlace(flags.images),
    ptxas: flags.ptxas === undefined ? named : flags.ptxas && nvccTargets.length > 0,
    tuned: flags.tuned && config.tuned !== false,
    ...defined(optional),
  };
}

/** @throws MtacError MTA900 for `--layout` without `--python`, and for what `--python` does not go with. */
function packageLayout(flags: CompileFlags): PackageLayout | null {
  const { python, layout } = flags;
  if (python === true) {
    refuseBesidePython(flags);
    return layout ?? "package";
  }
  if (layout !== undefined)
    throw wrongUsage("`--layout` is how a package for PyTorch lies in its folder", "add `--python`");
  return null;
}

/** A package has kernels for what PyTorch computes on, and no launchers. @throws MtacError MTA900 */
function refuseBesidePython({ target, images, launcher, ptxas }: CompileFlags): void {
  const others = {
    "--target": target !== undefined,
    "--images": images !== undefined,
    "--ptxas": ptxas === true,
    "--no-launcher": !launcher,
  };
  const other = Object.entries(others).find(([, isGiven]) => isGiven)?.[0];
  if (other !== undefined)
    throw wrongUsage(
      `\`--python\` writes a package for PyTorch, which \`${other}\` does not concern`,
      `leave out \`${other}\``,
    );
}

/** @throws MtacError MTA900 */
function imagePlace(given: string | true | undefined): ImagePlace | null {
  if (given === undefined) return null;
  if (given === true) return "embed";
  const place = IMAGE_PLACES.find((each) => each === given);
  if (place === undefined)
    throw wrongUsage(`\`--images ${given}\` says nothing`, "write `--images embed` or `--images files`");
  return place;
}

/** The folder that a spec's files go to. */
export function outputFolder(spec: string, { out, python }: CompileSettings): string {
  return out ?? `${basename(spec, extname(spec))}.${python === null ? "mtac" : "python"}`;
}

type Defined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

function defined<T extends object>(values: T): Defined<T> {
  const result: Defined<T> = {};
  for (const key in values) {
    const value = values[key];
    if (value !== undefined) Object.assign(result, { [key]: value });
  }
  return result;
}
