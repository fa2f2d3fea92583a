import { LAYOUT_NAMES } from "../../weights/layouts.ts";
import { parseRenaming, type Renaming } from "../../weights/renaming.ts";
import { command } from "../command.ts";
import { type FlagsOf, oneOf, required, text, value } from "../flag.ts";
import * as shared from "../flags.ts";

export const WEIGHTS = command({
  name: "weights",
  summary: "bring in parameters from a PyTorch state dict",
  description:
    "Take the parameters of an attention, or of a whole stack (`--name STACK`), out of a model's state dict, and write them as mtac names and stores them, as F32. Other tensors are left.",
  arguments: [
    ["<spec>", "spec file (.mta or .ts)"],
    ["<state>", "the state dict, as a safetensors file"],
  ],
  flags: {
    output: required(text("<file>", "safetensors file to write")),
    layout: oneOf("<layout>", "whose names and orientations these are (ram: the authors' MTA)", LAYOUT_NAMES),
    map: value(
      "<from=to>",
      "take the parameter `to` from the tensor `from`; `from=to:transpose` swaps its last two axes; repeatable",
      (word: string, previous: readonly Renaming[] | undefined): readonly Renaming[] => [
        ...(previous ?? []),
        parseRenaming(word),
      ],
    ),
    prefix: text(
      "<text>",
      "what stands before the tensors' names, {layer} for the layer's number (default: found by itself)",
    ),
    name: shared.NAME,
    layer: shared.LAYER,
    json: shared.JSON_OBJECT,
  },
});

export type WeightsFlags = FlagsOf<typeof WEIGHTS.flags>;
