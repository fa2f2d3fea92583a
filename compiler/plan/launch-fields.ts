import {
  ALL_STRIDED_TENSORS,
  hasMask,
  type KernelPlan,
  type KernelProgram,
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

/** What a kernel reads of the call's sizes, of where its rows stand, and of its documents. */
interface Reads {
  readonly sizes: readonly LaunchField[];
  readonly positions: boolean;
  readonly documents: boolean;
}

const SIZES = ["query_rows", "key_rows"] as const;
const NOTHING: Reads = { sizes: [], positions: false, documents: false };
/** Ranges of keys that rows see, no pair by itself. */
const RANGES: Reads = { sizes: SIZES, positions: true, documents: false };
const HISTORY: Reads = { ...RANGES, sizes: [...SIZES, "history_rows"] };
const PAIRS: Reads = { ...HISTORY, documents: true };

function readsOf(program: KernelProgram | undefined): Reads {
  switch (program?.kind) {
    case "clear":
    case "sum":
    case "pointwise":
    case "mix_gradient":
      return NOTHING;
    case "bias_gradient":
      return { ...HISTORY, positions: false };
    case "product":
    case "combine":
    case "dropout":
    case "normalize_adjoint":
    case "output_adjoint":
      return RANGES;
    case "row_product":
    case "key_product":
      // Queries, and their gradients, have rows of history.
      return program.of === "k" ? HISTORY : RANGES;
    default:
      return PAIRS;
  }
}

function callFields(pipeline: Pipeline, kernel: UnlaunchedKernel, words: boolean): readonly string[] {
  const bound = new Set(kernel.bindings.map(({ resource }) => resource));
  const { sizes, positions, documents } = readsOf(kernel.program);
  const scaled = usesLayer(pipeline);
  return [
    ...sizes,
    ...(positions ? ["has_positions"] : []),
    ...ALL_STRIDED_TENSORS.filter(({ name }) => bound.has(name)).flatMap(({ name }) =>
      ["b", "h", "l"].map((axis) => `${name}_stride_${axis}`),
    ),
    ...(bound.has("d_o") ? ["d_o_stride_b", "d_o_stride_h", "d_o_stride_l"] : []),
    ...(words && positions ? ["positions_at"] : []),
    ...(words && positions && hasMask(pipeline, "lengths") ? ["lengths_at"] : []),
    ...(words && documents && hasMask(pipeline, "documents") ? ["documents_at"] : []),
    ...(words && kernel.program?.kind === "dropout" ? ["dropout_seed_at"] : []),
    ...(scaled && (bound.has("o") || bound.has("d_o")) ? ["depth_scale"] : []),
  ];
}

function dispatchFields(kernel: string, steps: readonly Step[]): readonly string[] {
  return steps.flatMap((step) => {
    if (step.kind === "loop") return dispatchFields(kernel, step.body);
    return step.kernel === kernel ? Object.keys(step.launch) : [];
  });
}
