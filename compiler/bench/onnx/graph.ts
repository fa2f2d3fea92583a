import { elementCount } from "../../../runtime/contract/index.ts";
import { bytes, type Field, integer, join, message, text } from "./wire.ts";

/** Opset 17 is the last one whose ReduceMean takes its axes as an attribute; IR version 8 goes with it. */
const OPSET = 17;
const IR_VERSION = 8;

/** `TensorProto.DataType` of onnx.proto. */
const FLOAT = 1;
const INT64 = 7;

/** An attribute of a node: a list of integers, or one. */
export type Attribute = { readonly ints: readonly number[] } | { readonly int: number };

/** A value of the graph, f32 but for the shapes and bounds that some operators take: its name and its shape. */
export interface Value {
  readonly name: string;
  readonly shape: readonly number[];
}

/** An ONNX graph under construction: nodes in the order in which they run, values by names that are made here. */
export class OnnxGraph {
  readonly #nodes: Field[] = [];
  readonly #initializers: Field[] = [];
  readonly #inputs: Field[] = [];
  #count = 0;

  /** A value that each run is given. */
  input(name: string, shape: readonly number[]): Value {
    this.#inputs.push(message(11, valueInfo(name, shape)));
    return { name, shape };
  }

  /** f32 values that are part of the model, row-major. */
  constant(shape: readonly number[], values: ArrayLike<number>): Value {
    const data = Float32Array.from(values);
    if (data.length !== elementCount(shape))
      throw new RangeError(`${data.length} values for the shape [${shape}]`);
    return this.#initializer(FLOAT, shape, new Uint8Array(data.buffer));
  }

  /** A node with one output of the given shape. */
  node(
    operator: string,
    inputs: readonly Value[],
    shape: readonly number[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value {
    const name = this.#name(operator.toLowerCase());
    this.#nodes.push(
      message(1, [
        ...inputs.map((input) => text(1, input.name)),
        text(2, name),
        text(3, name),
        text(4, operator),
        ...Object.entries(attributes).map(([key, value]) => message(5, attribute(key, value))),
      ]),
    );
    return { name, shape };
  }

  /** The same elements in another shape; nothing where it is the shape already. */
  reshape(value: Value, shape: readonly number[]): Value {
    if (String(shape) === String(value.shape)) return value;
    return this.node("Reshape", [value, this.#integers(shape)], shape);
  }

  /** Rows `from` … of the last axis but one. */
  rowsFrom(value: Value, from: number): Value {
    if (from === 0) return value;
    const axis = value.shape.length - 2;
    const rows = value.shape[axis] ?? 0;
    const shape = value.shape.with(axis, rows - from);
    const bounds = [from, rows, axis].map((each) => this.#integers([each]));
    return this.node("Slice", [value, ...bounds], shape);
  }

  /** A model file whose only output is `output`. */
  encode(name: string, output: Value): Uint8Array {
    const graph = [
      ...this.#nodes,
      text(2, name),
      ...this.#initializers,
      ...this.#inputs,
      message(12, valueInfo(output.name, output.shape)),
    ];
    return join([
      integer(1, IR_VERSION),
      text(2, "mtac"),
      message(7, graph),
      message(8, [text(1, ""), integer(2, OPSET)]),
    ]);
  }

  #integers(values: readonly number[]): Value {
    return this.#initializer(
      INT64,
      [values.length],
      new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
    );
  }

  #initializer(type: number, shape: readonly number[], data: Uint8Array): Value {
    const name = this.#name("constant");
    const dims = shape.map((size) => integer(1, size));
    this.#initializers.push(message(5, [...dims, integer(2, type), text(8, name), bytes(9, data)]));
    return { name, shape };
  }

  #name(stem: string): string {
    this.#count += 1;
    return `${stem}_${this.#count}`;
  }
}

function attribute(name: string, value: Attribute): Field[] {
  // The last field says which of the others counts: `AttributeProto.AttributeType`.
  if ("int" in value) return [text(1, name), integer(3, value.int), integer(20, 2)];
  return [text(1, name), ...value.ints.map((each) => integer(8, each)), integer(20, 7)];
}

function valueInfo(name: string, shape: readonly number[]): Field[] {
  const dimensions = shape.map((size) => message(1, [integer(1, size)]));
  const tensor = message(1, [integer(1, FLOAT), message(2, dimensions)]);
  return [text(1, name), message(2, [tensor])];
}
