import { TARGETS } from "../../targets.ts";
import { command } from "../command.ts";
import { type FlagsOf, given, required, text } from "../flag.ts";
import * as shared from "../flags.ts";

export const RUN = command({
  name: "run",
  summary: "compute an attention over tensors from a file",
  description:
    "Compute an attention. Inputs (q, k, v, the masks' tensors, the parameters) come from a safetensors file; o and lse go to another.",
  arguments: [["<spec>", "spec file (.mta or .ts)"]],
  flags: {
    target: shared.device(TARGETS, "what to compute on"),
    inputs: required(text("<file>", "safetensors file to read")),
    output: required(text("<file>", "safetensors file to write")),
    weights: text(
      "<file>",
      "take the parameters from this safetensors file, which may hold other tensors too; with `--layer`, that layer's",
    ),
    name: shared.NAME,
    layer: shared.LAYER,
    grad: given("gradients too; needs the tensor d_o"),
    schedule: shared.SCHEDULE,
    arch: shared.DEVICE_ARCHITECTURE,
    tuned: shared.TUNED,
    store: shared.STORE,
    strict: given("refuse inputs that hold NaN or infinite values"),
    json: shared.JSON_OBJECT,
  },
});

export type RunFlags = FlagsOf<typeof RUN.flags>;
