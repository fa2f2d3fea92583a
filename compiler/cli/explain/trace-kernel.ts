import { specPlace } from "../../emit/provenance.ts";
import { specLines } from "../../emit/trace.ts";
import { fileName } from "../../file-name.ts";
import { readUtf8 } from "../../files/text.ts";
import type { Output } from "../../terminal/output.ts";
import { untraceable, wrongUsage } from "../errors.ts";

/**
 * `mtac explain SPEC --trace KERNEL:LINE`: the line of the spec that a line of an emitted kernel comes from.
 *
 * @param place A kernel's file, a colon, a line counted from 1; a column after it, as compilers print it, is left aside.
 * @throws MtacError MTA900 (no such place), MTA905 (unreadable), MTA929 (not a kernel of this spec)
 */
export function traceKernel(spec: string, place: string, output: Output): void {
  const [, kernel, digits] = /^(.+?):(\d+)(?::\d+)?$/.exec(place) ?? [];
  if (kernel === undefined || digits === undefined)
    throw wrongUsage(
      `\`--trace ${place}\` names no line`,
      "give a kernel's file and a line: `--trace a.attention.wgsl:120`",
    );
  const text = readUtf8(kernel);
  const kernelLine = Number(digits);
  const trace = specLines(text);
  if (trace === null || trace.file !== specPlace(fileName(spec)))
    throw untraceable(kernel, spec, trace?.file ?? null);
  const line = trace.lines[kernelLine - 1];
  if (line === undefined)
    throw wrongUsage(`${kernel} has no line ${kernelLine}`, `it has ${trace.lines.length} lines`);
  const specText = readUtf8(spec).split(/\r\n|\n|\r/)[line - 1] ?? "";
  const { style } = output;
  output.text(`${style.bold(`${spec}:${line}`)}  ${specText.trim()}`);
  output.text(style.dim(`${kernel}:${kernelLine}  ${(text.split("\n")[kernelLine - 1] ?? "").trim()}`));
  output.result({ spec, line, text: specText, kernel, kernelLine });
}
