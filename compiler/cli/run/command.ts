import type { Command } from "commander";
import { TARGETS } from "../../targets.ts";
import { createOutput } from "../../terminal/output.ts";
import {
  deviceArchitectureOption,
  type JsonFlag,
  jsonOption,
  layerOption,
  nameOption,
  noTunedOption,
  scheduleOption,
  targetOption,
  tuningStoreOption,
} from "../flags.ts";
import type { RunFlags } from "./run.ts";

export function registerRun(program: Command): void {
  program
    .command("run")
    .summary("compute an attention over tensors from a file")
    .description(
      "Compute an attention. Inputs (q, k, v, the masks' tensors, the parameters) come from a safetensors file; o and lse go to another.",
    )
    .argument("<spec>", "spec file (.mta or .ts)")
    .addOption(targetOption(TARGETS, "what to compute on").default("webgpu"))
    .requiredOption("--inputs <file>", "safetensors file to read")
    .requiredOption("--output <file>", "safetensors file to write")
    .option(
      "--weights <file>",
      "take the parameters from this safetensors file, which may hold other tensors too; with `--layer`, that layer's",
    )
    .addOption(nameOption())
    .addOption(layerOption())
    .option("--grad", "gradients too (target reference); needs the tensor d_o")
    .addOption(scheduleOption())
    .addOption(deviceArchitectureOption())
    .addOption(noTunedOption())
    .addOption(tuningStoreOption())
    .option("--strict", "refuse inputs that hold NaN or infinite values")
    .addOption(jsonOption())
    .action(async (spec: string, flags: RunFlags & JsonFlag) => {
      const { runSpec } = await import("./run.ts");
      await runSpec(spec, flags, createOutput(flags.json === true));
    });
}
