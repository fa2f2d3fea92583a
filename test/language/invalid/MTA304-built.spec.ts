import { attention, conv, mix, norm, stack } from "../../../compiler/language/index.ts";

const base = attention("base", {
  heads: 16,
  kvHeads: 3,
  headDim: 96,
  scores: [conv("6x12"), mix(5), conv([3, 3], { padQuery: "both", across: 32 })],
  output: [norm({ eps: 0, depthScale: true })],
});

export default [
  attention("wide", { extends: base, heads: 2048 }),
  stack("model", { layers: 4, use: [{ attention: base, at: [0, { from: 3, to: 2 }] }] }),
];
