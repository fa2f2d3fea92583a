import { encode, type SourceMapSegment } from "@jridgewell/sourcemap-codec";
import { printTemplate } from "../emit/launcher/literal.ts";
import { specLines } from "../emit/trace.ts";

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
 * @param kernels The kernels' texts, by file name, as the module holds them.
 */
export function kernelsSourceMap(
  code: string,
  kernels: Readonly<Record<string, string>>,
  spec: SpecSource,
): SourceMap {
  const mappings: SourceMapSegment[][] = code.split("\n").map(() => []);
  for (const [file, text] of Object.entries(kernels)) {
    const opening = `${JSON.stringify(file)}: `;
    const at = code.indexOf(opening + printTemplate(text));
    const trace = specLines(text);
    if (at < 0 || trace === null) continue;
    const first = code.slice(0, at).split("\n").length - 1;
    const column = at + opening.length - (code.lastIndexOf("\n", at) + 1);
    // After the text's last line end there is only the literal's.
    trace.lines.slice(0, text.split("\n").length - 1).forEach((line, index) => {
      mappings[first + index]?.push([index === 0 ? column : 0, 0, line - 1, 0]);
    });
  }
  return {
    version: 3,
    sources: [spec.name],
    sourcesContent: [spec.text],
    names: [],
    mappings: encode(mappings),
  };
}
