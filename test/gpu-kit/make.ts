import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { checkSource } from "../../compiler/compile/checked-source.ts";
import { compileKernels } from "../../compiler/compile/kernels.ts";
import { artifactOf } from "../../compiler/emit/artifact.ts";
import { cudaArchitecture, cudaMachine, keepValues } from "../../compiler/plan/index.ts";
import { cudaArtifact } from "../../compiler/python/cuda.ts";
import { emitPythonPackage } from "../../compiler/python/index.ts";
import { tuneCandidates } from "../../compiler/tune/candidates.ts";
import { describeCandidate } from "../../compiler/tune/trial-candidates.ts";
import type { Artifact, Pipeline, Plan } from "../../runtime/contract/index.ts";
import type { KitSpec, TimedAttention } from "./specs.ts";
import { tarOf } from "./tar.ts";

/** What a kit is made of. */
export interface KitContents {
  readonly specs: readonly KitSpec[];
  /** Folders of vectors, each with an `index.json`: of two vectors of one name the first is taken. */
  readonly vectors: readonly string[];
  readonly main: readonly TimedAttention[];
  readonly others: readonly TimedAttention[];
  /** The attention whose other plans are timed, and how many in each direction; null for none. */
  readonly candidates: { readonly package: string; readonly attention: string; readonly most: number } | null;
  /** Architectures that kernels are compiled for beforehand, `sm_90`, by a Python that has PyTorch, and NVRTC or nvcc. */
  readonly cubins: { readonly architectures: readonly string[]; readonly python: string } | null;
}

interface PackageEntry {
  readonly name: string;
  /** `spec`: checked and timed; `vectors`, `candidates`: for these steps only. */
  readonly role: "spec" | "vectors" | "candidates";
  readonly attentions: readonly string[];
  readonly text: string;
}

interface VectorEntry {
  readonly name: string;
  readonly package: string;
  readonly attention: string;
  readonly layer: number | null;
}

interface CandidateEntry {
  readonly package: string;
  readonly attention: string;
  readonly ofPackage: string;
  readonly of: string;
  readonly direction: "forward" | "backward";
  readonly plan: string;
  /** Whether it is the planner's first for this length on this device. */
  readonly first: boolean;
  readonly type: "bf16";
  readonly length: number;
}

const FORMAT = "mtac gpu kit";
const VERSION = 1;

/** A kit is to be carried: it holds so many bytes at most. */
export const MOST_BYTES = 60 * 2 ** 20;

/** Rows that other plans are timed with. */
const CANDIDATE_LENGTH = 4096;

/** What other plans are planned for: the device that a kit most likely meets. */
const CANDIDATE_ARCHITECTURE = "sm_90";

const RUNNER = fileURLToPath(new URL("../../compiler/bench/kit/runner", import.meta.url));
const PLAIN = fileURLToPath(new URL("../../compiler/bench/peers/programs/attention.py", import.meta.url));

/**
 * Makes a kit in a folder that is empty or not there.
 *
 * @param report Takes lines about what is under way.
 * @returns Its size in bytes.
 * @throws Error where it is larger than `MOST_BYTES`, or kernels could not be compiled.
 */
export function makeKit(folder: string, contents: KitContents, report: (line: string) => void): number {
  if (contents.cubins !== null) checkPython(contents.cubins.python);
  mkdirSync(folder, { recursive: true });
  if (readdirSync(folder).length > 0) throw new Error(`${folder} is not empty: name another one by --out`);
  try {
    return fill(folder, contents, report);
  } catch (cause) {
    // What is half a kit must not be carried, nor be in the way of a whole one.
    for (const file of readdirSync(folder)) rmSync(join(folder, file), { recursive: true });
    throw cause;
  }
}

/** Kernels are compiled by the packages' own runtime: what it lacks is better known before minutes of planning. */
function checkPython(python: string): void {
  try {
    execFileSync(python, ["-c", "import torch"], { stdio: "pipe" });
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.trim().split("\n").at(-1) ?? "") : String(cause);
    throw new Error(
      `${python} does not run PyTorch (${why}): set MTAC_PYTHON to one that does, or leave machine code out by --no-cubins`,
      { cause },
    );
  }
}

function fill(folder: string, contents: KitContents, report: (line: string) => void): number {
  cpSync(RUNNER, folder, { recursive: true, filter: (file) => !/__pycache__|_cache$/.test(file) });
  cpSync(PLAIN, join(folder, "kit/plain.py"));
  const packages: PackageEntry[] = contents.specs.map((spec) => specPackage(folder, spec));
  const vectors = vectorPackage(folder, contents.vectors, packages);
  const candidates = candidatePackage(folder, contents, packages);
  report(`${packages.length} packages, ${vectors.length} vectors, ${candidates.length} other plans`);
  if (contents.cubins !== null) compileCubins(folder, packages, contents.cubins, report);
  const manifest = {
    format: FORMAT,
    version: VERSION,
    mtac: mtacVersion(),
    made: new Date().toISOString(),
    packages,
    vectors,
    timing: { main: contents.main, others: contents.others },
    candidates,
    cubins: contents.cubins?.architectures ?? [],
  };
  writeFileSync(join(folder, "kit.json"), `${JSON.stringify(manifest, null, 1)}\n`);
  pack(folder);
  const bytes = sizeOf(folder);
  if (bytes > MOST_BYTES)
    throw new Error(`the kit has ${bytes} bytes, at most ${MOST_BYTES}: leave out architectures`);
  return bytes;
}

function specPackage(folder: string, { name, text }: KitSpec): PackageEntry {
  const { pipelines, stacks, provenance } = compileKernels(checkSource(text, `${name}.mta`).spec, {
    targets: ["cpu"],
  });
  writeFiles(join(folder, "packages", name), emitPythonPackage(pipelines, stacks, provenance));
  return { name, role: "spec", attentions: pipelines.map((each) => each.name), text };
}

/** One package for the attentions of all vectors. */
function vectorPackage(
  folder: string,
  sources: readonly string[],
  packages: PackageEntry[],
): readonly VectorEntry[] {
  const name = "vectors";
  const entries = new Map<string, VectorEntry>();
  const pipelines: Pipeline[] = [];
  for (const source of sources)
    for (const { case: vector, attention, layer } of indexOf(source)) {
      if (entries.has(vector)) continue;
      const text = readFileSync(join(source, vector, "spec.mta"), "utf8");
      const compiled = compileKernels(checkSource(text, `${vector}.mta`).spec, {
        targets: ["cpu"],
        names: [attention],
      });
      pipelines.push(...compiled.pipelines);
      entries.set(vector, { name: vector, package: name, attention, layer });
      for (const file of ["inputs.safetensors", "expected.safetensors"]) {
        const target = join(folder, "vectors", vector, file);
        mkdirSync(dirname(target), { recursive: true });
        cpSync(join(source, vector, file), target);
      }
    }
  if (pipelines.length === 0) return [];
  const provenance = { version: mtacVersion(), spec: `${name}.mta` };
  writeFiles(join(folder, "packages", name), emitPythonPackage(pipelines, [], provenance));
  packages.push({ name, role: "vectors", attentions: pipelines.map((each) => each.name), text: "" });
  return [...entries.values()];
}

function indexOf(source: string): readonly { case: string; attention: string; layer: number | null }[] {
  return JSON.parse(readFileSync(join(source, "index.json"), "utf8"));
}

/** Other plans of an attention, each as an attention of its own. */
function candidatePackage(
  folder: string,
  { specs, candidates }: KitContents,
  packages: PackageEntry[],
): readonly CandidateEntry[] {
  if (candidates === null) return [];
  const text = specs.find(({ name }) => name === candidates.package)?.text ?? "";
  const compiled = compileKernels(checkSource(text, `${candidates.package}.mta`).spec, { targets: ["cpu"] });
  const pipeline = compiled.pipelines.find(({ name }) => name === candidates.attention);
  const architecture = cudaArchitecture(CANDIDATE_ARCHITECTURE);
  if (pipeline === undefined || architecture === null)
    throw new Error(`no attention ${candidates.attention}, or no ${CANDIDATE_ARCHITECTURE}`);
  const machine = cudaMachine(architecture);
  const entries: CandidateEntry[] = [];
  const artifacts = new Map<string, Artifact>();
  const pipelines: Pipeline[] = [];
  const shape = { B: 4, Lq: CANDIDATE_LENGTH, Lk: CANDIDATE_LENGTH, R: 0 };
  for (const direction of ["forward", "backward"] as const) {
    const request = { machine, shape, ...(direction === "backward" ? { direction } : {}) };
    // A plan names its kernels' files after the pipeline: each candidate is planned under a name of its own.
    const planned = (name: string) =>
      tuneCandidates({ ...pipeline, name, storage: "bf16" }, request, { sweeps: [], most: candidates.most });
    for (const index of planned(pipeline.name).keys()) {
      const name = `${direction}_${index + 1}`;
      const own = { ...pipeline, name };
      const candidate = planned(name)[index];
      if (candidate?.plan == null) throw new Error(`the candidate ${name} has no plan`);
      const usual = cudaArtifact(own, "bf16");
      artifacts.set(name, withPlan(own, usual, candidate.plan, direction));
      pipelines.push(own);
      entries.push({
        package: "candidates",
        attention: name,
        ofPackage: candidates.package,
        of: candidates.attention,
        direction,
        plan: describeCandidate(candidate),
        first: index === 0,
        type: "bf16",
        length: CANDIDATE_LENGTH,
      });
    }
  }
  const provenance = { version: mtacVersion(), spec: "candidates.mta" };
  const made = (each: Pipeline): Artifact => {
    const artifact = artifacts.get(each.name);
    if (artifact === undefined) throw new Error(`no plan for ${each.name}`);
    return artifact;
  };
  writeFiles(
    join(folder, "packages/candidates"),
    emitPythonPackage(pipelines, [], provenance, { cuda: { storages: ["bf16"], artifactOf: made } }),
  );
  packages.push({
    name: "candidates",
    role: "candidates",
    attentions: pipelines.map((each) => each.name),
    text: "",
  });
  return entries;
}

/** An attention's kernels with another plan in one direction. */
function withPlan(
  pipeline: Pipeline,
  usual: Artifact,
  plan: Plan,
  direction: CandidateEntry["direction"],
): Artifact {
  // Plans that are named already must not be named again. The usual gradients take what a forward pass keeps.
  const named =
    direction === "forward" ? artifactOf(pipeline, [keepValues(plan)]) : artifactOf(pipeline, [], [plan]);
  return direction === "forward"
    ? { ...usual, plans: named.plans, sources: { ...usual.sources, ...named.sources } }
    : { ...usual, backward: named.backward ?? [], sources: { ...usual.sources, ...named.sources } };
}

/** Machine code of all packages' kernels, those first that matter most. */
function compileCubins(
  folder: string,
  packages: readonly PackageEntry[],
  { architectures, python }: NonNullable<KitContents["cubins"]>,
  report: (line: string) => void,
): void {
  for (const architecture of architectures)
    for (const { name } of packages) {
      const begin = performance.now();
      const program = `from ${name}._runtime.build import compile_cuda; compile_cuda("${architecture}")`;
      execFileSync(python, ["-c", program], { cwd: join(folder, "packages", name), maxBuffer: 2 ** 26 });
      report(`${name} for ${architecture}: ${((performance.now() - begin) / 1000).toFixed(1)} s`);
    }
}

/** The packages as one archive: sources and machine code take a quarter of their size. The runner unpacks it. */
function pack(folder: string): void {
  const packages = join(folder, "packages");
  const files = filesOf(packages).filter((file) => !file.includes("__pycache__"));
  const contents = files
    .sort()
    .map((file) => [file.replaceAll("\\", "/"), readFileSync(join(packages, file))] as const);
  writeFileSync(join(folder, "packages.tar.gz"), gzipSync(tarOf(new Map(contents)), { level: 9 }));
  rmSync(packages, { recursive: true });
}

function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

function mtacVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return version;
}

function sizeOf(folder: string): number {
  return filesOf(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
}

/** Paths of all files of a folder, relative to it. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    statSync(join(folder, file)).isFile(),
  );
}
