import {
  ALL_STRIDED_TENSORS,
  hasMask,
  type KernelPlan,
  LAUNCH_FIELDS,
  type LaunchField,
  type Pipeline,
  type Step,
  usesLayer,
} from "../../runtime/contract/index.ts";

/** A kernel whose launch block is not known yet. */
export type UnlaunchedKernel = Omit<KernelPlan, "launch">;

/**
 * Lists what each kernel reads of the launch block: what its steps give, and what the call's tensors, the mask and the output's
 * stages ask for.
 *
 * @param shared Whether all kernels of the plan take one block (CUDA), and integer inputs are buffers of their own.
 */
export function withLaunchFields(
  pipeline: Pipeline,
  kernels: readonly UnlaunchedKernel[],
  steps: readonly Step[],
  shared: boolean,
): readonly KernelPlan[] {
  const used = kernels.map((kernel) => {
    const fields = new Set<string>(callFields(pipeline, kernel, !shared));
    for (const field of dispatchFields(kernel.name, steps)) fields.add(field);
    return fields;
  });
  const all = new Set(used.flatMap((fields) => [...fields]));
  return kernels.map((kernel, index) => ({
    ...kernel,
    launch: inOrder(shared ? all : (used[index] ?? all)),
  }));
}

function inOrder(fields: ReadonlySet<string>): LaunchField[] {
  return LAUNCH_FIELDS.flatMap(([name]) => (fields.has(name) ? [name] : []));
}

/** Kernels that ask of no pair whether it is visible: with a map of weights, ranges of keys are all; results are beyond that. */
const UNTESTED: readonly unknown[] = ["product", "combine"];

function callFields(pipeline: Pipeline, kernel: UnlaunchedKernel, words: boolean): readonly string[] {
  const bound = new Set(kernel.bindings.map(({ resource }) => resource));
  const tests = !UNTESTED.includes(kernel.program?.kind);
  const scaled = usesLayer(pipeline);
  return [
    ...["query_rows", "key_rows", "has_positions"],
    ...(tests ? ["history_rows"] : []),
    ...ALL_STRIDED_TENSORS.filter(({ name }) => bound.has(name)).flatMap(({ name }) =>
      ["b", "h", "l"].map((axis) => `${name}_stride_${axis}`),
    ),
    ...(bound.has("d_o") ? ["d_o_stride_b", "d_o_stride_h", "d_o_stride_l"] : []),
    ...(words ? ["positions_at"] : []),
    ...(words && hasMask(pipeline, "lengths") ? ["lengths_at"] : []),
    ...(words && tests && hasMask(pipeline, "documents") ? ["documents_at"] : []),
    ...(scaled && (bound.has("o") || bound.has("d_o")) ? ["depth_scale"] : []),
  ];
}

function dispatchFields(kernel: string, steps: readonly Step[]): readonly string[] {
  return steps.flatMap((step) => {
    if (step.kind === "loop") return dispatchFields(kernel, step.body);
    return step.kernel === kernel ? Object.keys(step.launch) : [];
  });
}
