import {
  type Artifact,
  type AxisName,
  elementCount,
  findTensor,
  hasMask,
  type KernelPlan,
  type Pipeline,
  type Plan,
  STRIDED_TENSORS,
  TENSORS,
  type TensorResource,
  usesLayer,
} from "../../../../runtime/contract/index.ts";
import { cudaNamespace, elementType } from "../../dialect/cuda.ts";
import { HOST_EXPRESSIONS, printExpression } from "../../dialect/expression.ts";
import { operandOf } from "../../model/source.ts";
import { errorModel } from "./errors.ts";
import { expressionsOf, printDefinitions, printSteps } from "./steps.ts";

/** Fields of a call that count along an axis, and macros of the header for the others. */
const SIZES: Readonly<Partial<Record<AxisName, string>>> = {
  Lq: "call.query_rows",
  Lk: "call.key_rows",
  R: "call.history_rows",
  H: "HEADS",
  Hkv: "KV_HEADS",
  D: "HEAD_DIM",
  Dv: "VALUE_DIM",
};

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
    depthScale: usesLayer(pipeline),
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
  const others = artifact.plans.slice(1).map((other) => ({ namespace: cudaNamespace(other) }));
  const workspaceSizes = plan.workspace.map(({ bytes }) => bytes);
  const statements = {
    workspace: plan.workspace.map((buffer) => ({
      name: buffer.name,
      bytes: printExpression(buffer.bytes, HOST_EXPRESSIONS),
    })),
    workspaceDefinitions: printDefinitions(plan, workspaceSizes),
    stepDefinitions: printDefinitions(plan, expressionsOf(plan.steps)),
    steps: printSteps(plan, (kernel) => kernelArguments(pipeline, kernel)),
  };
  const text = JSON.stringify(statements);
  return {
    ...sharedModel(pipeline),
    ...statements,
    usesFloorDiv: text.includes("floor_div("),
    usesCeilDiv: text.includes("ceil_div("),
    namespace: cudaNamespace(plan),
    hasWorkspace: softmax || plan.workspace.length > 0,
    strided: STRIDED_TENSORS.filter((name) => name !== "bias").map(stridedModel),
    sharedKernels: plan.kernels
      .filter(({ workgroupBytes }) => workgroupBytes > PLAIN_SHARED_BYTES)
      .map((kernel) => ({ kernel: `${kernel.name}::${kernel.entryPoint}`, bytes: kernel.workgroupBytes })),
    pointers: pointers(plan),
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

/** A tensor whose strides the launch block holds: what a contiguous one has. */
function stridedModel(name: string) {
  const sizes = (findTensor(name)?.axes ?? []).map((axis) => SIZES[axis] ?? "");
  const [, heads = "", rows = "", size = ""] = sizes;
  return { name, heads, rows, size };
}

/** Tensors of the storage type, and what lies in the workspace. */
function pointers(plan: Plan): string[] {
  const used = new Map(
    plan.kernels.flatMap(({ bindings }) => bindings.map((binding) => [binding.resource, binding] as const)),
  );
  const tensors = TENSORS.filter(({ name }) => used.has(name)).flatMap((tensor) => pointer(tensor));
  const workspace = plan.workspace.flatMap(({ name }) => {
    const binding = used.get(name);
    if (binding === undefined) return [];
    const { element: held, width } = operandOf(binding);
    const type = elementType(held, width);
    return `${type}* const ${name} = reinterpret_cast<${type}*>(workspace_at + workspace.${name});`;
  });
  return [...tensors, ...workspace];
}

/** Tensors of other types are passed on as the call has them; results that it leaves out go to the workspace. */
function pointer({ name, role, element, optional }: TensorResource): readonly string[] {
  const constant = role === "input" ? "const " : "";
  if (element === "storage")
    return [`${constant}Element* const ${name} = static_cast<${constant}Element*>(call.${name});`];
  if (role === "input" || !optional) return [];
  return [
    `float* const ${name} = call.${name} != nullptr ? call.${name} : reinterpret_cast<float*>(workspace_at + workspace.${name});`,
  ];
}

/** The arguments of a launch, in the order of the kernel's bindings. */
function kernelArguments(pipeline: Pipeline, kernel: KernelPlan): string {
  return kernel.bindings
    .map(({ resource }) => {
      if (resource === "parameters") return pipeline.parameters.length > 0 ? "call.parameters" : "nullptr";
      const tensor = findTensor(resource);
      return tensor?.role === "input" && tensor.element !== "storage" ? `call.${resource}` : resource;
    })
    .join(", ");
}
