import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { AttentionInputs, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { parseSafetensors, toFloat64Tensor } from "../../runtime/safetensors/index.ts";

/** A case of the official vectors: results and gradients that the authors' code gave in float64, stored as f32. */
export interface VectorCase {
  readonly name: string;
  readonly spec: string;
  readonly attention: string;
  readonly layer: number | null;
  readonly inputs: ReadonlyMap<string, Float64Tensor>;
  readonly expected: ReadonlyMap<string, Float64Tensor>;
}

interface IndexLine {
  readonly case: string;
  readonly attention: string;
  readonly layer: number | null;
}

/** The subset that travels with the project. */
export const OWN_VECTORS = fileURLToPath(new URL("../vectors/", import.meta.url));

/** All 45 cases, where the project's surroundings have them. */
const ALL_VECTORS = fileURLToPath(new URL("../../../shared/vectors/", import.meta.url));

/** The folder of all vectors, or null with a warning that names what is missing. */
export function allVectors(): string | null {
  if (existsSync(`${ALL_VECTORS}index.json`)) return ALL_VECTORS;
  console.warn(
    `only the subset in test/vectors is checked: the 45 official cases are missing at ${ALL_VECTORS}`,
  );
  return null;
}

function isIndex(value: unknown): value is readonly IndexLine[] {
  return (
    Array.isArray(value) &&
    value.every((line: unknown) => {
      if (
        typeof line !== "object" ||
        line === null ||
        !("case" in line && "attention" in line && "layer" in line)
      )
        return false;
      const layerKnown = line.layer === null || typeof line.layer === "number";
      return typeof line.case === "string" && typeof line.attention === "string" && layerKnown;
    })
  );
}

/** Names of the cases in a folder, in the order of its index. */
export function caseNames(folder: string): string[] {
  return readIndex(folder).map((line) => line.case);
}

function readIndex(folder: string): readonly IndexLine[] {
  const index: unknown = JSON.parse(readFileSync(`${folder}index.json`, "utf8"));
  if (!isIndex(index)) throw new Error(`${folder}index.json is no list of {case, attention, layer}`);
  return index;
}

export function loadCase(folder: string, name: string): VectorCase {
  const line = readIndex(folder).find((candidate) => candidate.case === name);
  if (line === undefined) throw new Error(`${folder}index.json does not list ${name}`);
  return {
    name,
    spec: readFileSync(`${folder}${name}/spec.mta`, "utf8"),
    attention: line.attention,
    layer: line.layer,
    inputs: readTensors(`${folder}${name}/inputs.safetensors`),
    expected: readTensors(`${folder}${name}/expected.safetensors`),
  };
}

function readTensors(path: string): Map<string, Float64Tensor> {
  const views = parseSafetensors(readFileSync(path), path);
  return new Map([...views].map(([name, view]) => [name, toFloat64Tensor(name, view)]));
}

/** A case's tensors in the roles that a call gives them. */
export function callOf(
  pipeline: Pipeline,
  { inputs, layer }: VectorCase,
): { inputs: AttentionInputs<Float64Tensor>; parameters: Map<string, Float64Tensor>; dO: Float64Tensor } {
  const need = (name: string): Float64Tensor => {
    const tensor = inputs.get(name);
    if (tensor === undefined) throw new Error(`the case lacks the tensor ${name}`);
    return tensor;
  };
  const optional = <Key extends string>(key: Key, name: string): { [K in Key]?: Float64Tensor } => {
    const tensor = inputs.get(name);
    const part: { [K in Key]?: Float64Tensor } = {};
    if (tensor !== undefined) part[key] = tensor;
    return part;
  };
  return {
    inputs: {
      q: need("q"),
      k: need("k"),
      v: need("v"),
      ...optional("qHistory", "q_history"),
      ...optional("documents", "documents"),
      ...optional("lengths", "lengths"),
      ...optional("positions", "positions"),
      ...optional("bias", "bias"),
      ...(layer === null ? {} : { layer }),
    },
    parameters: new Map(pipeline.parameters.map(({ name }) => [name, need(name)])),
    dO: need("d_o"),
  };
}
