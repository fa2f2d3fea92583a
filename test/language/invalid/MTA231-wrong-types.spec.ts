import { attention, conv, gate, mix, stack, tune } from "../../../compiler/language/index.ts";

// What a spec in plain JavaScript might hold: the types would refuse it.
const a = attention("a", {
  heads: "4",
  headDim: Number.NaN,
  headDmi: 3,
  mask: [{ windw: 3 }, "window", 4],
  extends: 3,
  scores: [
    conv("3 by 3" as never, { bias: "yes", init: { std: 1 } } as never),
    mix(2, { as: "Local" }),
    "mix",
  ],
  output: [gate("chanel" as never)],
} as never);

const b = attention("conv", { heads: 4, headDim: 8, mask: [] });
const s = stack("s", {
  layers: 2,
  use: [{ attention: "zz" }, { attention: null, at: [{ from: 1 }] }],
} as never);
const t = tune("a", { lengths: 128, sweep: [1] } as never);

export default [a, b, s, t, "attention"];
