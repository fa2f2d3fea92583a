import { MtacError } from "../../../runtime/contract/index.ts";
import { resolve } from "../../ir/index.ts";
import { machinesOf } from "../../plan/index.ts";
import { attentionFacts, explain } from "../../report/explain.ts";
import { formatExplanation } from "../../report/explanation.ts";
import { DEFAULT_TARGET } from "../../targets.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { architectureOfGpu, unknownArchitecture, wrongUsage } from "../errors.ts";
import { checkArchitecture } from "../flags.ts";
import { chooseAttentions } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { ExplainFlags } from "./command.ts";
import { rooflineSpec } from "./roofline.ts";

/** `mtac explain`: of a code, of a kernel's line, of GPUs' peaks, or of the planner's choice. */
export async function run(spec: string, flags: ExplainFlags): Promise<void> {
  const output = openOutput(flags);
  if (/^MTA\d+$/i.test(spec)) {
    const { printCode } = await import("./code.ts");
    return printCode(spec.toUpperCase(), output);
  }
  if (flags.trace !== undefined) {
    const { traceKernel } = await import("./trace-kernel.ts");
    return traceKernel(spec, flags.trace, output);
  }
  await explainPlans(spec, flags, output);
}

/**
 * What the planner sees and decides; with `--roofline` or `--gpu` what GPUs' peaks allow. Nothing is run.
 *
 * @throws MtacError MTA405, and what `rooflineSpec` throws; MTA900, MTA903, MTA915 and MTA916 of the options
 */
async function explainPlans(file: string, flags: ExplainFlags, output: Output): Promise<void> {
  if (flags.roofline === true || flags.gpu !== undefined) {
    if (flags.arch !== undefined) throw architectureOfGpu();
    return rooflineSpec(file, flags, output);
  }
  if (flags.all === true) throw wrongUsage("`--all` goes with `--roofline` only", "add `--roofline`");
  const { target = DEFAULT_TARGET, arch } = flags;
  checkArchitecture({ ...flags, target });
  const machine = machinesOf(target).typical(arch);
  if (machine === null) throw unknownArchitecture(`${arch}`);
  const spec = await readSpec(file, output);
  const explanations = chooseAttentions(spec, flags).map((attention) =>
    explain(attentionFacts(spec.stacks, resolve(attention, file), flags), {
      target,
      limits: machine.limits,
      schedule: flags.schedule,
      gradients: true,
    }),
  );
  output.result({ file, attentions: explanations, stacks: spec.stacks });
  output.text(
    explanations
      .map((each) => formatExplanation(each, output.style))
      .join(`\n\n${output.style.dim("─".repeat(72))}\n\n`),
  );
  const [unplanned] = explanations.filter(({ plan }) => plan === null);
  if (unplanned !== undefined)
    throw new MtacError("MTA405", "input", `no schedule of \`${unplanned.name}\` fits the target`, {
      remedy: "the candidates above say which limit each breaks, and by how much",
    });
}
