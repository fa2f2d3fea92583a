import { contiguousStrides, type DeviceStorage, type Layout } from "./layout.ts";

/** What kernels expect of a tensor on a device. */
export interface TensorRules {
  readonly storage: DeviceStorage;
  /** Elements that strides must be multiples of. */
  readonly alignment: number;
  readonly contiguous?: boolean;
  readonly written?: boolean;
}

/** What is wrong with a tensor; each target has a code of its own for each kind. */
export interface TensorFault {
  readonly kind: "storage" | "strides" | "alignment" | "shape";
  readonly message: string;
  readonly remedy: string;
}

/** Checks storage type and strides of a tensor: null when kernels can work with them. */
export function findTensorFault(name: string, tensor: Layout, rules: TensorRules): TensorFault | null {
  if (tensor.storage !== rules.storage) {
    return {
      kind: "storage",
      message: `the tensor ${name} is stored as ${tensor.storage}; the attention needs ${rules.storage}`,
      remedy: `upload it as ${rules.storage}, or change \`dtype\` in the spec`,
    };
  }
  return findStrideFault(name, tensor, rules);
}

/** Checks the shape of a tensor that the caller gives for a result. */
export function findOutputShapeFault(
  name: string,
  tensor: Pick<Layout, "shape">,
  shape: readonly number[],
): TensorFault | null {
  if (tensor.shape.length === shape.length && shape.every((length, axis) => length === tensor.shape[axis]))
    return null;
  return {
    kind: "shape",
    message: `the output ${name} has shape [${tensor.shape.join(", ")}]; expected [${shape.join(", ")}]`,
    remedy: "allocate the output for the call's own B, H and Lq",
  };
}

function findStrideFault(name: string, { shape, strides }: Layout, rules: TensorRules): TensorFault | null {
  const shown = `[${strides.join(", ")}]`;
  const fault = (problem: string, remedy: string): TensorFault => ({
    kind: "strides",
    message: `the tensor ${name} has strides ${shown}: ${problem}`,
    remedy,
  });
  if (strides.length !== shape.length)
    return fault(`its shape has ${shape.length} axes`, "give one stride for each axis, in elements");
  if (strides.some((stride) => !Number.isSafeInteger(stride) || stride < 0 || stride > 0xffffffff))
    return fault("strides are whole numbers from 0 to 2^32 − 1", "count strides in elements");
  if ((shape.at(-1) ?? 1) > 1 && strides.at(-1) !== 1)
    return fault("the last axis must be contiguous", "copy the tensor so that its last stride is 1");
  const wide = shape
    .map((size, axis) => ({ size, axis, stride: strides[axis] ?? 0 }))
    .filter(({ size }) => size > 1);
  if (rules.contiguous === true) {
    const expected = contiguousStrides(shape);
    if (wide.some(({ axis, stride }) => stride !== expected[axis])) {
      return fault(
        `it must be contiguous, with strides [${expected.join(", ")}]`,
        "copy it into a contiguous buffer",
      );
    }
  }
  if (rules.written === true && !shape.includes(0) && overlaps(wide))
    return fault("elements overlap, and an output's must not", "give each element a place of its own");
  const rows = wide.filter(({ axis }) => axis < shape.length - 1);
  const unaligned = rows.find(({ stride }) => stride % rules.alignment !== 0);
  if (unaligned === undefined) return null;
  return {
    kind: "alignment",
    message:
      `the tensor ${name} has strides ${shown}: the kernels need multiples of ${rules.alignment} elements, axis ` +
      `${unaligned.axis} has ${unaligned.stride}`,
    remedy: `pad the rows to a multiple of ${rules.alignment} elements`,
  };
}

/** Whether two elements may share a place: sorted by stride, each axis must step over all that the smaller ones span. */
function overlaps(axes: readonly { readonly size: number; readonly stride: number }[]): boolean {
  let span = 1;
  for (const { size, stride } of axes.toSorted((a, b) => a.stride - b.stride)) {
    if (stride < span) return true;
    span += (size - 1) * stride;
  }
  return false;
}
