import {
  type BufferBinding,
  hasMask,
  type KernelPlan,
  type LaunchField,
  launchFieldType,
  type Operand,
  type Pipeline,
  type Plan,
  VALUES,
} from "../../../runtime/contract/index.ts";
import { cudaNamespace } from "../dialect/cuda.ts";
import type { Dialect } from "../dialect/dialect.ts";
import { specPlace } from "../provenance.ts";
import { ConstantTable } from "./constants.ts";
import { visibilityModel } from "./visibility.ts";

/** What the mask asks of a kernel's text. */
export function maskModel(pipeline: Pipeline, dialect: Dialect, skipDead = true) {
  const has = (kind: Parameters<typeof hasMask>[1]): boolean => hasMask(pipeline, kind);
  return {
    documents: has("documents"),
    lengths: has("lengths"),
    bias: has("bias"),
    ...visibilityModel(pipeline.mask, skipDead ? pipeline.mask : [], dialect),
  };
}

/** How a kernel's text declares a binding. */
export function operandOf({ resource, operand }: BufferBinding): Operand {
  if (operand === undefined)
    throw new RangeError(`the binding of "${resource}" has no operand: shipped artifacts leave it out`);
  return operand;
}

/** What is said once for all kernels of a plan: whose they are, the launch block, the attention's own constants. */
function sourceModel(plan: Plan, dialect: Dialect, launch: readonly LaunchField[], skipDead = true) {
  const { pipeline, storage } = plan;
  const knobs = Object.entries(plan.knobs).map(([name, value]) => `${name} ${value}`);
  const mask = pipeline.mask.map((term) => (term.kind === "window" ? `window ${term.size}` : term.kind));
  const heads = `heads ${pipeline.heads}${pipeline.kvHeads === pipeline.heads ? "" : `, kv_heads ${pipeline.kvHeads}`}`;
  return {
    title: `${pipeline.name}${placeOf(pipeline.source)}: kernels of the schedule ${plan.schedule}.`,
    spec: `spec: ${heads}, head_dim ${pipeline.headDim}, value_dim ${pipeline.valueDim}, mask ${mask.join(" ") || "none"}, storage ${storage}`,
    planned: `plan: ${plan.schedule}, ${knobs.join(", ")}`,
    launchFields: launch.map((name) => dialect.field(name, launchFieldType(name))),
    shared: sharedConstants(plan).print(dialect),
    mask: maskModel(pipeline, dialect, skipDead),
    /** How elements of q, k, v and o lie in memory. */
    storage: {
      f32: storage === "f32",
      f16: storage === "f16-native",
      packed: storage === "f16-packed" || storage === "bf16-packed",
      bf16: storage === "bf16-native" || storage === "bf16-packed",
    },
    head: rowModel(pipeline.headDim, plan.alignment.q, dialect),
    value: rowModel(pipeline.valueDim, plan.alignment.v, dialect),
  };
}

/** The model of the template with what all kernels of a plan share. */
export function planSource(plan: Plan, dialect: Dialect) {
  return {
    ...sourceModel(plan, dialect, plan.kernels[0]?.launch ?? []),
    namespace: cudaNamespace(plan),
    /** What instructions call the storage type, where it has 16 bits. */
    half: plan.storage === "bf16-native" ? "bf16" : "f16",
    /** Whether gradients pass back through them. */
    backward: plan.direction === "backward",
    /** Whether the kernels are for tensor cores. */
    tensor: plan.kernels.some(({ program }) => program?.kind.startsWith("tensor_") ?? false),
    /** Whether some are for scalar units. */
    direct: plan.kernels.some(({ program }) => program?.kind.startsWith("tensor_") === false),
  };
}

function placeOf(source: KernelPlan["source"]): string {
  return source === null ? "" : ` (${specPlace(source.file, source.line)})`;
}

function sharedConstants({ pipeline, alignment }: Plan): ConstantTable {
  const table = new ConstantTable();
  table.int("HEADS", pipeline.heads);
  table.int(
    "HEADS_PER_KEY",
    pipeline.heads / pipeline.kvHeads,
    "Consecutive query heads that share a key/value head.",
  );
  table.int("HEAD_DIM", pipeline.headDim);
  table.int("VALUE_DIM", pipeline.valueDim);
  // Scalar units load four elements at most, whatever else rows are aligned to.
  table.int("HEAD_WIDTH", Math.min(4, alignment.q), "Elements of a load: rows are aligned to them.");
  table.int("VALUE_WIDTH", Math.min(4, alignment.v));
  table.float("SCALE", pipeline.scale);
  for (const term of pipeline.mask) if (term.kind === "window") table.int("WINDOW", term.size);
  return table;
}

/** How rows of a tensor are loaded and stored, four elements at a time. */
function rowModel(size: number, width: number, dialect: Dialect) {
  const tail = size % 4;
  return {
    size,
    /** Elements of one load: rows are aligned to them. */
    four: width === 4,
    two: width === 2,
    /** Elements after the last whole four of a row, 0 for none. */
    tail,
    tailIsOne: tail === 1,
    tailOffsets: Array.from({ length: tail }, (_, index) => index),
    tailZeros: Array.from({ length: 4 - tail }, () => dialect.literal("f32", 0)).join(", "),
    /** Rows of whole fours and a tail. */
    split: tail !== 0 && size > 4,
    onlyTail: size < 4,
  };
}

/** Whether a kernel can keep what the output's stages are given. */
export function keeps({ bindings }: KernelPlan): boolean {
  return bindings.some(({ resource }) => resource === VALUES.name);
}

/** What every scalar kernel's template gets. */
export function kernelModel(
  plan: Plan,
  kernel: KernelPlan,
  dialect: Dialect,
  options: {
    readonly constants: ConstantTable;
    readonly purpose: readonly string[];
    readonly skipDead?: boolean;
  },
) {
  const { constants, purpose, skipDead = true } = options;
  const { threads, group, memory } = dialect.words;
  const bytes = kernel.workgroupBytes === 0 ? "" : `, ${kernel.workgroupBytes} bytes of ${memory}`;
  const own = new ConstantTable();
  own.int("THREADS", kernel.workgroupSize, `${capital(threads)} of a ${group}.`);
  return {
    ...sourceModel(plan, dialect, kernel.launch, skipDead),
    kernel: kernel.name,
    kernelTitle: `${plan.pipeline.name}: ${kernel.name}${placeOf(kernel.source)}`,
    entryPoint: kernel.entryPoint,
    purpose: [...purpose, `${kernel.workgroupSize} ${threads}${bytes}.`],
    bindings: kernel.bindings.map((bound) => dialect.binding(bound, operandOf(bound), plan)),
    constants: [...own.print(dialect), ...constants.print(dialect)],
    history: "HISTORY" in kernel.overrides,
    keeps: keeps(kernel),
    skipDead,
  };
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
