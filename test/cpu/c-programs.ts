import { execFile, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { analyse } from "../../compiler/language/index.ts";
import {
  type AttentionInputs,
  type Float64Tensor,
  hasMask,
  type Pipeline,
  pack,
  type StorageType,
  unpack,
  usesLayer,
} from "../../runtime/contract/index.ts";
import type { GradientTrial } from "../support/gradients.ts";
import { callShapeOf } from "../support/rounded.ts";

export const run = promisify(execFile);

/** A C and a C++ compiler of one make. */
export interface Compilers {
  readonly c: string;
  readonly cpp: string;
}

/** What the emitted sources must pass: no compiler has anything to say about them. */
export const STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"] as const;

/** The compilers that there are; says loudly which are missing. */
export function findCompilers(): readonly Compilers[] {
  const makes: readonly Compilers[] = [
    { c: "gcc", cpp: "g++" },
    { c: "clang", cpp: "clang++" },
  ];
  return makes.filter((make) => {
    const missing = Object.values(make).find((name) => spawnSync(name, ["--version"]).status !== 0);
    if (missing !== undefined)
      console.warn(
        `\n*** NO EMITTED C IS COMPILED BY ${make.c} IN THESE TESTS: there is no ${missing} ***\n`,
      );
    return missing === undefined;
  });
}

/** Writes what `mtac compile --target cpu --no-launcher`, with `--grad` where it is asked for, writes of a spec. */
export function writeEmitted(folder: string, source: string, grad = false): void {
  const { spec } = analyse(source, "spec.mta");
  if (spec === null) throw new Error("the spec is wrong");
  const { files } = compileChecked(spec, { targets: ["cpu"], grad });
  for (const [name, text] of Object.entries(files))
    if (!name.endsWith(".ts")) writeFileSync(path.join(folder, name), text);
}

/** Results of an attention, as an emitted library gives them. */
export interface Computed {
  readonly o: Float64Tensor;
  readonly lse: Float64Tensor | null;
  /** Their bytes. */
  readonly bytes: Buffer;
}

/** Writes a call's tensors for the program in a folder, and returns the program's arguments. */
function writeCall(
  folder: string,
  pipeline: Pipeline,
  inputs: AttentionInputs<Float64Tensor>,
  parameters: ReadonlyMap<string, Float64Tensor>,
  threads: number,
): readonly string[] {
  const { B, Lq, Lk, R } = callShapeOf(inputs);
  const write = (name: string, data: Uint8Array): void => writeFileSync(path.join(folder, name), data);
  const { storage } = pipeline;
  const tensors = { q: inputs.q, k: inputs.k, v: inputs.v, q_history: inputs.qHistory };
  for (const [name, tensor] of Object.entries(tensors))
    if (tensor !== undefined) write(`${name}.bin`, stored(storage, tensor));
  const { documents, lengths, positions, bias } = inputs;
  for (const [name, tensor] of Object.entries({ documents, lengths, positions }))
    if (tensor !== undefined) write(`${name}.bin`, new Uint8Array(Int32Array.from(tensor.data).buffer));
  if (bias !== undefined) write("bias.bin", stored("f32", bias));
  const all = pipeline.parameters.flatMap(({ name }) => [...(parameters.get(name)?.data ?? [])]);
  write("parameters.bin", stored("f32", { shape: [all.length], data: Float64Array.from(all) }));
  const [biasBatches = 0, biasHeads = 0, biasRows = 0, biasKeys = 0] = bias?.shape ?? [];
  const biasStrides = [
    biasBatches === 1 ? 0 : biasHeads * biasRows * biasKeys,
    biasHeads === 1 ? 0 : biasRows * biasKeys,
    biasKeys,
  ];
  return [threads, B, Lq, Lk, R, inputs.layer ?? 0, ...biasStrides].map(String);
}

/** Computes a call by the program in a folder. */
export async function compute(
  folder: string,
  pipeline: Pipeline,
  inputs: AttentionInputs<Float64Tensor>,
  parameters: ReadonlyMap<string, Float64Tensor>,
  threads: number,
): Promise<Computed> {
  const { B, Lq } = callShapeOf(inputs);
  const { storage, heads, valueDim } = pipeline;
  await run(path.join(folder, "program"), writeCall(folder, pipeline, inputs, parameters, threads), {
    cwd: folder,
  });
  const shape = [B, heads, Lq, valueDim];
  const o = readFileSync(path.join(folder, "o.bin"));
  const has = existsSync(path.join(folder, "lse.bin"));
  const lse = has ? readFileSync(path.join(folder, "lse.bin")) : Buffer.alloc(0);
  return {
    o: { shape, data: loaded(storage, o) },
    lse: has ? { shape: [B, heads, Lq], data: loaded("f32", lse) } : null,
    bytes: Buffer.concat([o, lse]),
  };
}

/** Gradients that a backward pass gives, by the names of their fields. */
export const GRADIENTS = ["d_q", "d_q_history", "d_k", "d_v", "d_parameters", "d_bias"] as const;
export type GradientName = (typeof GRADIENTS)[number];

/** How the program in a folder computes gradients. */
export interface BackwardWay {
  readonly threads: number;
  readonly wanted: readonly GradientName[];
  /** Strides of d_o along batch, heads, rows; null for a contiguous one. */
  readonly strides: readonly number[] | null;
  /** Where `values` comes from: a forward pass, which leaves values.bin, too, or this file. Left out: there is none. */
  readonly values?: "kept" | "read";
}

/** Computes gradients by the program in a folder: bytes of f32, by name. @param dO What lies in memory. */
export async function computeGradients(
  folder: string,
  { pipeline, inputs, parameters, dO }: GradientTrial,
  { threads, wanted, strides, values }: BackwardWay,
): Promise<ReadonlyMap<GradientName, Buffer>> {
  const call = writeCall(folder, pipeline, inputs, parameters, threads);
  writeFileSync(path.join(folder, "d_o.bin"), stored(pipeline.storage, dO));
  const flags = GRADIENTS.map((name) => (wanted.includes(name) ? 1 : 0));
  const rest = [...(strides ?? [-1, -1, -1]), ...flags].map(String).concat(values ?? "none");
  await run(path.join(folder, "backward"), [...call, ...rest], { cwd: folder });
  return new Map(wanted.map((name) => [name, readFileSync(path.join(folder, `${name}.bin`))]));
}

function stored(storage: StorageType, { data }: Float64Tensor): Uint8Array {
  return new Uint8Array((storage === "f32" ? Float32Array.from(data) : pack(storage, data)).buffer);
}

function loaded(storage: StorageType, bytes: Buffer): Float64Array {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return Float64Array.from(
    storage === "f32" ? new Float32Array(buffer) : unpack(storage, new Uint16Array(buffer)),
  );
}

function optional(there: boolean, lines: string): string {
  return there ? lines : "";
}

/** The beginning of a program, both C and C++, that reads a call of an attention from files. @param count Arguments of it. */
function opening(pipeline: Pipeline, count: number): string {
  const { name, storage } = pipeline;
  const element = storage === "f32" ? "float" : "void";
  return `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "${name}.h"

/* Null where there is no such file. */
static void *read_file(const char *file) {
  FILE *from = fopen(file, "rb");
  if (from == NULL) return NULL;
  fseek(from, 0, SEEK_END);
  size_t size = (size_t)ftell(from);
  rewind(from);
  char *bytes = (char *)malloc(size + 1);
  if (bytes != NULL && fread(bytes, 1, size, from) != size) exit(2);
  fclose(from);
  return bytes;
}

static void write_file(const char *file, const void *bytes, size_t size) {
  FILE *to = fopen(file, "wb");
  if (to == NULL || fwrite(bytes, 1, size, to) != size) exit(2);
  fclose(to);
}

int main(int count, char **arguments) {
  if (count != ${count + 1}) return 2;
  const int threads = atoi(arguments[1]);
  ${name}_call call;
  memset(&call, 0, sizeof call);
  call.batches = atoi(arguments[2]);
  call.query_rows = atoi(arguments[3]);
  call.key_rows = atoi(arguments[4]);
  call.history_rows = atoi(arguments[5]);
  call.q = (const ${element} *)read_file("q.bin");
  call.q_history = (const ${element} *)read_file("q_history.bin");
  call.k = (const ${element} *)read_file("k.bin");
  call.v = (const ${element} *)read_file("v.bin");
  call.positions = (const int *)read_file("positions.bin");
${optional(hasMask(pipeline, "documents"), '  call.documents = (const int *)read_file("documents.bin");')}
${optional(hasMask(pipeline, "lengths"), '  call.lengths = (const int *)read_file("lengths.bin");')}
${optional(pipeline.parameters.length > 0, '  call.parameters = (const float *)read_file("parameters.bin");')}
${optional(usesLayer(pipeline), "  call.layer = atoi(arguments[6]);")}
${optional(
  hasMask(pipeline, "bias"),
  `  call.bias = (const float *)read_file("bias.bin");
  call.bias_strides.batch = (unsigned)atoi(arguments[7]);
  call.bias_strides.head = (unsigned)atoi(arguments[8]);
  call.bias_strides.row = (unsigned)atoi(arguments[9]);`,
)}
`;
}

/** A program, both C and C++, that computes a call of an attention from files. */
export function programOf(pipeline: Pipeline): string {
  const { name, storage, normalize } = pipeline;
  const upper = name.toUpperCase();
  const element = storage === "f32" ? "float" : "void";
  return `${opening(pipeline, 9)}
  const size_t rows = (size_t)call.batches * ${upper}_HEADS * (size_t)call.query_rows;
  const size_t o_bytes = rows * ${upper}_VALUE_DIM * ${storage === "f32" ? 4 : 2};
  call.o = (${element} *)malloc(o_bytes);
${optional(normalize === "softmax", "  call.lse = (float *)malloc(rows * 4);")}
  const size_t bytes = ${name}_workspace_bytes(&call, threads);
  /* No better aligned than it has to be, and no byte longer; what is in it does not matter. */
  unsigned char *memory = (unsigned char *)malloc(bytes + 1);
  if (memory == NULL) return 2;
  memset(memory, 255, bytes + 1);
  const int error = ${name}_launch(&call, memory + 1, bytes, threads);
  if (error != 0) {
    printf("%s\\n", ${name}_error_string(error));
    return 1;
  }
  write_file("o.bin", call.o, o_bytes);
${optional(normalize === "softmax", '  write_file("lse.bin", call.lse, rows * 4);')}
  return 0;
}
`;
}

/** Gives the call of a program for gradients its values. */
function valuesOf({ name, storage }: Pipeline): string {
  const upper = name.toUpperCase();
  const [element, bytes] = storage === "f32" ? ["float", 4] : ["void", 2];
  return `  if (strcmp(arguments[19], "read") == 0) call.values = (float *)read_file("values.bin");
  if (strcmp(arguments[19], "kept") == 0) {
    const size_t all = heads * (size_t)call.query_rows * ${upper}_VALUE_DIM;
    call.values = (float *)malloc(4 * all + 4);
    call.o = (${element} *)malloc(${bytes} * all);
    const size_t forward_bytes = ${name}_workspace_bytes(&call, threads);
    void *forward_memory = malloc(forward_bytes);
    if (call.values == NULL || forward_memory == NULL) return 2;
    memset(call.values, 255, 4 * all + 4);
    if (${name}_launch(&call, forward_memory, forward_bytes, threads) != 0) return 4;
    float behind;
    memcpy(&behind, call.values + all, 4);
    if (behind == behind) return 3;
    write_file("values.bin", call.values, 4 * all);
    call.o = NULL;
  }`;
}

/**
 * A program, both C and C++, that computes the gradients of a call. It leaves o and lse out, and reads strides, what is wanted, and where
 * values come from behind the call's arguments.
 */
export function backwardProgramOf(pipeline: Pipeline): string {
  const { name, storage } = pipeline;
  const upper = name.toUpperCase();
  const element = storage === "f32" ? "float" : "void";
  const biasCount = hasMask(pipeline, "bias")
    ? `(size_t)(call.bias_strides.batch != 0 ? call.batches : 1) * (size_t)(call.bias_strides.head != 0 ? ${upper}_HEADS : 1) *
      (size_t)(call.history_rows + call.query_rows) * (size_t)call.key_rows`
    : "0";
  return `${opening(pipeline, 19)}
  ${name}_gradients gradients;
  memset(&gradients, 0, sizeof gradients);
  gradients.d_o = (const ${element} *)read_file("d_o.bin");
  ${name}_strides strides;
  strides.batch = (unsigned)atoi(arguments[10]);
  strides.head = (unsigned)atoi(arguments[11]);
  strides.row = (unsigned)atoi(arguments[12]);
  if (atoi(arguments[10]) >= 0) gradients.d_o_strides = &strides;
  const size_t heads = (size_t)call.batches * ${upper}_HEADS, kv_heads = (size_t)call.batches * ${upper}_KV_HEADS;
  const size_t counts[] = {
    heads * (size_t)call.query_rows * ${upper}_HEAD_DIM, heads * (size_t)call.history_rows * ${upper}_HEAD_DIM,
    kv_heads * (size_t)call.key_rows * ${upper}_HEAD_DIM, kv_heads * (size_t)call.key_rows * ${upper}_VALUE_DIM,
    ${upper}_PARAMETER_COUNT, ${biasCount},
  };
  const char *const names[] = {${GRADIENTS.map((each) => `"${each}.bin"`).join(", ")}};
  float *results[6];
  for (int each = 0; each < 6; each++) {
    results[each] = atoi(arguments[13 + each]) ? (float *)malloc(4 * counts[each] + 4) : NULL;
    if (results[each] != NULL) memset(results[each], 255, 4 * counts[each] + 4);
  }
  gradients.d_q = results[0];
  gradients.d_q_history = results[1];
  gradients.d_k = results[2];
  gradients.d_v = results[3];
${optional(pipeline.parameters.length > 0, "  gradients.d_parameters = results[4];")}
${optional(hasMask(pipeline, "bias"), "  gradients.d_bias = results[5];")}
${optional(pipeline.output.length > 0, valuesOf(pipeline))}
  const size_t bytes = ${name}_backward_workspace_bytes(&call, &gradients, threads);
  unsigned char *memory = (unsigned char *)malloc(bytes + 1);
  if (memory == NULL) return 2;
  memset(memory, 255, bytes + 1);
  const int error = ${name}_backward(&call, &gradients, memory + 1, bytes, threads);
  if (error != 0) {
    printf("%s\\n", ${name}_error_string(error));
    return 1;
  }
  for (int each = 0; each < 6; each++) {
    if (results[each] == NULL) continue;
    /* Nothing is written behind the results. */
    float behind;
    memcpy(&behind, results[each] + counts[each], 4);
    if (behind == behind) return 3;
    write_file(names[each], results[each], 4 * counts[each]);
  }
  return 0;
}
`;
}
