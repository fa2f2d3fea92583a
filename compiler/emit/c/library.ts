import type { Pipeline } from "../../../runtime/contract/index.ts";
import { render } from "../templates.ts";
import { type Amalgamation, amalgamate } from "./amalgamate.ts";
import { librarySource } from "./library-source.ts";

/** `CONV_TAPS` of `templates/c/conv-pass.h`. */
const CONV_TAPS = 8;

/** The C library, as far as an attention uses it. */
export function libraryFor(pipeline: Pipeline): Amalgamation {
  return libraryFrom("threads.h", pipeline);
}

/** The same for its gradients. */
export function gradientLibraryFor(pipeline: Pipeline): Amalgamation {
  return libraryFrom("gradient-threads.h", pipeline);
}

/** What a header of the library brings with it. */
function libraryFrom(header: string, pipeline: Pipeline): Amalgamation {
  const read = (name: string): string =>
    name === "conv-taps.h" ? render("capi/conv-taps.h.hbs", { taps: tapsOf(pipeline) }) : librarySource(name);
  return amalgamate(header, read, partsOf(pipeline));
}

/** The parts of `templates/c/parts.h` that an attention uses. */
function partsOf({ scores, weights, output, normalize, mask }: Pipeline): ReadonlySet<string> {
  const kinds = new Set([...scores, ...weights].map(({ kind }) => kind));
  const convolves = kinds.has("conv");
  const parts = {
    WITH_STAGES: kinds.size > 0,
    WITH_CONV: convolves,
    WITH_CONV_DOCUMENTS: convolves && mask.some(({ kind }) => kind === "documents"),
    WITH_MIX: kinds.has("mix"),
    WITH_CHANGES: kinds.has("softcap") || kinds.has("relu"),
    WITH_DROPOUT: kinds.has("dropout"),
    WITH_SOFTMAX: normalize === "softmax",
    WITH_SPARSEMAX: normalize === "sparsemax",
    WITH_OUTPUT: output.length > 0,
    WITH_BIAS: mask.some(({ kind }) => kind === "bias"),
  };
  return new Set(Object.entries(parts).flatMap(([name, used]) => (used ? [name] : [])));
}

/** Numbers of taps along the queries that passes of an attention's convolutions take. */
function tapsOf({ scores, weights }: Pipeline): readonly number[] {
  const taps = new Set<number>();
  for (const stage of [...scores, ...weights]) {
    if (stage.kind !== "conv") continue;
    for (let rest = stage.kernel.query; rest > 0; rest -= CONV_TAPS) taps.add(Math.min(rest, CONV_TAPS));
  }
  return [...taps].sort((a, b) => a - b);
}
