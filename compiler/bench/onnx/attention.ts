import {
  type ConvStage,
  convReach,
  type GateStage,
  type MixStage,
  type NormStage,
  type OutputStage,
  type PointwiseStage,
  type ScoreStage,
  type WeightStage,
} from "../../../runtime/contract/index.ts";
import type { PeerTensor, PreparedCall } from "../peers/call.ts";
import { inexpressible } from "../peers/peer.ts";
import { OnnxGraph, type Value } from "./graph.ts";

/** An attention as a model, and what each run of it is given. The only output is o [B, H, Lq, Dv]. */
export interface OnnxAttention {
  readonly model: Uint8Array;
  readonly feeds: readonly PeerTensor[];
}

/** Why ONNX's operators cannot compute a call's attention in a plain way; null where they can. */
function onnxIllegal({ pipeline }: PreparedCall): string | null {
  const { normalize, mask, scores, weights } = pipeline;
  if (normalize === "sparsemax") return "ONNX has no sparsemax";
  const documents = mask.some(({ kind }) => kind === "documents");
  const crossing = [...scores, ...weights].find((stage) => stage.kind === "conv" && stage.kernel.query > 1);
  if (documents && crossing !== undefined) {
    return `${crossing.name} must not read the rows of another document, and ONNX's Conv reads them all`;
  }
  return null;
}

/**
 * The attention of a call, with its shapes and parameters, as a plain ONNX graph in f32.
 * @throws PeerError MTA940: ONNX's operators cannot compute it.
 */
export function onnxAttention(call: PreparedCall): OnnxAttention {
  const illegal = onnxIllegal(call);
  if (illegal !== null) throw inexpressible(illegal);
  const builder = new AttentionGraph(call);
  const output = builder.attention();
  return { model: builder.graph.encode(call.pipeline.name, output), feeds: builder.feeds };
}

/** A map [B, H, R + Lq, Lk], and whether what is not visible is 0 in it. */
interface AttentionMap {
  readonly value: Value;
  readonly hidden: boolean;
}

class AttentionGraph {
  readonly graph = new OnnxGraph();
  readonly feeds: PeerTensor[] = [];
  readonly #call: PreparedCall;
  #visible: Value | null = null;

  constructor(call: PreparedCall) {
    this.#call = call;
  }

  attention(): Value {
    const { pipeline } = this.#call;
    let map: AttentionMap = { value: this.#scores(), hidden: false };
    for (const stage of pipeline.scores) map = this.#mapStage(stage, map);
    map = this.#softmax(map);
    for (const stage of pipeline.weights) map = this.#mapStage(stage, map);
    let o = this.#values(this.#hide(map).value);
    for (const stage of pipeline.output) o = this.#outputStage(stage, o);
    return o;
  }

  #feed(tensor: PeerTensor): Value {
    this.feeds.push(tensor);
    return this.graph.input(tensor.name, tensor.dims);
  }

  #parameter(name: string): Value {
    const { shape, data } = this.#call.parameters.get(name) ?? { shape: [0], data: [] };
    return this.graph.constant(shape, data);
  }

  #scalar(value: number): Value {
    return this.graph.constant([], [value]);
  }

  /** An operator on two values, the second one broadcast to the first one's shape. */
  #with(operator: "Add" | "Mul" | "Div", left: Value, right: Value): Value {
    return this.graph.node(operator, [left, right], left.shape);
  }

  /** scale · q·kᵀ. The heads that share a key/value head are rows of one matrix. */
  #scores(): Value {
    const { pipeline, B, Lk, q: queries, k: keys } = this.#call;
    const { heads, kvHeads, headDim, scale } = pipeline;
    const rows = queries.dims[2] ?? 0;
    const q = this.graph.reshape(this.#feed(queries), [B, kvHeads, (heads / kvHeads) * rows, headDim]);
    const k = this.graph.node("Transpose", [this.#feed(keys)], [B, kvHeads, headDim, Lk], {
      perm: { ints: [0, 1, 3, 2] },
    });
    const scaled = this.#with("Mul", q, this.#scalar(scale));
    const products = this.graph.node("MatMul", [scaled, k], [B, kvHeads, (heads / kvHeads) * rows, Lk]);
    return this.graph.reshape(products, [B, heads, rows, Lk]);
  }

  /** 0 where not visible. Masks are numbers: Where would want truth values, which WebGPU's operators do not all take. */
  #hide(map: AttentionMap): AttentionMap {
    const { masks } = this.#call;
    if (map.hidden || masks === null) return { ...map, hidden: true };
    this.#visible ??= this.#feed(masks.visible);
    return { value: this.#with("Mul", map.value, this.#visible), hidden: true };
  }

  #mapStage(stage: ScoreStage | WeightStage, map: AttentionMap): AttentionMap {
    switch (stage.kind) {
      case "conv":
        return { value: this.#conv(stage, this.#hide(map).value), hidden: false };
      case "mix":
        return {
          value: this.#mix(stage, this.#hide(map).value),
          hidden: this.#call.masks?.visible.dims[1] === 1,
        };
      case "dropout":
        // Benchmarks compute inference, where nothing is dropped.
        return map;
      default:
        return { value: this.#pointwise(stage, map.value), hidden: map.hidden };
    }
  }

  #conv(stage: ConvStage, map: Value): Value {
    const { heads } = this.#call.pipeline;
    const { kernel, dilation, across } = stage;
    const { past, future, left, right } = convReach(stage);
    const inputs = [map, this.#perHead(stage, stage.weight, [heads, across, kernel.query, kernel.key])];
    if (stage.bias !== null) inputs.push(this.#perHead(stage, stage.bias, [heads]));
    return this.graph.node("Conv", inputs, map.shape, {
      group: { int: heads / across },
      kernel_shape: { ints: [kernel.query, kernel.key] },
      dilations: { ints: [dilation.query, dilation.key] },
      pads: { ints: [past, left, future, right] },
    });
  }

  /** A convolution's weight or bias for all heads: a shared one is repeated for every group. */
  #perHead({ shared, across }: ConvStage, name: string, shape: readonly number[]): Value {
    if (!shared) return this.#parameter(name);
    const { heads } = this.#call.pipeline;
    const one = this.#call.parameters.get(name)?.data ?? new Float64Array();
    const all = new Float64Array((one.length * heads) / across);
    for (let at = 0; at < all.length; at += one.length) all.set(one, at);
    return this.graph.constant(shape, all);
  }

  /** The heads of a group are the rows of a matrix, whose columns are the entries of a map. */
  #mix({ group, weight }: MixStage, map: Value): Value {
    const { heads } = this.#call.pipeline;
    const [B = 0, , rows = 0, keys = 0] = map.shape;
    const grouped = this.graph.reshape(map, [B, heads / group, group, rows * keys]);
    const mixed = this.graph.node("MatMul", [this.#parameter(weight), grouped], grouped.shape);
    return this.graph.reshape(mixed, map.shape);
  }

  #pointwise(stage: PointwiseStage, map: Value): Value {
    switch (stage.kind) {
      case "softcap":
        return this.#softcap(stage.limit, map);
      case "relu":
        return this.graph.node("Relu", [map], map.shape);
    }
  }

  #softcap(limit: number, map: Value): Value {
    const inner = this.#with("Mul", map, this.#scalar(1 / limit));
    return this.#with("Mul", this.graph.node("Tanh", [inner], map.shape), this.#scalar(limit));
  }

  /** Over the visible keys. A row without one comes out of Softmax uniform, and is 0 only when what is not visible is. */
  #softmax({ value }: AttentionMap): AttentionMap {
    const { masks } = this.#call;
    const logits = masks === null ? value : this.#with("Add", value, this.#feed(masks.logits));
    return { value: this.graph.node("Softmax", [logits], logits.shape), hidden: masks?.emptyRows !== true };
  }

  /** A · v for the new rows. */
  #values(map: Value): Value {
    const { pipeline, B, Lq, Lk, R, v } = this.#call;
    const { heads, kvHeads, valueDim } = pipeline;
    const rows = (heads / kvHeads) * Lq;
    const weights = this.graph.reshape(this.graph.rowsFrom(map, R), [B, kvHeads, rows, Lk]);
    const products = this.graph.node("MatMul", [weights, this.#feed(v)], [B, kvHeads, rows, valueDim]);
    return this.graph.reshape(products, [B, heads, Lq, valueDim]);
  }

  #outputStage(stage: OutputStage, o: Value): Value {
    switch (stage.kind) {
      case "norm":
        return this.#norm(stage, o);
      case "gate":
        return this.#gate(stage, o);
    }
  }

  #norm({ eps, depthScale, weight }: NormStage, o: Value): Value {
    const means = o.shape.with(-1, 1);
    const squares = this.graph.node("Mul", [o, o], o.shape);
    const mean = this.graph.node("ReduceMean", [squares], means, {
      axes: { ints: [3] },
      keepdims: { int: 1 },
    });
    const root = this.graph.node("Sqrt", [this.#with("Add", mean, this.#scalar(eps))], means);
    const normal = this.#with("Div", o, root);
    const weighted = this.#with("Mul", normal, this.#parameter(weight));
    return depthScale ? this.#with("Mul", weighted, this.#scalar(this.#call.depthFactor)) : weighted;
  }

  #gate({ weight, bias }: GateStage, o: Value): Value {
    const rows = this.#parameter(weight);
    const [gates = 0, width = 0] = rows.shape;
    const columns = this.graph.node("Transpose", [rows], [width, gates], { perm: { ints: [1, 0] } });
    const products = this.graph.node("MatMul", [o, columns], o.shape.with(-1, gates));
    const logits = this.#with("Add", products, this.#parameter(bias));
    return this.#with("Mul", o, this.graph.node("Sigmoid", [logits], logits.shape));
  }
}
