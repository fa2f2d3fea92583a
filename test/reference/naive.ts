import type { AttentionInputs, Float64Tensor, MaskTerm, Pipeline } from "../../runtime/contract/index.ts";

/** A map as nested functions of (head, row, key), rows from −R: no typed arrays, no spans, no code of the reference. */
type Map3 = (head: number, row: number, key: number) => number;

/** The element of a tensor at a multi-index. */
function at(tensor: Float64Tensor, ...indices: number[]): number {
  let offset = 0;
  tensor.shape.forEach((size, axis) => {
    offset = offset * size + (indices[axis] ?? 0);
  });
  return tensor.data[offset] ?? 0;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function total(count: number, term: (index: number) => number): number {
  return range(count).reduce((sum, index) => sum + term(index), 0);
}

/** The formulas of `semantics.md`, one after the other, as slow as they are plain. Gives o and lse in reading order. */
export function naiveForward(
  pipeline: Pipeline,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
): { o: number[]; lse: number[] } {
  const [B = 0, H = 0, Lq = 0, D = 0] = inputs.q.shape;
  const [, Hkv = 0, Lk = 0] = inputs.k.shape;
  const R = inputs.qHistory?.shape[2] ?? 0;
  const parameter = (name: string): Float64Tensor =>
    parameters.get(name) ?? { shape: [], data: new Float64Array() };
  const o: number[] = [];
  const lse: number[] = [];

  for (const b of range(B)) {
    const p0 = inputs.positions?.data[b] ?? Lk - Lq;
    const documentOf = (position: number): number =>
      position < 0 || position >= Lk || inputs.documents === undefined
        ? -1
        : at(inputs.documents, b, position);
    const biasAt: Map3 = (h, i, j) => {
      const { bias } = inputs;
      return bias === undefined
        ? 0
        : at(bias, bias.shape[0] === 1 ? 0 : b, bias.shape[1] === 1 ? 0 : h, R + i, j);
    };
    const shows = (term: MaskTerm, h: number, i: number, j: number): boolean => {
      const p = p0 + i;
      switch (term.kind) {
        case "causal":
          return j <= p;
        case "window":
          return p - j < term.size && j - p < term.size;
        case "documents":
          return documentOf(p) >= 0 && documentOf(p) === documentOf(j);
        case "lengths":
          return p < (inputs.lengths?.data[b] ?? 0) && j < (inputs.lengths?.data[b] ?? 0);
        case "bias":
          return biasAt(h, i, j) > Number.NEGATIVE_INFINITY;
      }
    };
    const visible = (h: number, i: number, j: number): boolean =>
      pipeline.mask.every((term) => shows(term, h, i, j));
    /** Evaluates a map once, and gives 0 outside it and where nothing is visible. */
    const masked = (map: Map3): Map3 => {
      const values = range(H).map((h) =>
        range(R + Lq).map((n) => range(Lk).map((j) => (visible(h, n - R, j) ? map(h, n - R, j) : 0))),
      );
      return (h, i, j) => values[h]?.[i + R]?.[j] ?? 0;
    };
    const cut = (from: number, to: number): boolean =>
      inputs.documents !== undefined && documentOf(from) !== documentOf(to);

    const stageOf = (stage: Pipeline["scores"][number] | Pipeline["weights"][number], S: Map3): Map3 => {
      switch (stage.kind) {
        case "dropout": {
          const seed = inputs.dropoutSeed?.data;
          if (seed === undefined) return S;
          const words = (h: number, i: number, j: number): number => firstWord(seed, [j, p0 + i, h, b]);
          return (h, i, j) => (words(h, i, j) < stage.rate * 2 ** 32 ? 0 : S(h, i, j) / (1 - stage.rate));
        }
        case "softcap":
          return (h, i, j) => stage.limit * Math.tanh(S(h, i, j) / stage.limit);
        case "relu":
          return (h, i, j) => Math.max(0, S(h, i, j));
        case "mix": {
          const W = parameter(stage.weight);
          const G = stage.group;
          return (h, i, j) =>
            total(G, (n) => at(W, Math.floor(h / G), h % G, n) * S(G * Math.floor(h / G) + n, i, j));
        }
        case "conv": {
          const W = parameter(stage.weight);
          const { kernel, origin, dilation, across } = stage;
          return (h, i, j) => {
            const slot = stage.shared ? h % across : h;
            const offset = stage.bias === null ? 0 : at(parameter(stage.bias), slot);
            const taps = total(across, (c) =>
              total(kernel.query, (a) =>
                total(kernel.key, (tap) => {
                  const row = i + (a - origin.query) * dilation.query;
                  const key = j + (tap - origin.key) * dilation.key;
                  if (cut(p0 + row, p0 + i) || cut(key, j)) return 0;
                  return at(W, slot, c, a, tap) * S(across * Math.floor(h / across) + c, row, key);
                }),
              ),
            );
            return offset + taps;
          };
        }
      }
    };

    const query = (h: number, i: number, d: number): number =>
      i >= 0
        ? at(inputs.q, b, h, i, d)
        : inputs.qHistory === undefined
          ? 0
          : at(inputs.qHistory, b, h, i + R, d);
    const group = (h: number): number => Math.floor((h * Hkv) / H);
    let map = masked(
      (h, i, j) => pipeline.scale * total(D, (d) => query(h, i, d) * at(inputs.k, b, group(h), j, d)),
    );
    for (const stage of pipeline.scores) map = masked(stageOf(stage, map));

    const logits = map;
    const rows = range(H).map((h) =>
      range(R + Lq).map((n) => {
        const keys = range(Lk).filter((j) => visible(h, n - R, j));
        const z = keys.map((j) => logits(h, n - R, j) + biasAt(h, n - R, j));
        const exponentials = total(z.length, (index) => Math.exp(z[index] ?? 0));
        const weights =
          pipeline.normalize === "softmax" ? z.map((value) => Math.exp(value) / exponentials) : project(z);
        return { lse: Math.log(exponentials), of: new Map(keys.map((j, index) => [j, weights[index] ?? 0])) };
      }),
    );
    map = masked((h, i, j) => rows[h]?.[i + R]?.of.get(j) ?? 0);
    for (const stage of pipeline.weights) map = masked(stageOf(stage, map));

    for (const h of range(H)) {
      for (const i of range(Lq)) {
        lse.push(rows[h]?.[i + R]?.lse ?? Number.NaN);
        const A = map;
        let row = range(pipeline.valueDim).map((d) =>
          total(Lk, (j) => A(h, i, j) * at(inputs.v, b, group(h), j, d)),
        );
        for (const stage of pipeline.output) row = outputRow(stage, row, parameter, inputs.layer ?? 0);
        o.push(...row);
      }
    }
  }
  return { o, lse };
}

/** Philox4x32-10 with integers as long as they get. Not how the reference does it. */
function firstWord(seed: ArrayLike<number>, counter: readonly number[]): number {
  const word = (value: number | bigint): bigint => BigInt.asUintN(32, BigInt(value));
  let key = [word(seed[0] ?? 0), word(seed[1] ?? 0)];
  let c = counter.map(word);
  for (let round = 0; round < 10; round += 1) {
    const [c0 = 0n, c1 = 0n, c2 = 0n, c3 = 0n] = c;
    const [k0 = 0n, k1 = 0n] = key;
    const first = 0xd2511f53n * c0;
    const second = 0xcd9e8d57n * c2;
    c = [(second >> 32n) ^ c1 ^ k0, word(second), (first >> 32n) ^ c3 ^ k1, word(first)];
    key = [word(k0 + 0x9e3779b9n), word(k1 + 0xbb67ae85n)];
  }
  return Number(c[0]);
}

/** Sparsemax by bisection on τ: Σ max(z − τ, 0) = 1. Not how the reference does it. */
function project(z: readonly number[]): number[] {
  if (z.length === 0) return [];
  let low = Math.max(...z) - 1;
  let high = Math.max(...z);
  for (let step = 0; step < 200; step += 1) {
    const middle = (low + high) / 2;
    if (z.reduce((sum, value) => sum + Math.max(value - middle, 0), 0) > 1) low = middle;
    else high = middle;
  }
  return z.map((value) => Math.max(value - low, 0));
}

function outputRow(
  stage: Pipeline["output"][number],
  row: readonly number[],
  parameter: (name: string) => Float64Tensor,
  layer: number,
): number[] {
  const weight = parameter(stage.weight);
  switch (stage.kind) {
    case "norm": {
      const rms = Math.sqrt(total(row.length, (d) => (row[d] ?? 0) ** 2) / row.length + stage.eps);
      const lambda = 0.8 - 0.6 * Math.exp(-0.3 * layer);
      return row.map((value, d) => (value / rms) * at(weight, d) * (stage.depthScale ? 1 - lambda : 1));
    }
    case "gate":
      return row.map((value, d) => {
        const slot = stage.mode === "scalar" ? 0 : d;
        const logit =
          total(row.length, (e) => (row[e] ?? 0) * at(weight, slot, e)) + at(parameter(stage.bias), slot);
        return value / (1 + Math.exp(-logit));
      });
  }
}
