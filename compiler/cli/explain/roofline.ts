import { MtacError } from "../../../runtime/contract/index.ts";
import { resolve } from "../../ir/index.ts";
import { attentionFacts } from "../../report/explain.ts";
import { rooflineReport } from "../../report/roofline.ts";
import { formatRooflines } from "../../report/roofline-text.ts";
import type { Output } from "../../terminal/output.ts";
import { chooseAttentions } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { ExplainFlags } from "./command.ts";
import { chooseGpus } from "./gpu-choice.ts";

/**
 * `mtac explain --roofline`: what every candidate takes at least on GPUs whose figures are public; nothing is run.
 *
 * @throws MtacError MTA405 (on some GPU no candidate is legal), MTA922, MTA923
 */
export async function rooflineSpec(file: string, flags: ExplainFlags, output: Output): Promise<void> {
  const gpus = chooseGpus(flags.gpu, flags.target);
  const spec = await readSpec(file, output);
  const reports = chooseAttentions(spec, flags).map((attention) =>
    rooflineReport(attentionFacts(spec.stacks, resolve(attention, file), flags), gpus, flags.schedule),
  );
  output.result({ file, attentions: reports, stacks: spec.stacks });
  output.text(
    reports
      .map((report) => formatRooflines(report, flags.all === true, output.style))
      .join(`\n\n${output.style.dim("─".repeat(72))}\n\n`),
  );
  for (const { name, rooflines } of reports) {
    const without = rooflines.find(({ candidates }) => candidates.every(({ reason }) => reason !== null));
    if (without === undefined) continue;
    throw new MtacError("MTA405", "input", `no schedule of \`${name}\` fits ${without.title}`, {
      remedy: "the candidates with `--json` say which limit each breaks, and by how much",
    });
  }
}
