// attention toy, from toy.mta:3. Made by mtac 0.1.0: change the spec and compile it again, not this file.

import type { Artifact, Pipeline } from "mtac/runtime/cpu";

/** What the kernels compute, every default of the spec filled in. */
export const pipeline: Pipeline = {
  name: "toy",
  heads: 2,
  kvHeads: 2,
  headDim: 128,
  valueDim: 128,
  scale: 0.08838834764831843,
  storage: "f32",
  mask: [{ kind: "causal" }],
  normalize: "softmax",
  scores: [
    {
      kind: "conv",
      name: "scores.conv",
      kernel: { query: 2, key: 9 },
      origin: { query: 1, key: 4 },
      dilation: { query: 1, key: 1 },
      across: 1,
      shared: false,
      weight: "scores.conv.weight",
      bias: null,
      source: { file: "toy.mta", line: 8, column: 13 },
    },
  ],
  weights: [],
  output: [],
  parameters: [{ name: "scores.conv.weight", shape: [2, 1, 2, 9], init: { kind: "identity" } }],
  source: { file: "toy.mta", line: 3, column: 1 },
};

/** Plans, the most preferred first, and the kernels that they name. */
export const artifact: Artifact = {
  name: "toy",
  plans: [
    {
      pipeline,
      format: 2,
      target: "cpu",
      schedule: "staged",
      storage: "f32",
      knobs: { strip: 64, block: 64, threads: "all" },
      requires: { workgroupBytes: 0, invocations: 1, storageBuffers: 8, features: [] },
      parameters: [{ name: "scores.conv.weight", offset: 0, length: 36 }],
      parameterWords: 36,
      alignment: { q: 4, k: 4, v: 4, o: 4 },
      workspace: [],
      definitions: [],
      kernels: [
        {
          name: "attention",
          file: "toy.c",
          entryPoint: "toy_launch",
          workgroupSize: 1,
          workgroupBytes: 0,
          bindings: [
            { binding: 0, access: "uniform", resource: "launch" },
            { binding: 1, access: "read", resource: "q" },
            { binding: 2, access: "read", resource: "q_history" },
            { binding: 3, access: "read", resource: "k" },
            { binding: 4, access: "read", resource: "v" },
            { binding: 5, access: "read", resource: "parameters" },
            { binding: 6, access: "read", resource: "positions" },
            { binding: 7, access: "read_write", resource: "o" },
            { binding: 8, access: "read_write", resource: "lse" },
          ],
          overrides: {},
          source: { file: "toy.mta", line: 3, column: 1 },
          launch: [
            "query_rows",
            "key_rows",
            "history_rows",
            "q_stride_b",
            "q_stride_h",
            "q_stride_l",
            "q_history_stride_b",
            "q_history_stride_h",
            "q_history_stride_l",
            "k_stride_b",
            "k_stride_h",
            "k_stride_l",
            "v_stride_b",
            "v_stride_h",
            "v_stride_l",
            "o_stride_b",
            "o_stride_h",
            "o_stride_l",
            "has_positions",
          ],
        },
      ],
      steps: [
        {
          kind: "dispatch",
          kernel: "attention",
          grid: [1, 1, "B"],
          launch: {},
          multiplyAdds: ["mul", "B", "Lq", "Lk", 548],
        },
      ],
      nominal: { B: 1, Lq: 1024, Lk: 1024, R: 0 },
      cost: { multiplyAdds: 306108416, floorMultiplyAdds: 287590400, bytes: 17825792, barriers: 0, time: 7949356.8 },
    },
  ],
  sources: {
  },
};
