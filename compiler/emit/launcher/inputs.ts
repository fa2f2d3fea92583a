import { hasMask, type Pipeline, usesLayer } from "../../../runtime/contract/index.ts";

/** One input of a call as the launcher's types show it. */
export interface InputProperty {
  readonly name: string;
  readonly type: string;
  readonly optional: boolean;
  readonly doc: string;
}

/** The type of a tensor whose storage is known, and some of its sizes. */
export function tensorOf(tensorType: string, storage: string, sizes: readonly (number | null)[]): string {
  return `${tensorType}<"${storage}", readonly [${sizes.map((size) => size ?? "number").join(", ")}]>`;
}

/** The inputs that an attention's mask and stages allow: any other is a type error. */
export function inputProperties(pipeline: Pipeline, tensorType: string): readonly InputProperty[] {
  const { heads, kvHeads, headDim, valueDim, storage } = pipeline;
  const tensor = (name: string, type: string, doc: string, optional = false): InputProperty => ({
    name,
    type,
    optional,
    doc,
  });
  const operand = (heads: number, channels: number): string =>
    tensorOf(tensorType, storage, [null, heads, null, channels]);
  const integers = (axes: number): string => tensorOf(tensorType, "i32", new Array<null>(axes).fill(null));
  const properties: InputProperty[] = [
    tensor("q", operand(heads, headDim), `${storage} [B, ${heads}, Lq, ${headDim}]`),
    tensor("k", operand(kvHeads, headDim), `${storage} [B, ${kvHeads}, Lk, ${headDim}]`),
    tensor("v", operand(kvHeads, valueDim), `${storage} [B, ${kvHeads}, Lk, ${valueDim}]`),
    tensor(
      "qHistory",
      operand(heads, headDim),
      `${storage} [B, ${heads}, R, ${headDim}]: the query rows just before row 0.`,
      true,
    ),
    tensor("positions", integers(1), "i32 [B]: absolute position of row 0. Lk − Lq if not given.", true),
  ];
  if (hasMask(pipeline, "documents"))
    properties.push(
      tensor("documents", integers(2), "i32 [B, Lk]: the document of each key; negative ones are hidden."),
    );
  if (hasMask(pipeline, "lengths"))
    properties.push(tensor("lengths", integers(1), "i32 [B]: rows and keys that are filled."));
  if (hasMask(pipeline, "bias"))
    properties.push(
      tensor(
        "bias",
        tensorOf(tensorType, "f32", [null, null, null, null]),
        `f32 [B or 1, ${heads} or 1, R + Lq, Lk]: added to the scores; −∞ hides a pair.`,
      ),
    );
  if (usesLayer(pipeline))
    properties.push({
      name: "layer",
      type: "number",
      optional: false,
      doc: "The layer's number from 0, for `depth_scale`.",
    });
  return properties;
}
