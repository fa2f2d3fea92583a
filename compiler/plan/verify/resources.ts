import {
  D_O,
  DISPATCH_FIELDS,
  elementCount,
  findTensor,
  INPUT_TENSORS,
  type KernelPlan,
  LAUNCH_FIELDS,
  type Plan,
  resultsOf,
  type Step,
  type Target,
  tensorExists,
} from "../../../runtime/contract/index.ts";
import { type Demand, demandIn } from "./rules.ts";

/** How plans of a target differ from another's. */
interface TargetGrammar {
  /** Whether integer inputs are tensors of their own; else they lie behind the parameters. */
  readonly integers: boolean;
  /** Whether all kernels of a plan share a launch block, of which dispatches need not fill all. */
  readonly sharedLaunch: boolean;
  /** The feature that plans with native f16 require. */
  readonly nativeHalf: string | null;
  /** Whether plans require a compute capability. */
  readonly capability: boolean;
}

const GRAMMAR: Readonly<Record<Target, TargetGrammar>> = {
  webgpu: { integers: false, sharedLaunch: false, nativeHalf: "shader-f16", capability: false },
  cuda: { integers: true, sharedLaunch: true, nativeHalf: null, capability: true },
  cpu: { integers: true, sharedLaunch: true, nativeHalf: null, capability: false },
};

/** What kernels may read of a call. */
function inputsOf({ target, pipeline, direction }: Plan): ReadonlySet<string> {
  const { integers } = GRAMMAR[target];
  const tensors = INPUT_TENSORS.filter(
    (tensor) => tensorExists(pipeline, tensor) && (integers || tensor.element !== "i32"),
  );
  const gradient = direction === "backward" ? [D_O.name] : [];
  return new Set(["parameters", ...tensors.map(({ name }) => name), ...gradient]);
}

/** Of what size is nobody's business here. */
const ANY_SIZE = { B: 1, Lq: 1, Lk: 1, R: 1, positions: false, dBias: [1, 1, 2, 1] };

/** What a call gives back. */
function namesOfResults(plan: Plan): readonly string[] {
  const size = { ...ANY_SIZE, valuesKept: plan.keepsValues === true };
  return resultsOf(plan, size, true).map(({ name }) => name);
}

/** How a kernel's text declares what it binds: names of its own, elements of the tensor's type, whole loads. */
function verifyOperands({ alignment }: Plan, { bindings }: KernelPlan, demand: Demand): void {
  const variables = bindings.flatMap(({ operand }) => (operand === undefined ? [] : [operand.variable]));
  demand("operands", new Set(variables).size === variables.length, () => `variables ${variables.join(", ")}`);
  const widths: Readonly<Record<string, number>> = { ...alignment, q_history: alignment.q };
  for (const { resource, operand } of bindings) {
    if (operand === undefined) continue;
    const { element, width } = operand;
    const tensor = findTensor(resource);
    const held = tensor?.element ?? element;
    // A tensor of f32 may be read as words.
    demand(
      "operands",
      element === held || (held === "f32" && element === "word"),
      () => `"${resource}" holds ${held}, and is declared as ${element}`,
    );
    const rows = widths[resource] ?? width;
    demand("operands", width >= 1 && rows % width === 0, () => `loads of ${width} from "${resource}"`);
  }
}

function verifyBindings(plan: Plan, kernel: KernelPlan): void {
  const demand = demandIn(plan, kernel.name);
  const inputs = inputsOf(plan);
  const results = new Set(namesOfResults(plan));
  const buffers = new Set(plan.workspace.map(({ name }) => name));
  const seen = new Set<string>();
  kernel.bindings.forEach(({ binding, access, resource }, index) => {
    demand("bindings", binding === index, () => `"${resource}" is binding ${binding}, not ${index}`);
    const uniform = access === "uniform";
    demand(
      "bindings",
      uniform === (index === 0) && uniform === (resource === "launch"),
      () => `binding ${index} is ${access} "${resource}"`,
    );
    demand("bindings", !seen.has(resource), () => `"${resource}" is bound twice`);
    seen.add(resource);
    if (uniform) return;
    demand(
      "bindings",
      inputs.has(resource) || results.has(resource) || buffers.has(resource),
      () => `"${resource}" is no tensor and no buffer of the plan`,
    );
    if (inputs.has(resource)) demand("access", access === "read", () => `writes the input "${resource}"`);
    if (results.has(resource))
      demand("access", access === "read_write", () => `reads the result "${resource}"`);
  });
  demand("bindings", kernel.bindings.length > 0, () => "it has none");
  verifyOperands(plan, kernel, demand);
}

/** Kernels that the steps dispatch, in the order of the text. */
function dispatchesOf(steps: readonly Step[]): Extract<Step, { kind: "dispatch" }>[] {
  return steps.flatMap((step) => (step.kind === "dispatch" ? [step] : dispatchesOf(step.body)));
}

/** Every buffer is used, and by the order of the steps written first. */
function verifyWorkspace(plan: Plan): void {
  const kernels = new Map(plan.kernels.map((kernel) => [kernel.name, kernel]));
  const buffers = new Set(plan.workspace.map(({ name }) => name));
  const written = new Set<string>();
  for (const step of dispatchesOf(plan.steps)) {
    const demand = demandIn(plan, step.kernel);
    const kernel = kernels.get(step.kernel);
    const own = kernel?.bindings.filter(({ resource }) => buffers.has(resource)) ?? [];
    for (const { resource, access } of own)
      if (access === "read" || inPlace(kernel))
        demand(
          "workspace",
          written.has(resource),
          () => `reads "${resource}" before anything has written it`,
        );
    for (const { resource, access } of own) if (access === "read_write") written.add(resource);
  }
  const read = new Set(
    plan.kernels.flatMap((kernel) =>
      kernel.bindings
        .filter(({ access }) => access === "read" || inPlace(kernel))
        .map(({ resource }) => resource),
    ),
  );
  for (const name of buffers)
    demandIn(plan, null)("workspace", read.has(name) && written.has(name), () => `"${name}" is not used`);
}

/** The normalisation of a map changes what it reads, and a dropout may. */
function inPlace(kernel: KernelPlan | undefined): boolean {
  const program = kernel?.program;
  return program?.kind === "normalize" || (program?.kind === "dropout" && program.inPlace);
}

const FIELDS: readonly string[] = LAUNCH_FIELDS.map(([name]) => name);
const OF_DISPATCH: ReadonlySet<string> = new Set(DISPATCH_FIELDS.map(([name]) => name));

/** Launch blocks hold known fields in their order, the strides of what is bound among them. */
function verifyBlock(plan: Plan, { name, launch, bindings }: KernelPlan): void {
  const demand = demandIn(plan, name);
  const held: readonly string[] = launch;
  let last = -1;
  for (const field of held) {
    const place = FIELDS.indexOf(field);
    demand("launch", place > last, () => `"${field}" is no field, or not in its place`);
    last = place;
  }
  for (const { resource } of bindings)
    if (findTensor(resource)?.strided === true)
      for (const axis of ["b", "h", "l"])
        demand("launch", held.includes(`${resource}_stride_${axis}`), () => `no strides of "${resource}"`);
}

/** Dispatches give what their kernel's block holds. */
function verifyDispatches(plan: Plan): void {
  const kernels = new Map(plan.kernels.map((kernel) => [kernel.name, kernel]));
  const dispatched = new Set<string>();
  for (const step of dispatchesOf(plan.steps)) {
    const demand = demandIn(plan, step.kernel);
    const kernel = kernels.get(step.kernel);
    demand("kernels", kernel !== undefined, () => "the plan has no kernel of this name");
    if (kernel === undefined) continue;
    dispatched.add(kernel.name);
    const held: readonly string[] = kernel.launch;
    const given = Object.keys(step.launch);
    for (const field of given)
      demand(
        "launch",
        OF_DISPATCH.has(field) && held.includes(field),
        () => `its block has no field "${field}"`,
      );
    if (GRAMMAR[plan.target].sharedLaunch) continue;
    for (const field of held)
      demand("launch", !OF_DISPATCH.has(field) || given.includes(field), () => `"${field}" is not given`);
  }
  for (const kernel of plan.kernels) {
    verifyBlock(plan, kernel);
    demandIn(plan, kernel.name)("kernels", dispatched.has(kernel.name), () => "it is never dispatched");
  }
}

function verifyLimits(plan: Plan): void {
  const { requires, storage, target } = plan;
  for (const { name, workgroupSize, workgroupBytes, bindings } of plan.kernels) {
    const demand = demandIn(plan, name);
    const buffers = bindings.filter(({ access }) => access !== "uniform").length;
    demand(
      "limits",
      workgroupSize >= 1 && Number.isInteger(workgroupSize) && workgroupSize <= requires.invocations,
      () => `it has ${workgroupSize} invocations, the plan requires ${requires.invocations}`,
    );
    demand(
      "limits",
      workgroupBytes >= 0 && Number.isInteger(workgroupBytes) && workgroupBytes <= requires.workgroupBytes,
      () => `it takes ${workgroupBytes} bytes, the plan requires ${requires.workgroupBytes}`,
    );
    demand(
      "limits",
      buffers <= requires.storageBuffers,
      () => `it binds ${buffers} buffers, the plan requires ${requires.storageBuffers}`,
    );
  }
  const demand = demandIn(plan, null);
  const { nativeHalf, capability } = GRAMMAR[target];
  const features = nativeHalf !== null && storage === "f16-native" ? [nativeHalf] : [];
  demand("limits", requires.features.join() === features.join(), () => `features for ${storage}`);
  demand(
    "limits",
    (requires.computeCapability !== undefined) === capability,
    () => `compute capability ${requires.computeCapability}`,
  );
  demand(
    "limits",
    storage.startsWith(plan.pipeline.storage),
    () => `${storage} for ${plan.pipeline.storage}`,
  );
}

function verifyLayout(plan: Plan): void {
  const demand = demandIn(plan, null);
  const { pipeline, alignment } = plan;
  let offset = 0;
  pipeline.parameters.forEach(({ name, shape }, index) => {
    const placed = plan.parameters[index];
    const length = elementCount(shape);
    demand(
      "parameters",
      placed?.name === name && placed.offset === offset && placed.length === length,
      () => `${name} takes ${length} words at ${offset}`,
    );
    offset += length;
  });
  demand(
    "parameters",
    plan.parameterWords === offset && plan.parameters.length === pipeline.parameters.length,
    () => `${plan.parameterWords} words of ${offset}`,
  );
  for (const [tensor, size] of [
    ["q", pipeline.headDim],
    ["k", pipeline.headDim],
    ["v", pipeline.valueDim],
    ["o", pipeline.valueDim],
  ] as const)
    demand(
      "alignment",
      alignment[tensor] >= 1 && size % alignment[tensor] === 0,
      () => `rows of ${tensor} have ${size} elements, no multiple of ${alignment[tensor]}`,
    );
}

/** Bindings, buffers, launch fields, limits and the layout of parameters. */
export function verifyResources(plan: Plan): void {
  verifyLayout(plan);
  for (const kernel of plan.kernels) verifyBindings(plan, kernel);
  verifyLimits(plan);
  verifyDispatches(plan);
  verifyWorkspace(plan);
  const written = new Set(
    plan.kernels.flatMap(({ bindings }) =>
      bindings.filter(({ access }) => access === "read_write").map(({ resource }) => resource),
    ),
  );
  for (const result of namesOfResults(plan))
    demandIn(plan, null)("access", written.has(result), () => `nothing writes "${result}"`);
}
