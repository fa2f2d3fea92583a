import {
  type Artifact,
  elementCount,
  hasMask,
  type KernelPlan,
  type Pipeline,
  type Plan,
} from "../../../../runtime/contract/index.ts";
import { cudaNamespace, elementType } from "../../dialect/cuda.ts";
import { HOST_EXPRESSIONS, printExpression } from "../../dialect/expression.ts";
import { operandOf } from "../../model/source.ts";
import { errorModel } from "./errors.ts";
import { expressionsOf, printDefinitions, printSteps } from "./steps.ts";

const ELEMENTS = { f32: "f32", f16: "f16 (__half)", bf16: "bf16 (__nv_bfloat16)" } as const;

/** What the header and the functions behind it both name. */
function sharedModel(pipeline: Pipeline) {
  return {
    name: pipeline.name,
    upper: pipeline.name.toUpperCase(),
    softmax: pipeline.normalize === "softmax",
    masked: pipeline.mask.length > 0,
    documents: hasMask(pipeline, "documents"),
    lengths: hasMask(pipeline, "lengths"),
    bias: hasMask(pipeline, "bias"),
    depthScale: pipeline.output.some((stage) => stage.kind === "norm" && stage.depthScale),
  };
}

export function headerModel(pipeline: Pipeline, artifact: Artifact) {
  const { heads, kvHeads, headDim, valueDim, storage } = pipeline;
  const [plan] = artifact.plans;
  const shapes = new Map(pipeline.parameters.map(({ name, shape }) => [name, shape]));
  return {
    ...sharedModel(pipeline),
    ...errorModel(pipeline, alignmentOf(artifact)),
    sizes: [
      { name: "HEADS", value: heads },
      { name: "KV_HEADS", value: kvHeads },
      { name: "HEAD_DIM", value: headDim },
      { name: "VALUE_DIM", value: valueDim },
    ],
    heads,
    kvHeads,
    headDim,
    valueDim,
    type: storage === "f32" ? "float" : "void",
    element: ELEMENTS[storage],
    alignment: alignmentOf(artifact),
    parameterCount: pipeline.parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    parameters: (plan?.parameters ?? []).map(({ name, offset }) => ({
      name,
      offset,
      constant: name.replaceAll(".", "_").toUpperCase(),
      shape: (shapes.get(name) ?? []).join(", "),
    })),
  };
}

/** The alignment that suits every plan. */
function alignmentOf({ plans }: Artifact): Plan["alignment"] {
  const most = (tensor: "q" | "k" | "v" | "o"): number =>
    Math.max(...plans.map(({ alignment }) => alignment[tensor]));
  return { q: most("q"), k: most("k"), v: most("v"), o: most("o") };
}

export function hostModel(pipeline: Pipeline, artifact: Artifact, plan: Plan, api: boolean) {
  const { storage, normalize } = pipeline;
  const softmax = normalize === "softmax";
  const element = storage === "f32" ? "float" : "unsigned short";
  const others = artifact.plans.slice(1).map((other) => ({ namespace: cudaNamespace(other) }));
  const workspaceSizes = plan.workspace.map(({ bytes }) => bytes);
  const parts = {
    workspace: plan.workspace.map((buffer) => ({
      name: buffer.name,
      bytes: printExpression(buffer.bytes, HOST_EXPRESSIONS),
    })),
    workspaceDefinitions: printDefinitions(plan, workspaceSizes, "  "),
    stepDefinitions: printDefinitions(plan, expressionsOf(plan.steps), "  "),
    steps: printSteps(plan, plan.steps, (kernel) => kernelArguments(pipeline, kernel), "  "),
  };
  const text = JSON.stringify(parts);
  return {
    ...sharedModel(pipeline),
    ...parts,
    namespace: cudaNamespace(plan),
    usesFloorDiv: text.includes("floor_div("),
    usesCeilDiv: text.includes("ceil_div("),
    hasWorkspace: softmax || plan.workspace.length > 0,
    strides: ["q", "q_history", "k", "v", "o"].flatMap((tensor) => [
      { field: `${tensor}_stride_b`, value: `${tensor}.batch` },
      { field: `${tensor}_stride_h`, value: `${tensor}.head` },
      { field: `${tensor}_stride_l`, value: `${tensor}.row` },
    ]),
    sharedKernels: plan.kernels
      .filter(({ workgroupBytes }) => workgroupBytes > PLAIN_SHARED_BYTES)
      .map((kernel) => ({ kernel: `${kernel.name}::${kernel.entryPoint}`, bytes: kernel.workgroupBytes })),
    pointers: pointers(plan, element),
    api,
    others,
    workspaceCalls: `{${artifact.plans.map((each) => `${cudaNamespace(each)}::workspace_bytes(*call)`).join(", ")}}`,
    plans: artifact.plans.map((each) => ({
      namespace: cudaNamespace(each),
      capability: each.requires.computeCapability ?? 0,
      sharedBytes: each.requires.workgroupBytes,
    })),
    ...errorModel(pipeline, alignmentOf(artifact)),
    elementBytes: storage === "f32" ? 4 : 2,
    largestDim: Math.max(pipeline.headDim, pipeline.valueDim),
  };
}

/** Dynamic shared memory that a kernel gets without asking. */
const PLAIN_SHARED_BYTES = 48 * 1024;

/** Tensors of the storage type, and what lies in the workspace. */
function pointers(plan: Plan, element: string): string[] {
  const used = new Map(
    plan.kernels.flatMap(({ bindings }) => bindings.map((binding) => [binding.resource, binding] as const)),
  );
  const tensors = (["q", "q_history", "k", "v"] as const)
    .filter((name) => used.has(name))
    .map((name) => `const ${element}* const ${name} = static_cast<const ${element}*>(call.${name});`);
  if (used.has("o")) tensors.push(`${element}* const o = static_cast<${element}*>(call.o);`);
  if (used.has("lse"))
    tensors.push(
      "float* const lse = call.lse != nullptr ? call.lse : reinterpret_cast<float*>(workspace_at + workspace.lse);",
    );
  const workspace = plan.workspace.flatMap(({ name }) => {
    const binding = used.get(name);
    if (binding === undefined) return [];
    const { element: held, width } = operandOf(binding);
    const type = elementType(held, width, element);
    return `${type}* const ${name} = reinterpret_cast<${type}*>(workspace_at + workspace.${name});`;
  });
  return [...tensors, ...workspace];
}

/** The arguments of a launch, in the order of the kernel's bindings. */
function kernelArguments(pipeline: Pipeline, kernel: KernelPlan): string {
  return kernel.bindings
    .map(({ access, resource }) => {
      if (access === "uniform") return "launch";
      switch (resource) {
        case "parameters":
          return pipeline.parameters.length > 0 ? "call.parameters" : "nullptr";
        case "positions":
        case "documents":
        case "lengths":
        case "bias":
          return `call.${resource}`;
        default:
          return resource;
      }
    })
    .join(", ");
}
