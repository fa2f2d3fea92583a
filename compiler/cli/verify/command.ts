import type { Command } from "commander";
import { TARGETS } from "../../targets.ts";
import { createOutput } from "../../terminal/output.ts";
import {
  batchOption,
  deviceArchitectureOption,
  type JsonFlag,
  jsonOption,
  layerOption,
  lengthOption,
  nameOption,
  noTunedOption,
  scheduleOption,
  seedOption,
  targetOption,
  tuningStoreOption,
} from "../flags.ts";
import type { VerifyFlags } from "./run.ts";

export function registerVerify(program: Command): void {
  program
    .command("verify")
    .summary("compare a target with the float64 reference")
    .description(
      "Compute an attention over random inputs and parameters on a target and on the float64 reference, and compare.",
    )
    .argument("<spec>", "spec file (.mta or .ts)")
    .addOption(targetOption(TARGETS, "what to compute on").default("webgpu"))
    .addOption(nameOption())
    .addOption(layerOption())
    .addOption(batchOption())
    .addOption(lengthOption(128))
    .addOption(seedOption())
    .option("--grad", "gradients too (target reference)")
    .addOption(scheduleOption())
    .addOption(deviceArchitectureOption())
    .addOption(noTunedOption())
    .addOption(tuningStoreOption())
    .addOption(jsonOption())
    .action(async (spec: string, flags: VerifyFlags & JsonFlag) => {
      const { verifySpec } = await import("./run.ts");
      await verifySpec(spec, flags, createOutput(flags.json === true));
    });
}
