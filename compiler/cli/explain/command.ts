import type { Command } from "commander";
import { EMITTED_TARGETS } from "../../targets.ts";
import { createOutput } from "../../terminal/output.ts";
import {
  batchOption,
  type JsonFlag,
  jsonOption,
  layerOption,
  lengthOption,
  scheduleOption,
  splitList,
  targetOption,
} from "../flags.ts";
import type { ExplainFlags } from "./run.ts";

export function registerExplain(program: Command): void {
  program
    .command("explain")
    .summary("show what a spec means and how it would run")
    .description(
      "Show each attention's pipeline, parameters, work and memory, the candidate schedules, and the plan chosen; " +
        "or what an error's code means.",
    )
    .argument("<spec>", "spec file (.mta or .ts), or an error's code such as MTA305")
    .option("--name <name>", "one attention or stack (default: all)")
    .addOption(layerOption())
    .addOption(targetOption(EMITTED_TARGETS, "plan for this target (default: webgpu)"))
    .option("--arch <arch>", "CUDA architecture to plan for (default: sm_80)")
    .addOption(lengthOption(1024))
    .addOption(batchOption())
    .addOption(scheduleOption())
    .option("--roofline", "show what every candidate takes at least on GPUs with public figures, and why")
    .option("--gpu <names>", "these GPUs only, such as h100,rtx-4090, or all: implies --roofline", splitList)
    .option("--all", "with --roofline: every candidate, not the best dozen")
    .option("--trace <kernel:line>", "show which line of the spec a line of an emitted kernel comes from")
    .addOption(jsonOption())
    .action(async (spec: string, flags: ExplainFlags & JsonFlag & { readonly trace?: string }) => {
      if (/^MTA\d+$/i.test(spec)) {
        const { printCode } = await import("./code.ts");
        printCode(spec.toUpperCase(), createOutput(flags.json === true));
        return;
      }
      if (flags.trace !== undefined) {
        const { traceKernel } = await import("./trace-kernel.ts");
        traceKernel(spec, flags.trace, createOutput(flags.json === true));
        return;
      }
      const { explainSpec } = await import("./run.ts");
      await explainSpec(spec, flags, createOutput(flags.json === true));
    });
}
