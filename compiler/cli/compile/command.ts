import { type Command, Option } from "commander";
import { EMITTED_TARGETS } from "../../targets.ts";
import { createOutput } from "../../terminal/output.ts";
import {
  configOption,
  jsonOption,
  lengthOption,
  noTunedOption,
  scheduleOption,
  splitList,
  targetListOption,
  tuningStoreOption,
} from "../flags.ts";
import type { CompileFlags } from "./settings.ts";

export function registerCompile(program: Command): void {
  program
    .command("compile")
    .summary("write kernels, launchers and plans")
    .description(
      "Write the attentions and stacks of a spec: WGSL and CUDA kernels with typed launchers, a C header for CUDA, their plans.",
    )
    .argument("[spec]", "spec file (.mta or .ts); default: those of mtac.config.ts")
    .option("--name <name>", "one attention or stack (default: all)")
    .addOption(targetListOption(EMITTED_TARGETS, "targets, separated by commas (default: all of them)"))
    .option("--out <dir>", "output folder (default: ./<spec name>.mtac)")
    .addOption(
      new Option(
        "--arch <archs>",
        "CUDA architectures to plan for, separated by commas (default: sm_80)",
      ).argParser(splitList),
    )
    .option(
      "--ptxas",
      "show registers, shared memory and spills of the CUDA kernels (default where --target names cuda and nvcc is there)",
    )
    .option("--no-ptxas", "do not")
    .option(
      "--images [place]",
      "compile the CUDA kernels, as cubins of the architectures and PTX: `embed` (the default) puts them into the CUDA launchers, which then need no compiler; `files` writes .cubin, .ptx and .fatbin files",
    )
    .option(
      "--no-launcher",
      "no TypeScript: kernels, C headers, CMake files and plans only; needs no ts-morph",
    )
    .addOption(scheduleOption())
    .addOption(lengthOption())
    .option(
      "--tuning <file>",
      "results of `mtac tune export`, for launchers to prefer on the devices that it names",
    )
    .addOption(noTunedOption())
    .addOption(tuningStoreOption())
    .addOption(configOption())
    .option("--watch", "compile again whenever the spec or the config changes")
    .addOption(jsonOption())
    .action(async (spec: string | undefined, flags: CompileFlags & { readonly json?: true }) => {
      const { compileSpec } = await import("./run.ts");
      const lines = flags.watch === true;
      // `--images spec.mta`: the option stands without a value.
      const only = spec === undefined && typeof flags.images === "string" && /\.\w+$/.test(flags.images);
      const [named, given] = only ? [flags.images, { ...flags, images: true as const }] : [spec, flags];
      await compileSpec(named, given, createOutput(flags.json === true, { lines }));
    });
}
