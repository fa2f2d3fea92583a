import {
  type Artifact,
  findTensor,
  type KernelPlan,
  type Pipeline,
  type Plan,
  TENSORS,
  type TensorResource,
} from "../../../../runtime/contract/index.ts";
import { cudaApi } from "../../capi/api.ts";
import { callModel, plansOfCalls } from "../../capi/header.ts";
import { cudaNamespace, elementType } from "../../dialect/cuda.ts";
import { HOST_EXPRESSIONS, printExpression } from "../../dialect/expression.ts";
import { operandOf } from "../../model/source.ts";
import { expressionsOf, printDefinitions, printSteps } from "./steps.ts";

export function hostModel(pipeline: Pipeline, artifact: Artifact, plan: Plan, api: boolean) {
  const { storage, normalize } = pipeline;
  const softmax = normalize === "softmax";
  const { plans, dropout } = artifact;
  const others = plansOfCalls(artifact)
    .slice(1)
    .map((other) => ({ namespace: cudaNamespace(other) }));
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
    ...callModel(pipeline, artifact, cudaApi(pipeline.name)),
    ...statements,
    usesFloorDiv: text.includes("floor_div("),
    usesCeilDiv: text.includes("ceil_div("),
    namespace: cudaNamespace(plan),
    hasWorkspace: softmax || plan.workspace.length > 0,
    sharedKernels: plan.kernels
      .filter(({ workgroupBytes }) => workgroupBytes > PLAIN_SHARED_BYTES)
      .map((kernel) => ({ kernel: `${kernel.name}::${kernel.entryPoint}`, bytes: kernel.workgroupBytes })),
    pointers: pointers(plan),
    api,
    others,
    several: plansOfCalls(artifact).length > (dropout === undefined ? 1 : 2),
    workspaceBytes: largestWorkspace(plans),
    dropoutWorkspaceBytes: largestWorkspace(dropout?.plans ?? []),
    plans: [
      ...plans.map((each) =>
        choiceOf(each, dropout === undefined ? "" : "call->dropout_seed == nullptr && "),
      ),
      ...(dropout?.plans ?? []).map((each) => choiceOf(each, "call->dropout_seed != nullptr && ")),
    ],
    elementBytes: storage === "f32" ? 4 : 2,
  };
}

/** Bytes that suit any of the plans: which one runs depends on the device. */
function largestWorkspace(plans: readonly Plan[]): string {
  const sizes = plans.map((each) => `${cudaNamespace(each)}::workspace_bytes(*call)`);
  return sizes.length > 1 ? `std::max<size_t>({${sizes.join(", ")}})` : sizes.join("");
}

/** When a plan is launched: for the calls that it is for, on devices that can run it. */
function choiceOf(plan: Plan, calls: string) {
  const { computeCapability = 0, workgroupBytes } = plan.requires;
  const device = `capability >= ${computeCapability} && shared_bytes >= ${workgroupBytes}`;
  return { namespace: cudaNamespace(plan), condition: `${calls}${device}` };
}

/** Dynamic shared memory that a kernel gets without asking. */
const PLAIN_SHARED_BYTES = 48 * 1024;

/** Tensors of the storage type, and what lies in the workspace. */
function pointers(plan: Plan): string[] {
  const used = new Map(
    plan.kernels.flatMap(({ bindings }) => bindings.map((binding) => [binding.resource, binding] as const)),
  );
  const tensors = TENSORS.filter(({ name, role }) => used.has(name) && role !== "kept").flatMap(pointer);
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
      // No backward pass follows from C.
      if (tensor?.role === "kept") return "nullptr";
      return tensor?.role === "input" && tensor.element !== "storage" ? `call.${resource}` : resource;
    })
    .join(", ");
}
