import { createHash } from "node:crypto";
import type { Parameter, Pipeline, Plan } from "../../runtime/contract/index.ts";
import { initParameters } from "../../runtime/contract/init.ts";
import { MOST_THREADS, TILE_ROWS } from "../../runtime/contract/library-parts.ts";
import { attentionFields, stageFields, wordsOf } from "../../runtime/contract/library-words.ts";
import { headsTogether } from "../../runtime/contract/pipeline.ts";
import type { StorageType } from "../../runtime/contract/storage.ts";
import { emitArtifact } from "../emit/artifact.ts";
import type { Provenance } from "../emit/launcher/index.ts";
import { pipelineMeaning } from "../ir/meaning.ts";
import { LAYOUTS } from "../weights/layouts.ts";
import { targetOf } from "../weights/sources.ts";
import { headPart, parametersByHeads, partCounts } from "./head-parts.ts";
import { type PassName, passesOf, passNames } from "./passes.ts";

/** What `attention.json` looks like: `FORMAT` of `runtime/python/attention.py`. */
const FORMAT = 3;

/** q, k and v may be of any of these, whatever the spec says: models are tried in f32 and trained in bf16. */
export const STORAGES = ["f32", "f16", "bf16"] as const satisfies readonly StorageType[];

/** A short name for what a spec computes, by this version of mtac: two versions of a package live side by side. */
export function specHash(pipelines: readonly Pipeline[], { version }: Provenance): string {
  const hash = createHash("sha256").update(version);
  for (const pipeline of pipelines) hash.update(`\n${pipeline.name} ${pipelineMeaning(pipeline)}`);
  return hash.digest("hex").slice(0, 8);
}

/** What the package's runtime reads: every attention with its parameters, and how the C library computes it. */
export function packageData(
  pipelines: readonly Pipeline[],
  provenance: Provenance,
  namespace: string,
): object {
  return {
    format: FORMAT,
    mtac: provenance.version,
    spec: provenance.spec,
    namespace,
    attentions: Object.fromEntries(pipelines.map((pipeline) => [pipeline.name, attentionData(pipeline)])),
  };
}

function attentionData(pipeline: Pipeline): object {
  const { parameters, source: _source, ...meaning } = pipeline;
  const byHeads = parametersByHeads(pipeline);
  return {
    pipeline: withoutSources(meaning),
    parameters: parameters.map((parameter) => ({
      ...parameterData(parameter, pipeline),
      byHeads: byHeads.has(parameter.name),
    })),
    cpu: cpuData(pipeline),
    parts: Object.fromEntries(
      partCounts(pipeline).map((count) => [count, { cpu: cpuData(headPart(pipeline, count)) }]),
    ),
  };
}

/** How the C library computes an attention. */
function cpuData(pipeline: Pipeline): object {
  const { parameters } = pipeline;
  const artifacts = STORAGES.map((storage) =>
    emitArtifact({ ...pipeline, storage }, { target: "cpu", grad: true }),
  );
  const words = (pass: PassName): object =>
    Object.fromEntries(
      artifacts.map((artifact, index) => [STORAGES[index], planWords(passesOf(artifact)[pass], parameters)]),
    );
  return {
    group: headsTogether(pipeline),
    tileRows: TILE_ROWS,
    mostParts: MOST_THREADS,
    passes: Object.fromEntries(passNames(pipeline).map((pass) => [pass, words(pass)])),
  };
}

/** Stages and attentions say where they are in the spec, which no computation needs. */
function withoutSources(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, each: unknown) => (key === "source" ? undefined : each)));
}

/** A plan as the C library reads it. @throws RangeError where parameters do not lie one after the other: a defect of the planner */
function planWords([plan]: readonly Plan[] = [], parameters: readonly Parameter[]): object {
  if (plan === undefined) throw new RangeError("the processor has no plan");
  let end = 0;
  for (const [index, { name, offset, length }] of plan.parameters.entries()) {
    if (name !== parameters[index]?.name || offset !== end)
      throw new RangeError(`the parameter ${name} does not follow the one before it`);
    end += length;
  }
  return {
    attention: int32(wordsOf(attentionFields(plan))),
    stages: int32(wordsOf(stageFields(plan).flat())),
  };
}

function int32(bytes: Uint8Array<ArrayBuffer>): readonly number[] {
  return [...new Int32Array(bytes.buffer)];
}

function parameterData(parameter: Parameter, pipeline: Pipeline): object {
  const { name, shape, init } = parameter;
  const rules = LAYOUTS.ram.rules.filter((rule) => targetOf(pipeline, rule) === name);
  return {
    name,
    shape,
    init: init.kind === "identity" ? { ...init, ones: onesOf(pipeline, name) } : init,
    official: rules.map(({ from }) => from),
    transposed: rules.filter(({ transpose }) => transpose).map(({ from }) => from),
  };
}

/** Where an identity is 1. */
function onesOf(pipeline: Pipeline, name: string): readonly number[] {
  const values = initParameters(pipeline).get(name)?.data ?? [];
  return [...values].flatMap((value, index) => (value === 1 ? [index] : []));
}
