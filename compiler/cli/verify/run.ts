import { usesLayer } from "../../../runtime/contract/index.ts";
import { compareTensors, type TensorError } from "../../execution/comparison.ts";
import { randomCall } from "../../execution/random-call.ts";
import { type RunResult, shapeOf } from "../../execution/request.ts";
import { resolve } from "../../ir/index.ts";
import { formatError } from "../../report/units.ts";
import { computingTarget, execute } from "../../targets/index.ts";
import { hasDevice, REFERENCE } from "../../targets.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { type ReportStep, withProgress } from "../../terminal/progress.ts";
import { table } from "../../terminal/style.ts";
import { tunedChooser } from "../../tune/tuned-winners.ts";
import { layerNeeded } from "../errors.ts";
import { Finished } from "../failure.ts";
import { checkArchitecture } from "../flags.ts";
import { formatReport } from "../run/run.ts";
import { chooseAttention } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { VerifyFlags } from "./command.ts";

/** `mtac verify`: random inputs on a target against the float64 reference; exit code 1 if a tensor is out of bounds. */
export async function run(file: string, flags: VerifyFlags): Promise<void> {
  const output = openOutput(flags);
  const grad = flags.grad === true;
  const target = flags.target ?? (await computingTarget());
  checkArchitecture({ ...flags, target });
  const spec = await readSpec(file, output);
  const { attention, layer } = chooseAttention(spec, flags);
  const pipeline = resolve(attention, file);
  if (usesLayer(pipeline) && layer === undefined) throw layerNeeded(pipeline.name);
  const { batch: B, length, seed } = flags;
  const call = randomCall(pipeline, { B, Lq: length, Lk: length, R: 0 }, { seed, layer, grad, drops: grad });
  const request = {
    target,
    pipeline,
    call,
    schedule: flags.schedule,
    architecture: flags.arch,
    ...(hasDevice(target) ? tunedChooser(pipeline, shapeOf(call), flags, output.notice) : {}),
  };
  const { report, errors } = await withProgress(output, async (onStep) => {
    const result = await execute({ ...request, onStep });
    const check = hasDevice(target) ? compareWithReference : selfCheck;
    return { report: result.report, errors: await check(result, onStep) };
  });
  output.text(formatReport(pipeline.name, report, output));
  output.text("");
  output.text(
    formatErrors(errors, hasDevice(target) ? "float64" : grad ? "finite differences" : "itself", output),
  );
  output.result({ ...report, seed, batch: B, length, errors });
  if (!errors.every(({ ok }) => ok)) throw new Finished(1);

  async function compareWithReference(
    { tensors }: RunResult,
    onStep: ReportStep,
  ): Promise<readonly TensorError[]> {
    const expected = await execute({ target: REFERENCE, pipeline, call, schedule: undefined, onStep });
    return compareTensors(tensors, expected.tensors, pipeline.storage);
  }

  async function selfCheck({ tensors }: RunResult, onStep: ReportStep): Promise<readonly TensorError[]> {
    if (!grad) return compareTensors(tensors, tensors, pipeline.storage);
    onStep("checking gradients by finite differences");
    const { checkGradients } = await import("../../execution/gradient-check.ts");
    return checkGradients(pipeline, call, tensors);
  }
}

function formatErrors(errors: readonly TensorError[], against: string, { style }: Output): string {
  const head = ["", "tensor", "relative error", "bound"].map(style.dim);
  const rows = errors.map(({ tensor, error, bound, ok }) => [
    ok ? style.green("✓") : style.red("✗"),
    tensor,
    ok ? formatError(error) : style.red(formatError(error)),
    formatError(bound),
  ]);
  const passed = errors.every(({ ok }) => ok);
  const verdict = passed
    ? style.green(`every tensor lies within its bound of ${against}`)
    : style.red(`some tensors lie out of bounds (against ${against})`);
  return `${table([head, ...rows], ["left", "left", "right", "right"], "  ")}\n${verdict}`;
}
