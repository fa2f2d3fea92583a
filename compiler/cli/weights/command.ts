import type { Command } from "commander";
import { createOutput } from "../../terminal/output.ts";
import { LAYOUT_NAMES } from "../../weights/layouts.ts";
import type { Renaming } from "../../weights/renaming.ts";
import { parseRenaming } from "../../weights/renaming.ts";
import { type JsonFlag, jsonOption, layerOption, nameOption } from "../flags.ts";
import type { ConvertFlags } from "./run.ts";

export function registerWeights(program: Command): void {
  program
    .command("weights")
    .summary("bring in parameters from a PyTorch state dict")
    .description(
      "Take the parameters of an attention, or of a whole stack (`--name STACK`), out of a model's state dict, and write them as mtac names and stores them, as F32. Other tensors are left.",
    )
    .argument("<spec>", "spec file (.mta or .ts)")
    .argument("<state>", "the state dict, as a safetensors file")
    .requiredOption("--output <file>", "safetensors file to write")
    .addOption(
      program
        .createOption("--layout <layout>", "whose names and orientations these are (ram: the authors' MTA)")
        .choices(LAYOUT_NAMES),
    )
    .option(
      "--map <from=to>",
      "take the parameter `to` from the tensor `from`; `from=to:transpose` swaps its last two axes; repeatable",
      (text: string, previous: readonly Renaming[] | undefined) => [...(previous ?? []), parseRenaming(text)],
    )
    .option(
      "--prefix <text>",
      "what stands before the tensors' names, {layer} for the layer's number (default: found by itself)",
    )
    .addOption(nameOption())
    .addOption(layerOption())
    .addOption(jsonOption())
    .action(async (spec: string, state: string, flags: ConvertFlags & JsonFlag) => {
      const { convertWeights } = await import("./run.ts");
      await convertWeights(spec, state, flags, createOutput(flags.json === true));
    });
}
