import { type Command, Option } from "commander";
import { METERED_TARGETS } from "../../targets.ts";
import { createOutput } from "../../terminal/output.ts";
import {
  batchOption,
  deviceArchitectureOption,
  type JsonFlag,
  jsonOption,
  layerOption,
  nameOption,
  noTunedOption,
  numberList,
  scheduleOption,
  seedOption,
  splitList,
  targetOption,
  tuningStoreOption,
  wholeNumber,
} from "../flags.ts";
import type { BenchFlags } from "./run.ts";

export function registerBench(program: Command): void {
  program
    .command("bench")
    .summary("time the plans against the unfused baseline and other implementations")
    .description(
      "Time the best plan of each schedule and the tuned plan against the unfused baseline and other implementations over lengths, in turns, each checked against the float64 reference first.",
    )
    .argument("<spec>", "spec file (.mta or .ts)")
    .addOption(targetOption(METERED_TARGETS, "what to time").default("webgpu"))
    .addOption(deviceArchitectureOption())
    .addOption(nameOption())
    .addOption(layerOption())
    .addOption(
      new Option("--lengths <list>", "rows of queries and keys (default: 128,256,512)").argParser(numberList),
    )
    .addOption(batchOption())
    .addOption(scheduleOption())
    .addOption(
      new Option("--rounds <n>", "timed runs of each, in turns").argParser(wholeNumber(1)).default(5),
    )
    .addOption(seedOption())
    .addOption(
      new Option(
        "--peers <list>",
        "of onnxruntime-web, onnxruntime-node, pytorch; all or none (default: all; cuda-emulated: none)",
      ).argParser(splitList),
    )
    .option("--csv <file>", "write the numbers as CSV")
    .option("--html <file>", "write a report with plots, as one file")
    .option("--plot <file.svg>", "write the plot of times")
    .addOption(noTunedOption())
    .addOption(tuningStoreOption())
    .addOption(jsonOption())
    .action(async (spec: string, flags: BenchFlags & JsonFlag) => {
      const { benchSpec } = await import("./run.ts");
      await benchSpec(spec, flags, createOutput(flags.json === true));
    });
}
