import { TARGETS } from "../../targets.ts";
import { command } from "../command.ts";
import { type FlagsOf, given, withDefault } from "../flag.ts";
import * as shared from "../flags.ts";

export const VERIFY = command({
  name: "verify",
  summary: "compare a target with the float64 reference",
  description:
    "Compute an attention over random inputs and parameters on a target and on the float64 reference, and compare.",
  arguments: [["<spec>", "spec file (.mta or .ts)"]],
  flags: {
    target: shared.device(TARGETS, "what to compute on"),
    name: shared.NAME,
    layer: shared.LAYER,
    batch: shared.BATCH,
    length: withDefault(shared.LENGTH, 128),
    seed: shared.SEED,
    grad: given("gradients too, and weights are dropped, where the spec has dropout"),
    schedule: shared.SCHEDULE,
    arch: shared.DEVICE_ARCHITECTURE,
    tuned: shared.TUNED,
    store: shared.STORE,
    json: shared.JSON_OBJECT,
  },
});

export type VerifyFlags = FlagsOf<typeof VERIFY.flags>;
