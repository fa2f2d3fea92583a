import {
  type Artifact,
  type BufferBinding,
  type KernelPlan,
  type Pipeline,
  PLAN_FORMAT,
  type Plan,
  type Requirements,
  type Step,
} from "../../runtime/contract/index.ts";
import { LAUNCH_FIELDS } from "../../runtime/contract/launch-fields.ts";

/** Plans written by hand, small enough that their results can be checked by eye. */

export const SPEC = { file: "tiny.mta", line: 4, column: 3 } as const;

export function tinyPipeline(changes: Partial<Pipeline> = {}): Pipeline {
  return {
    name: "tiny",
    heads: 2,
    kvHeads: 1,
    headDim: 4,
    valueDim: 4,
    scale: 0.5,
    storage: "f32",
    mask: [{ kind: "causal" }],
    normalize: "softmax",
    scores: [],
    weights: [],
    output: [],
    parameters: [{ name: "output.norm.weight", shape: [4], init: { kind: "ones" } }],
    source: SPEC,
    ...changes,
  };
}

/** Hand-written kernels take the whole block. */
export const LAUNCH = LAUNCH_FIELDS.map(([name]) => name);
export const LAUNCH_STRUCT = `struct Launch {\n${LAUNCH_FIELDS.map(([name, type]) => `  ${name}: ${type},`).join("\n")}\n}`;

export const REQUIRES: Requirements = {
  workgroupBytes: 1024,
  invocations: 64,
  storageBuffers: 8,
  features: [],
};

export function kernel(
  name: string,
  resources: readonly string[],
  changes: Partial<KernelPlan> = {},
): KernelPlan {
  const writable = (resource: string): boolean =>
    !["q", "k", "v", "q_history", "bias", "parameters"].includes(resource);
  const bindings: BufferBinding[] = [{ binding: 0, access: "uniform", resource: "launch" }];
  resources.forEach((resource, index) => {
    const readOnly = resource.startsWith("<") || !writable(resource);
    bindings.push({
      binding: index + 1,
      access: readOnly ? "read" : "read_write",
      resource: resource.replace("<", ""),
    });
  });
  return {
    name,
    file: `tiny.${name}.wgsl`,
    entryPoint: "main",
    workgroupSize: 64,
    workgroupBytes: 0,
    bindings,
    launch: LAUNCH,
    overrides: {},
    source: SPEC,
    ...changes,
  };
}

export function plan(
  kernels: readonly KernelPlan[],
  steps: readonly Step[],
  changes: Partial<Plan> = {},
): Plan {
  const pipeline = changes.pipeline ?? tinyPipeline();
  return {
    format: PLAN_FORMAT,
    target: "webgpu",
    schedule: "single_pass",
    storage: pipeline.storage === "f32" ? "f32" : pipeline.storage === "f16" ? "f16-packed" : "bf16-packed",
    pipeline,
    knobs: {},
    requires: REQUIRES,
    parameters: [{ name: "output.norm.weight", offset: 0, length: 4 }],
    parameterWords: 4,
    alignment: { q: 4, k: 4, v: 4, o: 4 },
    workspace: [],
    definitions: [],
    kernels,
    steps,
    nominal: { B: 1, Lq: 4, Lk: 4, R: 0 },
    cost: { multiplyAdds: 0, floorMultiplyAdds: 0, bytes: 0, barriers: 0, time: 0 },
    ...changes,
  };
}

/** o[b, h, i, d] = factor · weight[d] · q[b, h, i, d]; lse = the row's number, or what `positions` says. */
export const SCALE_SOURCE = `${LAUNCH_STRUCT}
override factor: f32 = 1;
@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> parameters: array<u32>;
@group(0) @binding(3) var<storage, read_write> o: array<f32>;
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = launch.row_begin + i32(id.x);
  if (row >= launch.row_end) { return; }
  let b = launch.batch;
  let h = id.y;
  for (var d = 0u; d < 4u; d++) {
    let weight = bitcast<f32>(parameters[d]);
    o[b * launch.o_stride_b + h * launch.o_stride_h + u32(row) * launch.o_stride_l + d] =
      factor * launch.depth_scale * weight *
      q[b * launch.q_stride_b + h * launch.q_stride_h + u32(row) * launch.q_stride_l + d];
  }
  var first = 0;
  if (launch.has_positions != 0u) { first = bitcast<i32>(parameters[launch.positions_at + b]); }
  lse[(b * 2u + h) * u32(launch.query_rows) + u32(row)] = f32(first + row);
}
`;

/** A loop over the batch and one over strips of two rows; a dispatch each. */
export const SCALE_STEPS: readonly Step[] = [
  {
    kind: "loop",
    variable: "b",
    from: 0,
    to: "B",
    by: 1,
    body: [
      {
        kind: "loop",
        variable: "row",
        from: 0,
        to: "Lq",
        by: 2,
        body: [
          {
            kind: "dispatch",
            kernel: "scale",
            grid: [1, "H", 1],
            launch: { batch: "b", row_begin: "row", row_end: ["min", ["add", "row", 2], "Lq"] },
            multiplyAdds: ["mul", 2, "H", 4],
          },
        ],
      },
    ],
  },
];

export function scaleArtifact(
  changes: Partial<Plan> = {},
  kernelChanges: Partial<KernelPlan> = {},
): Artifact {
  const scale = kernel("scale", ["q", "parameters", "o", "lse"], kernelChanges);
  return {
    name: "tiny",
    plans: [plan([scale], SCALE_STEPS, changes)],
    sources: { "tiny.scale.wgsl": SCALE_SOURCE },
  };
}

/** Two kernels and a workspace buffer between them: o = 2 · (q + 1), with f32 tensors of any batch and length. */
export function workspaceArtifact(): Artifact {
  const declare = (bindings: string): string => `${LAUNCH_STRUCT}
@group(0) @binding(0) var<uniform> launch: Launch;
${bindings}
`;
  const body = (statement: string): string => `
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < launch.parts) { ${statement} }
}
`;
  const grid = [["ceilDiv", ["mul", "B", "H", "Lq", 4], 64], 1, 1] as const;
  const step = (name: string): Step => ({
    kind: "dispatch",
    kernel: name,
    grid,
    launch: { parts: "elements" },
    multiplyAdds: 64,
  });
  return {
    name: "tiny",
    plans: [
      plan(
        [kernel("first", ["q", "maps"]), kernel("second", ["<maps", "o", "bias"])],
        [step("first"), step("second")],
        {
          schedule: "staged",
          workspace: [{ name: "maps", bytes: "maps_bytes" }],
          definitions: [
            { name: "elements", value: ["mul", "B", "H", "Lq", 4] },
            { name: "maps_bytes", value: ["mul", "elements", 4] },
          ],
        },
      ),
    ],
    sources: {
      "tiny.first.wgsl":
        declare(`@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read_write> maps: array<f32>;`) + body("maps[id.x] = q[id.x] + 1;"),
      "tiny.second.wgsl":
        declare(`@group(0) @binding(1) var<storage, read> maps: array<f32>;
@group(0) @binding(2) var<storage, read_write> o: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;`) + body("o[id.x] = 2 * maps[id.x];"),
    },
  };
}

export function ramp(length: number, scale = 1): Float32Array {
  return Float32Array.from({ length }, (_, index) => index * scale);
}
