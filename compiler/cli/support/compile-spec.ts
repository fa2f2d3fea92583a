import { existsSync, watch } from "node:fs";
import path, { basename, dirname, extname, relative } from "node:path";
import { cacheFolder } from "../../../runtime/contract/cache-folder.ts";
import type { Artifact } from "../../../runtime/contract/index.ts";
import type { CompiledSpec } from "../../compile.ts";
import { resolve } from "../../ir/index.ts";
import type { CompileOptions } from "../../kernels.ts";
import type { CheckedSpec } from "../../language/attention.ts";
import { cudaArchitecture, DEFAULT_ARCHITECTURES } from "../../plan/index.ts";
import { formatBytes, formatMilliseconds, plural } from "../../units.ts";
import { writeFolderAtomically } from "./atomic-write.ts";
import { chooseAttentions } from "./attention-choice.ts";
import { unknownArchitecture } from "./errors.ts";
import { Finished, reportFailure } from "./failure.ts";
import { buildImages } from "./images.ts";
import type { Output } from "./output.ts";
import { reportPtxas } from "./ptxas.ts";
import { scheduleOf } from "./schedule.ts";
import { readSpec } from "./spec-file.ts";
import { table } from "./style.ts";
import { emittedTargets } from "./targets.ts";

export interface CompileFlags {
  readonly name?: string;
  readonly target?: readonly string[];
  readonly out?: string;
  readonly arch?: readonly string[];
  readonly ptxas?: boolean;
  readonly images?: true;
  /** False with `--no-launcher`. */
  readonly launcher: boolean;
  readonly length: number;
  readonly schedule?: string;
  readonly watch?: true;
  /** False with `--no-tuned`. */
  readonly tuned: boolean;
  readonly store?: string;
  /** A file of `mtac tune export`. */
  readonly tuning?: string;
}

/** `mtac compile` */
export async function compileSpec(file: string, flags: CompileFlags, output: Output): Promise<void> {
  emittedTargets(flags.target);
  for (const name of flags.arch ?? []) if (cudaArchitecture(name) === null) throw unknownArchitecture(name);
  if (flags.watch === true) await compileOnChange(file, flags, output);
  else await compileOnce(file, flags, output);
}

async function compileOnce(file: string, flags: CompileFlags, output: Output): Promise<void> {
  const start = performance.now();
  const spec = await readSpec(file, output);
  const attentions = chooseAttentions(spec, flags).map(({ name }) => name);
  const compileSpecOnce = await compilerFor(flags);
  const stacks = spec.stacks
    .filter(({ name }) => flags.name === undefined || flags.name === name)
    .map(({ name }) => name);
  const schedule = scheduleOf(flags.schedule);
  const targets = emittedTargets(flags.target);
  const architectures = flags.arch ?? DEFAULT_ARCHITECTURES;
  const options = {
    targets,
    architectures,
    names: [...attentions, ...stacks],
    shape: { B: 1, Lq: flags.length, Lk: flags.length, R: 0 },
    ...(schedule === undefined ? { tuned: await tunedWinners(spec, flags, output) } : { schedule }),
  };
  let compiled = compileSpecOnce(spec, options);
  if (flags.images === true && targets.includes("cuda")) {
    const images = await buildImages(compiled.cuda, architectures);
    compiled = compileSpecOnce(spec, { ...options, images });
  }
  const folder = flags.out ?? `${basename(file, extname(file))}.mtac`;
  writeFolderAtomically(folder, compiled.files);
  const milliseconds = performance.now() - start;
  output.text(formatCompiled(compiled, folder, milliseconds, output));
  const ptxas =
    (flags.ptxas ?? flags.target?.includes("cuda") === true) && targets.includes("cuda")
      ? await reportPtxas(compiled.cuda, folder, architectures, output)
      : undefined;
  output.result({
    out: folder,
    files: Object.keys(compiled.files),
    attentions: compiled.artifacts.map(summary),
    cuda: compiled.cuda.map(summary),
    stacks,
    milliseconds,
    ...(ptxas === undefined ? {} : { ptxas }),
  });
}

/** ts-morph, which prints launchers, takes long to load, and C++ projects do without it. */
async function compilerFor({
  launcher,
}: CompileFlags): Promise<(spec: CheckedSpec, options: CompileOptions) => CompiledSpec> {
  if (launcher) return (await import("../../compile.ts")).compileChecked;
  const { compileKernels } = await import("../../kernels.ts");
  return (spec, options) => {
    const { wgsl, cuda, files } = compileKernels(spec, options);
    return {
      artifacts: wgsl.map(({ artifact }) => artifact),
      cuda: cuda.map(({ artifact }) => artifact),
      files,
    };
  };
}

/** Loaded only where there is something to look up: most machines have tuned nothing. */
async function tunedWinners(
  spec: CheckedSpec,
  flags: CompileFlags,
  output: Output,
): Promise<NonNullable<CompileOptions["tuned"]>> {
  const store = flags.store ?? path.join(cacheFolder(), "tuning.jsonl");
  if (flags.tuning === undefined && !(flags.tuned && existsSync(store))) return new Map();
  const { tunedForArtifacts } = await import("./tuning-use.ts");
  const pipelines = spec.attentions.map((attention) => resolve(attention, spec.file));
  return tunedForArtifacts(pipelines, flags, output);
}

function summary({ name, plans }: Artifact): object {
  return {
    name,
    plans: plans.map(({ schedule, knobs, storage, requires, cost, kernels }) => ({
      schedule,
      knobs,
      storage,
      requires,
      cost,
      kernels: kernels.map((kernel) => kernel.file),
    })),
  };
}

/** Editors replace files rather than write into them, so the folder is watched. Runs until it is interrupted. */
async function compileOnChange(file: string, flags: CompileFlags, output: Output): Promise<void> {
  const compileAndReport = async (): Promise<void> => {
    try {
      await compileOnce(file, flags, output);
    } catch (error) {
      if (!(error instanceof Finished)) reportFailure(error, output);
    }
  };
  await compileAndReport();
  output.note(output.noteStyle.dim(`watching ${file}`));
  let scheduled: NodeJS.Timeout | undefined;
  watch(dirname(file) || ".", (_event, changed) => {
    if (changed !== basename(file)) return;
    clearTimeout(scheduled);
    scheduled = setTimeout(compileAndReport, 50);
  });
  await new Promise(() => {});
}

function formatCompiled(
  { artifacts, cuda, files }: CompiledSpec,
  folder: string,
  milliseconds: number,
  { style }: Output,
): string {
  const rows = [...artifacts, ...cuda].flatMap(({ name, plans }) =>
    plans.map(({ target, schedule, storage, requires, kernels, tuned }, index) => [
      index === 0 ? style.bold(name) : "",
      index === 0 ? (target === "cuda" ? "cuda" : "wgsl") : "",
      tuned === true ? `${schedule}, tuned` : schedule,
      storage,
      requires.computeCapability === undefined ? "" : `sm_${requires.computeCapability}`,
      formatBytes(requires.workgroupBytes),
      style.dim(kernels.map((kernel) => kernel.name).join(" → ")),
    ]),
  );
  const bytes = Object.values(files).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const count = plural(Object.keys(files).length, "file");
  const where = relative(process.cwd(), folder) || ".";
  return `${table(rows, ["left", "left", "left", "left", "left", "right", "left"])}\n${style.green("✓")} ${count} (${formatBytes(bytes)}) in ${where}${style.dim(`, ${formatMilliseconds(milliseconds)}`)}`;
}
