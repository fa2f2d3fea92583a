import { METERED_TARGETS } from "../../targets.ts";
import { command } from "../command.ts";
import {
  type FlagsOf,
  given,
  numberList,
  splitList,
  text,
  value,
  wholeNumber,
  withDefault,
} from "../flag.ts";
import * as shared from "../flags.ts";

export const BENCH = command({
  name: "bench",
  summary: "time the plans against the unfused baseline and other implementations",
  description:
    "Time the best plan of each schedule and the tuned plan against the unfused baseline and other implementations over lengths, in turns, each checked against the float64 reference first.",
  arguments: [["[spec]", "spec file (.mta or .ts)"]],
  flags: {
    target: shared.device(METERED_TARGETS, "what to time"),
    arch: shared.DEVICE_ARCHITECTURE,
    name: shared.NAME,
    layer: shared.LAYER,
    lengths: value("<list>", "rows of queries and keys (default: 128,256,512)", numberList),
    batch: shared.BATCH,
    schedule: shared.SCHEDULE,
    rounds: withDefault(value("<n>", "timed runs of each, in turns", wholeNumber(1)), 5),
    seed: shared.SEED,
    threads: value(
      "<n>",
      "threads of all that computes on the processor (default: as many as run at once)",
      wholeNumber(1),
    ),
    grad: given("the backward pass, too"),
    peers: value(
      "<list>",
      "of onnxruntime-web, onnxruntime-node, pytorch; all or none (default: all; cuda-emulated: none)",
      splitList,
    ),
    import: text("<file>", "show what a kit for a GPU found (`npm run gpu:kit`), in place of timing a spec"),
    csv: text("<file>", "write the numbers as CSV"),
    html: text("<file>", "write a report with plots, as one file"),
    plot: text("<file.svg>", "write the plot of times"),
    tuned: shared.TUNED,
    store: shared.STORE,
    json: shared.JSON_OBJECT,
  },
});

export type BenchFlags = FlagsOf<typeof BENCH.flags>;
