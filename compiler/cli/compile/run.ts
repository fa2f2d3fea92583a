import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path, { dirname, relative } from "node:path";
import type { Artifact } from "../../../runtime/contract/index.ts";
import { withLaunchers } from "../../compile/compile.ts";
import { type CompiledKernels, type CompileOptions, compileKernels } from "../../compile/kernels.ts";
import { configPlaces } from "../../config/load.ts";
import { loadGradients } from "../../emit/index.ts";
import { writeAtomically, writeFolderAtomically } from "../../files/atomic-write.ts";
import { unwritablePath, writtenTwice } from "../../files/errors.ts";
import { refuseOverlap } from "../../files/overlap.ts";
import { resolve } from "../../ir/index.ts";
import type { CheckedSpec } from "../../language/attention.ts";
import { emissionFacts } from "../../targets.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { withProgress } from "../../terminal/progress.ts";
import { buildImageFiles, buildImages } from "../../toolchain/images.ts";
import { inspectKernels, type KernelResources } from "../../toolchain/ptxas.ts";
import { storePath } from "../../tune/store-path.ts";
import { Finished, reportFailure } from "../failure.ts";
import { chooseAttentions } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { CompileFlags } from "./command.ts";
import { type CompileSettings, compileSettings, outputFolder } from "./settings.ts";
import { formatCompiled, formatResources } from "./text.ts";
import { repeatOnChange } from "./watch.ts";

/** `mtac compile` */
export async function run(given: string | undefined, givenFlags: CompileFlags): Promise<void> {
  const { spec, flags } = withoutValue(given, givenFlags);
  const output = openOutput(flags, { lines: flags.watch === true });
  const settings = await compileSettings(spec, flags);
  if (flags.watch === true) await compileOnChange(spec, flags, settings, output);
  // All before anything is written: what the last one lacks must not leave the first ones' files behind.
  const made: MadeFiles[] = [];
  for (const each of settings.specs) made.push(await makeFiles(each, settings, output));
  const results = await writeAll(made, settings, output);
  output.result(spec === undefined ? results : results[0]);
}

/** `--images spec.mta`: the option stands without a value. */
function withoutValue(
  spec: string | undefined,
  flags: CompileFlags,
): { readonly spec: string | undefined; readonly flags: CompileFlags } {
  const { images } = flags;
  return spec === undefined && typeof images === "string" && /\.\w+$/.test(images)
    ? { spec: images, flags: { ...flags, images: true } }
    : { spec, flags };
}

async function writeAll(
  made: readonly MadeFiles[],
  settings: CompileSettings,
  output: Output,
): Promise<readonly object[]> {
  refuseSharedFiles(made);
  const results: object[] = [];
  for (const each of made) results.push(await writeFiles(each, settings, output));
  return results;
}

/** What one spec was compiled to. */
interface MadeFiles {
  readonly spec: string;
  readonly folder: string;
  readonly compiled: CompiledKernels;
  /** Compiled kernels that are files of their own. */
  readonly binaries: Readonly<Record<string, Uint8Array>>;
  readonly stacks: readonly string[];
  readonly milliseconds: number;
}

async function makeFiles(file: string, settings: CompileSettings, output: Output): Promise<MadeFiles> {
  const start = performance.now();
  const { targets, architectures, length, schedule, grad } = settings;
  if (grad) await loadGradients();
  const spec = await readSpec(file, output);
  const attentions = chooseAttentions(spec, settings).map(({ name }) => name);
  const stacks = spec.stacks
    .filter(({ name }) => settings.name === undefined || settings.name === name)
    .map(({ name }) => name);
  const options = {
    targets,
    architectures,
    grad,
    names: [...attentions, ...stacks],
    shape: { B: 1, Lq: length, Lk: length, R: 0 },
    ...(schedule === undefined ? { tuned: await tunedWinners(spec, settings, output) } : { schedule }),
  };
  const compile = (more: CompileOptions = {}): CompiledKernels => {
    const kernels = compileKernels(spec, { ...options, ...more });
    return settings.launcher ? withLaunchers(kernels) : kernels;
  };
  let compiled = compile();
  const folder = outputFolder(file, settings);
  let binaries: Readonly<Record<string, Uint8Array>> = {};
  if (settings.images !== null) {
    const sources = nvccArtifacts(compiled);
    const images = await withProgress(output, (report) => buildImages(sources, architectures, report));
    if (settings.images === "files")
      binaries = await withProgress(output, (report) => buildImageFiles(sources, images, report));
    else compiled = compile({ images });
  }
  if (settings.python !== null) {
    // Loaded only where it is asked for.
    const { emitPythonPackage } = await import("../../python/index.ts");
    const { pipelines, stacks: layers, provenance } = compiled;
    const files = emitPythonPackage(pipelines, layers, provenance, {
      layout: settings.python,
      ...repositoryOf(folder),
    });
    compiled = { ...compiled, files };
  }
  refuseOverwriting(Object.keys({ ...compiled.files, ...binaries }), folder, file, settings);
  const milliseconds = performance.now() - start;
  return { spec: file, folder, compiled, binaries, stacks, milliseconds };
}

/** Writes a spec's files; gives what `--json` prints. */
async function writeFiles(made: MadeFiles, settings: CompileSettings, output: Output): Promise<object> {
  const { spec, folder, compiled, binaries, stacks } = made;
  const start = performance.now();
  writeFolderAtomically(folder, compiled.files);
  if (settings.python !== null) removeStale(folder, Object.keys(compiled.files));
  for (const [name, content] of Object.entries(binaries)) writeAtomically(path.join(folder, name), content);
  const milliseconds = made.milliseconds + performance.now() - start;
  const files = { ...compiled.files, ...binaries };
  const { artifacts, ...others } = compiled.artifacts;
  const all = [artifacts, ...Object.values(others)].flat();
  output.text(formatCompiled(all, files, folder, milliseconds, output));
  const ptxas = settings.ptxas
    ? await inspectSources(nvccArtifacts(compiled), folder, settings, output)
    : undefined;
  return {
    out: folder,
    reads: filesRead(spec, settings),
    files: Object.keys(files),
    attentions: artifacts.map(summary),
    ...Object.fromEntries(Object.entries(others).map(([name, each]) => [name, each.map(summary)])),
    stacks,
    milliseconds,
    ...(ptxas === undefined ? {} : { ptxas }),
  };
}

/** What a kernel's `build.toml` says of its place on the Hub, which nobody but its owner knows. */
function repositoryOf(folder: string): { readonly repository?: string } {
  try {
    const [, repository] =
      /^repo-id = "([^"\n]+)"$/m.exec(readFileSync(path.join(folder, "build.toml"), "utf8")) ?? [];
    return repository === undefined ? {} : { repository };
  } catch {
    return {};
  }
}

/** What mtac wrote into a package's own folders before, and does not write now: kernels of attentions that are gone would be compiled, and shipped. @throws MtacError MTA906 */
function removeStale(folder: string, written: readonly string[]): void {
  const kept = new Set(written.map((name) => path.join(folder, name)));
  const own = new Set(
    written
      .map((name) => path.dirname(name))
      .filter((name) => /(?:^|\/)_(?:cuda|native|runtime)$/.test(name)),
  );
  for (const each of own)
    for (const name of readdirSync(path.join(folder, each))) {
      const file = path.join(folder, each, name);
      // Machine code is called as its source, and the source's digest.
      const source = /^(.*)-[0-9a-f]{8}\.sm_\d+\.cubin$/.exec(name)?.[1];
      const gone =
        source === undefined ? !kept.has(file) : !kept.has(path.join(folder, each, `${source}.cu`));
      if (!gone || !/\.(?:cu|json|cubin|[ch]|py)$/.test(name)) continue;
      try {
        rmSync(file);
      } catch (cause) {
        throw unwritablePath(file, cause);
      }
    }
}

/** Shows what ptxas says, where there is one. */
async function inspectSources(
  sources: readonly Artifact[],
  folder: string,
  { architectures }: CompileSettings,
  output: Output,
): Promise<readonly KernelResources[] | null> {
  const resources = await withProgress(output, (report) =>
    inspectKernels(sources, folder, architectures, report),
  );
  if (resources === null)
    output.note(output.noteStyle.dim("no nvcc on the PATH: nothing is known of registers and spills"));
  else output.text(formatResources(resources, output));
  return resources;
}

/** A spec `heads.ts` may declare `heads`, whose launcher is `heads.ts`, too. @throws MtacError MTA930 */
function refuseOverwriting(
  names: readonly string[],
  folder: string,
  spec: string,
  { configFile, tuning, store }: CompileSettings,
): void {
  refuseOverlap(
    names.map((name) => ({ name: "the emitted file", path: path.join(folder, name) })),
    [
      { name: "the spec", path: spec },
      { name: "the config", path: configFile ?? undefined },
      { name: "`--tuning`", path: tuning },
      { name: "the tuning store", path: storePath(store) },
    ],
  );
}

/** Specs of one project may go to one folder, but not into one file. @throws MtacError MTA930 */
function refuseSharedFiles(made: readonly MadeFiles[]): void {
  const owners = new Map<string, { readonly spec: string; readonly content: string | Uint8Array }>();
  for (const { spec, folder, compiled, binaries } of made)
    for (const [name, content] of Object.entries({ ...compiled.files, ...binaries })) {
      const file = path.resolve(folder, name);
      const other = owners.get(file);
      if (other !== undefined && !Buffer.from(other.content).equals(Buffer.from(content)))
        throw writtenTwice(path.join(folder, name), other.spec, spec);
      owners.set(file, { spec, content });
    }
}

/** What the result depends on, for build tools: the spec, the config, tuning results; absolute paths. */
function filesRead(spec: string, { configFile, tuned, tuning, store }: CompileSettings): readonly string[] {
  const results = [tuning, tuned ? storePath(store) : undefined];
  return [spec, configFile, ...results]
    .filter((each) => each !== null && each !== undefined)
    .map((each) => path.resolve(each))
    .filter((each) => existsSync(each));
}

/** What nvcc compiles. */
function nvccArtifacts({ emitted }: CompiledKernels): readonly Artifact[] {
  const attentions = [...emitted].flatMap(([target, each]) => (emissionFacts(target).nvcc ? each : []));
  return attentions.map(({ artifact }) => artifact);
}

/** Loaded only where there is something to look up: most machines have tuned nothing. */
async function tunedWinners(
  spec: CheckedSpec,
  settings: CompileSettings,
  output: Output,
): Promise<NonNullable<CompileOptions["tuned"]>> {
  const store = storePath(settings.store);
  if (settings.tuning === undefined && !(settings.tuned && existsSync(store))) return new Map();
  const lookup = await import("../../tune/tuned-winners.ts");
  const pipelines = spec.attentions.map((attention) => resolve(attention, spec.file));
  return lookup.tunedWinners(pipelines, settings, output.notice);
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

/**
 * Compiles again whenever a spec or the config changes; what is broken is reported, and its files stay as they were. With `--json` each
 * round prints one line.
 */
async function compileOnChange(
  spec: string | undefined,
  flags: CompileFlags,
  first: CompileSettings,
  output: Output,
): Promise<never> {
  let settings = first;
  const files = (): readonly string[] => [
    ...settings.specs,
    // One may come, or another one that is nearer.
    ...(flags.config === undefined ? configPlaces(spec === undefined ? "." : dirname(spec)) : [flags.config]),
  ];
  const survive = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Finished)) reportFailure(error, output);
    }
  };
  return repeatOnChange(files(), async () => {
    await survive(async () => {
      settings = await compileSettings(spec, flags);
      const made: MadeFiles[] = [];
      for (const each of settings.specs)
        await survive(async () => void made.push(await makeFiles(each, settings, output)));
      for (const result of await writeAll(made, settings, output)) output.result(result);
    });
    const { specs, configFile } = settings;
    const names = [...specs, ...(configFile === null ? [] : [configFile])].map((file) => relative(".", file));
    output.note(output.noteStyle.dim(`watching ${names.join(", ")}`));
    return files();
  });
}
