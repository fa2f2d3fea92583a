import { basename } from "node:path";
import { SpecError } from "../compile/checked-source.ts";
import { digestOf } from "../files/text.ts";
import { resolve } from "../ir/index.ts";
import type { CheckedSpec, Diagnostic } from "../language/index.ts";
import { analyse } from "../language/index.ts";
import { packageVersion } from "../package.ts";
import { type TuningNotice, tunedWinners } from "../tune/tuned-winners.ts";
import { compilerStamp, type ModuleCache } from "./cache.ts";
import type { PluginSettings } from "./options.ts";
import type { BuildFlavour, SpecBuild } from "./spec-modules.ts";

/** A spec as it was built, and what there is to say about it. */
export interface BuiltSpec {
  readonly spec: CheckedSpec;
  readonly build: SpecBuild;
  /** Warnings only: errors are thrown. */
  readonly diagnostics: readonly Diagnostic[];
  readonly notices: readonly TuningNotice[];
}

/**
 * Compiles a spec to the modules that bundlers load. The same text, settings and tuning results give the same modules, wherever the
 * spec lies.
 *
 * @throws SpecError when the spec has errors; MtacError MTA4xx when no schedule fits, MTA907 without ts-morph.
 */
export async function buildSpec(
  text: string,
  file: string,
  settings: PluginSettings,
  flavour: BuildFlavour,
  cache: ModuleCache,
): Promise<BuiltSpec> {
  const { spec, diagnostics } = analyse(text, printable(file));
  if (spec === null) throw new SpecError(diagnostics);
  const notices: TuningNotice[] = [];
  const tuned = await winnersFor(spec, settings, (notice) => notices.push(notice));
  const key = keyOf([
    text,
    basename(file),
    settings.length,
    settings.schedule,
    settings.grad,
    settings.target,
    flavour,
    [...tuned],
  ]);
  const build = await cache.get(key, async () => {
    // ts-morph, which turns launchers into JavaScript, takes long to load, and may be missing.
    const { emitSpec } = await import("./emit-spec.ts");
    const { length, schedule, grad } = settings;
    return emitSpec(
      { spec, name: basename(file), text, target: settings.target, flavour },
      {
        shape: { B: 1, Lq: length, Lk: length, R: 0 },
        grad,
        ...(schedule === null ? { tuned } : { schedule }),
      },
    );
  });
  return { spec, build, diagnostics, notices };
}

/** Emitted comments name the file: a line end in it would end them. */
function printable(file: string): string {
  return file.replace(/[\p{Cc}\u2028\u2029]/gu, "\uFFFD");
}

function winnersFor(
  spec: CheckedSpec,
  { schedule, tuned, store, tuning, grad }: PluginSettings,
  report: (notice: TuningNotice) => void,
): ReturnType<typeof tunedWinners> {
  // Who names a schedule gets the planner's choice of that schedule.
  if (schedule !== null) return Promise.resolve(new Map());
  const pipelines = spec.attentions.map((attention) => resolve(attention, basename(spec.file)));
  const sources = {
    grad,
    tuned,
    ...(store === null ? {} : { store }),
    ...(tuning === null ? {} : { tuning }),
  };
  return tunedWinners(pipelines, sources, report);
}

function keyOf(parts: readonly unknown[]): string {
  return digestOf(JSON.stringify([packageVersion(), compilerStamp(), ...parts]));
}
