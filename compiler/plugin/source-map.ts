import { encode, type SourceMapSegment } from "@jridgewell/sourcemap-codec";
import type { Artifact } from "../../runtime/contract/index.ts";
import { printTemplate } from "../emit/launcher/literal.ts";
import { traceKernels } from "../emit/trace.ts";

/** A source map, version 3, as every bundler takes it. */
export interface SourceMap {
  readonly version: 3;
  readonly sources: string[];
  readonly sourcesContent: string[];
  readonly names: string[];
  readonly mappings: string;
}

/** The spec that a module is made from. */
export interface SpecSource {
  /** Its name without folders: the module lies where it does. */
  readonly name: string;
  readonly text: string;
}

/**
 * Maps each line of WGSL or CUDA in a kernels module to the line of the spec that it comes from; nothing else has an origin that
 * would tell anything.
 *
 * @param code The module as JavaScript.
 * @param artifact What the module holds.
 */
export function kernelsSourceMap(code: string, artifact: Artifact, spec: SpecSource): SourceMap {
  const mappings: SourceMapSegment[][] = code.split("\n").map(() => []);
  const traces = traceKernels(artifact);
  for (const [file, text] of Object.entries(artifact.sources)) {
    const opening = `${JSON.stringify(file)}: `;
    const at = code.indexOf(opening + printTemplate(text));
    const trace = traces[file];
    if (at < 0 || trace === undefined) continue;
    const first = code.slice(0, at).split("\n").length - 1;
    const column = at + opening.length - (code.lastIndexOf("\n", at) + 1);
    // After the text's last line end there is only the literal's.
    for (let index = 0; index < text.split("\n").length - 1; index++)
      mappings[first + index]?.push([index === 0 ? column : 0, 0, trace.lineOf(index + 1) - 1, 0]);
  }
  return {
    version: 3,
    sources: [spec.name],
    sourcesContent: [spec.text],
    names: [],
    mappings: encode(mappings),
  };
}
