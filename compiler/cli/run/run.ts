import { usesLayer } from "../../../runtime/contract/index.ts";
import type { RunReport } from "../../execution/request.ts";
import { shapeOf } from "../../execution/request.ts";
import { nonFiniteTensors, readCall, readWeights, writeTensors } from "../../execution/tensor-file.ts";
import { checkWritable } from "../../files/atomic-write.ts";
import { refuseOverlap } from "../../files/overlap.ts";
import { resolve } from "../../ir/index.ts";
import { formatBytes, formatCount, formatMilliseconds, plural } from "../../report/units.ts";
import { computingTarget, execute } from "../../targets/index.ts";
import { deviceFacts, hasDevice, type TargetName } from "../../targets.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { withProgress } from "../../terminal/progress.ts";
import { inLine, table } from "../../terminal/style.ts";
import { storePath } from "../../tune/store-path.ts";
import { tunedChooser } from "../../tune/tuned-winners.ts";
import type { LeftTensor } from "../../weights/index.ts";
import { layerNeeded, nonFiniteInputs } from "../errors.ts";
import { checkArchitecture } from "../flags.ts";
import { chooseAttention } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { RunFlags } from "./command.ts";

/** `mtac run`: everything that can be refused is refused before anything is computed. */
export async function run(file: string, flags: RunFlags): Promise<void> {
  const output = openOutput(flags);
  const grad = flags.grad === true;
  const target = flags.target ?? (await computingTarget());
  checkArchitecture({ ...flags, target });
  refuseOverlap(
    [{ name: "`--output`", path: flags.output }],
    [
      { name: "`--inputs`", path: flags.inputs },
      { name: "`--weights`", path: flags.weights },
      { name: "the spec", path: file },
      { name: "the tuning store", path: storePath(flags.store) },
    ],
  );
  const spec = await readSpec(file, output);
  const { attention, layer } = chooseAttention(spec, flags);
  const pipeline = resolve(attention, file);
  if (usesLayer(pipeline) && layer === undefined) throw layerNeeded(pipeline.name);
  const weights = flags.weights === undefined ? null : readWeights(flags.weights, pipeline, layer);
  const call = readCall(flags.inputs, pipeline, { layer, grad, weights });
  if (weights !== null) reportLeft(weights.left, `${flags.weights}`, output);
  const nonFinite = nonFiniteTensors(call);
  if (nonFinite.length > 0) {
    if (flags.strict === true) throw nonFiniteInputs(nonFinite.join(", "));
    warnNonFinite(nonFinite, target, output);
  }
  checkWritable(flags.output);
  const request = {
    target,
    pipeline,
    call,
    schedule: flags.schedule,
    architecture: flags.arch,
    ...(hasDevice(target) ? tunedChooser(pipeline, shapeOf(call), flags, output.notice) : {}),
  };
  const { tensors, report } = await withProgress(output, (onStep) => execute({ ...request, onStep }));
  writeTensors(flags.output, tensors);
  output.text(formatReport(pipeline.name, report, output));
  output.text(`wrote ${[...tensors.keys()].join(", ")} to ${inLine(flags.output)}`);
  output.result(report);
}

/** As many names of unused tensors as are shown. */
const SHOWN = 8;

function reportLeft(left: readonly LeftTensor[], file: string, output: Output): void {
  if (left.length === 0) return;
  const names = left.slice(0, SHOWN).map(({ name }) => inLine(name));
  const more = left.length > SHOWN ? `, and ${left.length - SHOWN} more` : "";
  output.note(`${plural(left.length, "tensor")} of ${inLine(file)} not used: ${names.join(", ")}${more}`);
}

function warnNonFinite(names: readonly string[], target: TargetName, output: Output): void {
  const consequence = hasDevice(target)
    ? `results on ${target} are best effort`
    : "the rows that they reach are NaN";
  output.notice({
    severity: "warning",
    message: `inputs hold NaN or infinite values (${names.join(", ")}): ${consequence}`,
  });
}

function who(choice: RunReport["choice"]): string {
  return choice === "tuned" ? "tuned for this device" : "the planner's choice";
}

/** What was run, where, and what it cost. */
export function formatReport(name: string, report: RunReport, { style }: Output): string {
  const { device, schedule, choice, kernels, wallMs, deviceMs, peakBytes, workspaceBytes, compulsoryBytes } =
    report;
  const rows = [["device", device]];
  const apart = hasDevice(report.target) && deviceFacts(report.target).dispatches;
  if (schedule !== null) {
    const dispatches = apart ? `${plural(kernels, "dispatch").replace(/hs$/, "hes")}, ` : "";
    rows.push(["schedule", `${schedule}, ${dispatches}${who(choice)}`]);
  }
  const onDevice =
    deviceMs === null || !apart ? "" : style.dim(` (${formatMilliseconds(deviceMs)} on the device)`);
  rows.push(["time", `${formatMilliseconds(wallMs)}${onDevice}`]);
  if (peakBytes !== null && workspaceBytes !== null)
    rows.push([
      "memory",
      `${formatBytes(peakBytes)}${style.dim(`: ${formatBytes(compulsoryBytes)} compulsory, ${formatBytes(workspaceBytes)} workspace`)}`,
    ]);
  if (report.backward !== undefined)
    rows.push([
      "backward",
      `${formatMilliseconds(report.backward.wallMs)}${style.dim(`, ${formatBytes(report.backward.workspaceBytes)} workspace, ${who(report.backward.choice)}`)}`,
    ]);
  if (report.counters !== undefined) {
    const { warpInstructions, mma, sharedWavefronts } = report.counters;
    const products = Object.values(mma).reduce((sum, count) => sum + count, 0);
    rows.push([
      "counted",
      `${formatCount(warpInstructions)} warp instructions, ${formatCount(products)} of them mma, ${formatCount(sharedWavefronts)} shared wavefronts`,
    ]);
  }
  const labelled = rows.map(([label = "", value = ""]) => [style.dim(label), value]);
  return `${style.bold(name)} on ${report.target}\n${table(labelled, [], "  ")}`;
}
