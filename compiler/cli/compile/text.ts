import { relative } from "node:path";
import type { Artifact } from "../../../runtime/contract/index.ts";
import { formatBytes, formatMilliseconds, plural } from "../../report/units.ts";
import type { Output } from "../../terminal/output.ts";
import { table } from "../../terminal/style.ts";
import type { KernelResources } from "../../toolchain/ptxas.ts";

/** The plans of what was compiled, and where its files are. */
export function formatCompiled(
  artifacts: readonly Artifact[],
  files: Readonly<Record<string, string | Uint8Array>>,
  folder: string,
  milliseconds: number,
  { style }: Output,
): string {
  const rows = artifacts.flatMap(({ name, plans }) =>
    plans.map(({ target, schedule, storage, requires, kernels, tuned }, index) => [
      index === 0 ? style.bold(name) : "",
      index === 0 ? target : "",
      tuned === true ? `${schedule}, tuned` : schedule,
      storage,
      requires.computeCapability === undefined ? "" : `sm_${requires.computeCapability}`,
      requires.workgroupBytes === 0 ? "" : formatBytes(requires.workgroupBytes),
      style.dim(kernels.map((kernel) => kernel.name).join(" → ")),
    ]),
  );
  const bytes = Object.values(files).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const count = plural(Object.keys(files).length, "file");
  const where = relative(process.cwd(), folder) || ".";
  return `${table(rows, ["left", "left", "left", "left", "left", "right", "left"])}\n${style.green("✓")} ${count} (${formatBytes(bytes)}) in ${where}${style.dim(`, ${formatMilliseconds(milliseconds)}`)}`;
}

/** What ptxas says of each kernel. */
export function formatResources(resources: readonly KernelResources[], { style }: Output): string {
  const rows = resources.map((each) => [
    style.cyan(`${each.file.replace(/\.cu$/, "")} ${each.kernel}`),
    each.architecture,
    `${each.registers} registers`,
    formatBytes(each.sharedBytes),
    each.spillBytes + each.stackBytes === 0
      ? style.dim("no spills")
      : style.red(`${each.spillBytes} bytes spilled, ${each.stackBytes} of stack`),
  ]);
  return `${style.bold("ptxas")}\n${table(rows, ["left", "left", "right", "right", "left"], "  ")}`;
}
