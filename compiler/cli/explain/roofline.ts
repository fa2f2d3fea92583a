import { type CallShape, MtacError, type Pipeline, type Schedule } from "../../../runtime/contract/index.ts";
import { resolve } from "../../ir/index.ts";
import type { CheckedSpec } from "../../language/attention.ts";
import {
  boundCandidates,
  figuresOf,
  floorBound,
  floorWork,
  planCandidates,
  ratesOf,
} from "../../plan/index.ts";
import { attentionFacts } from "../../report/explain.ts";
import type { GpuRoofline, RooflineCandidate, RooflineReport } from "../../report/roofline.ts";
import { formatRooflines } from "../../report/roofline-text.ts";
import type { Output } from "../../terminal/output.ts";
import { chooseAttentions } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { ExplainFlags } from "./command.ts";
import { type ChosenGpu, chooseGpus } from "./gpu-choice.ts";

/**
 * `mtac explain --roofline`: what every candidate takes at least on GPUs whose figures are public; nothing is run.
 *
 * @throws MtacError MTA405 (on some GPU no candidate is legal), MTA922, MTA923
 */
export async function rooflineSpec(file: string, flags: ExplainFlags, output: Output): Promise<void> {
  const gpus = chooseGpus(flags.gpu, flags.target);
  const spec = await readSpec(file, output);
  const reports = chooseAttentions(spec, flags).map((attention) =>
    reportOn(spec, resolve(attention, file), flags, gpus),
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

function reportOn(
  spec: CheckedSpec,
  pipeline: Pipeline,
  flags: ExplainFlags,
  gpus: readonly ChosenGpu[],
): RooflineReport {
  const facts = attentionFacts(spec.stacks, pipeline, flags);
  return {
    ...facts,
    rooflines: gpus.map((chosen) => rooflineOn(pipeline, facts.shape, flags.schedule, chosen)),
  };
}

function rooflineOn(
  pipeline: Pipeline,
  shape: CallShape,
  schedule: Schedule | undefined,
  { gpu, machine }: ChosenGpu,
): GpuRoofline {
  const { target, limits } = machine;
  const rates = ratesOf(gpu, target);
  const work = floorWork(pipeline, shape);
  const floor = { ...work, ...floorBound(work, rates) };
  const planned = planCandidates(pipeline, {
    machine,
    shape,
    ...(schedule === undefined ? {} : { schedule }),
  });
  const legal = boundCandidates(planned, shape, rates).map(
    ({ candidate, roofline }): RooflineCandidate => ({
      schedule: candidate.schedule,
      knobs: candidate.knobs,
      reason: null,
      chosen: candidate === planned[0],
      roofline,
      floorShare: floor.seconds / roofline.seconds,
      work: candidate.work,
    }),
  );
  const dropped = planned.flatMap(({ schedule: name, knobs, reason }): RooflineCandidate[] =>
    reason === null ? [] : [{ schedule: name, knobs, reason, chosen: false, roofline: null }],
  );
  return {
    gpu: gpu.name,
    title: gpu.title,
    target,
    limits,
    rates,
    figures: figuresOf(gpu),
    floor,
    candidates: [...legal, ...dropped],
  };
}
