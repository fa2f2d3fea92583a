import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Artifact } from "../../../runtime/contract/index.ts";
import { emissionOf } from "../../compile/emissions.ts";
import { dialectOf } from "../../emit/dialect/index.ts";
import { planFileName } from "../../emit/plan-file.ts";
import { fileName, specPlace } from "../../emit/provenance.ts";
import { type KernelTrace, traceKernels } from "../../emit/trace.ts";
import { readUtf8 } from "../../files/text.ts";
import { DEFAULT_TARGET, EMITTED_TARGETS } from "../../targets.ts";
import type { Output } from "../../terminal/output.ts";
import { untraceable, wrongUsage } from "../errors.ts";

/**
 * `mtac explain SPEC --trace KERNEL:LINE`: the line of the spec that a line of an emitted kernel comes from. It stands in the
 * file of plans that lies beside the kernel.
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
  const trace = traceOf(kernel);
  if (trace.file !== specPlace(fileName(spec)))
    throw untraceable(`${kernel} was made from ${trace.file}, not from ${spec}`, "name that spec");
  const texts = text.split("\n");
  if (kernelLine < 1 || kernelLine > texts.length)
    throw wrongUsage(`${kernel} has no line ${kernelLine}`, `it has ${texts.length} lines`);
  const line = trace.lineOf(kernelLine);
  const specText = readUtf8(spec).split(/\r\n|\n|\r/)[line - 1] ?? "";
  const { style } = output;
  output.text(`${style.bold(`${spec}:${line}`)}  ${specText.trim()}`);
  output.text(style.dim(`${kernel}:${kernelLine}  ${(texts[kernelLine - 1] ?? "").trim()}`));
  output.result({ spec, line, text: specText, kernel, kernelLine });
}

/** The trace that lies in the file of plans beside a kernel. */
function traceOf(kernel: string): KernelTrace {
  const name = basename(kernel);
  const attention = /^\w+/.exec(name)?.[0] ?? "";
  const target = EMITTED_TARGETS.find((each) => {
    const dialect = dialectOf(each);
    return dialect !== null && name.endsWith(`.${dialect.extension}`);
  });
  const { suffix } = emissionOf(target ?? DEFAULT_TARGET).flavour;
  const plans = join(dirname(kernel), planFileName(attention, suffix));
  if (!existsSync(plans))
    throw untraceable(
      `the plan of ${kernel} is not beside it`,
      "give a kernel (.wgsl or .cu) where `mtac compile` wrote it",
    );
  const trace = tracesIn(readUtf8(plans))[name];
  if (trace === undefined) throw untraceable(`${plans} has no kernel ${name}`, "compile the spec again");
  return trace;
}

/** The traces in a file of plans; none where it is none of this mtac's. */
function tracesIn(text: string): Readonly<Record<string, KernelTrace>> {
  try {
    const artifact: Pick<Artifact, "plans" | "traces"> = JSON.parse(text);
    return traceKernels(artifact);
  } catch {
    // The file may hold anything.
    return {};
  }
}
