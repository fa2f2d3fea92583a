import type { Command } from "commander";
import { batchOption, jsonOption, layerOption, lengthOption, scheduleOption } from "./support/options.ts";
import { createOutput } from "./support/output.ts";

interface ExplainFlags {
  readonly name?: string;
  readonly layer?: number;
  readonly target: string;
  readonly arch?: string;
  readonly length: number;
  readonly batch: number;
  readonly schedule?: string;
  readonly json?: true;
}

export function registerExplain(program: Command): void {
  program
    .command("explain")
    .summary("show what a spec means and how it would run")
    .description(
      "Show each attention's pipeline, parameters, work and memory, the candidate schedules, and the plan chosen.",
    )
    .argument("<spec>", "spec file (.mta or .ts)")
    .option("--name <name>", "one attention or stack (default: all)")
    .addOption(layerOption())
    .option("--target <target>", "plan for this target: webgpu or cuda", "webgpu")
    .option("--arch <arch>", "CUDA architecture to plan for (default: sm_80)")
    .addOption(lengthOption(1024))
    .addOption(batchOption())
    .addOption(scheduleOption())
    .addOption(jsonOption())
    .action(async (spec: string, flags: ExplainFlags) => {
      const { explainSpec } = await import("./support/explain-spec.ts");
      await explainSpec(spec, flags, createOutput(flags.json === true));
    });
}
