import { DEFAULT_TARGET, EMITTED_TARGETS } from "../../targets.ts";
import { command } from "../command.ts";
import { type FlagsOf, given, splitList, text, value, withDefault } from "../flag.ts";
import * as shared from "../flags.ts";

export const EXPLAIN = command({
  name: "explain",
  summary: "show what a spec means and how it would run",
  description:
    "Show each attention's pipeline, parameters, work and memory, the candidate schedules, and the plan chosen; " +
    "or what an error's code means.",
  arguments: [["<spec>", "spec file (.mta or .ts), or an error's code such as MTA305"]],
  flags: {
    name: shared.NAME_OF_ALL,
    layer: shared.LAYER,
    target: shared.target(EMITTED_TARGETS, `plan for this target (default: ${DEFAULT_TARGET})`),
    arch: text("<arch>", "CUDA architecture to plan for (default: sm_80)"),
    length: withDefault(shared.LENGTH, 1024),
    batch: shared.BATCH,
    schedule: shared.SCHEDULE,
    roofline: given("show what every candidate takes at least on GPUs with public figures, and why"),
    gpu: value("<names>", "these GPUs only, such as h100,rtx-4090, or all: implies --roofline", splitList),
    all: given("with --roofline: every candidate, not the best dozen"),
    trace: text("<kernel:line>", "show which line of the spec a line of an emitted kernel comes from"),
    json: shared.JSON_OBJECT,
  },
});

export type ExplainFlags = FlagsOf<typeof EXPLAIN.flags>;
