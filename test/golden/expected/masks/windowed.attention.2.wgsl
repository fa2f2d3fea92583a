// windowed: attention (masks.mta:3)
//
// Attention in one pass over the keys with an online softmax (Milakov and Gimelshein 2018; FlashAttention).
// Workgroup memory holds the scores of one tile with the halo that the convolutions read.
//
// spec: heads 8, kv_heads 2, head_dim 40, value_dim 40, mask causal window 64 documents lengths bias, storage bf16-packed
// plan: single_pass, tile_q 32, tile_k 32, workgroup 64; this kernel: 64 invocations, 9664 bytes of workgroup memory
// Made by mtac: change the spec and compile it again, not this file.

/// The call and this dispatch; the launcher fills it in. Strides count elements.
struct Launch {
  query_rows: i32,
  key_rows: i32,
  history_rows: i32,
  q_stride_b: u32,
  q_stride_h: u32,
  q_stride_l: u32,
  q_history_stride_b: u32,
  q_history_stride_h: u32,
  q_history_stride_l: u32,
  k_stride_b: u32,
  k_stride_h: u32,
  k_stride_l: u32,
  v_stride_b: u32,
  v_stride_h: u32,
  v_stride_l: u32,
  o_stride_b: u32,
  o_stride_h: u32,
  o_stride_l: u32,
  bias_stride_b: u32,
  bias_stride_h: u32,
  bias_stride_l: u32,
  has_positions: u32,
  positions_at: u32,
  lengths_at: u32,
  documents_at: u32,
  depth_scale: f32,
  batch: u32,
  first_tile: u32,
  row_begin: i32,
  row_end: i32,
}

@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> q: array<vec2u>;
@group(0) @binding(2) var<storage, read> q_history: array<vec2u>;
@group(0) @binding(3) var<storage, read> k: array<vec2u>;
@group(0) @binding(4) var<storage, read> v: array<vec2u>;
@group(0) @binding(5) var<storage, read> parameters: array<u32>;
@group(0) @binding(6) var<storage, read> bias: array<u32>;
@group(0) @binding(7) var<storage, read_write> o: array<vec2u>;
@group(0) @binding(8) var<storage, read_write> lse: array<u32>;

/// Whether the call gives query rows before row 0 (a pipeline per value: without history its loads vanish).
override HISTORY: bool = false;

/// Invocations of a workgroup.
const WORKGROUP = 64u;
const HEADS = 8u;
/// Consecutive query heads that share a key/value head.
const HEADS_PER_KEY = 4u;
const SCALE = 0.15811388300841897;
const VALUE_DIM = 40u;
const WINDOW = 64;
/// Score of a pair that is not visible: the lowest, since WGSL constants may not be infinite. No visible one has it.
const HIDDEN = -3.40282346e38;
/// Largest size of a score with a bias: it stays above HIDDEN, whatever the bias.
const LARGEST = 3.40282326e38;
/// Bits of -infinity: the log-sum-exp of an empty row.
const EMPTY_BITS = 0xff800000u;
/// Instead of a factor (at most 1): the row sees none of this step's keys.
const NOTHING_NEW = 2.0;
/// Heads that a workgroup computes together.
const HEAD_BLOCK = 1u;
/// Rows of a tile, and keys of a step.
const TILE_Q = 32;
const TILE_K = 32;
/// Keys that the convolutions read to the left.
const REACH_LEFT = 3;
/// Keys by which results trail the scores: what the convolutions read to the right.
const LAG = 0;
/// Blocks of four rows by four values of a workgroup's results.
const OUTPUT_BLOCKS = 80u;
/// Blocks of four that cover a row of values.
const VALUE_BLOCKS = 10u;
const VALUE_STRIDE = 40u;
/// Rows of a workgroup's results, over all its heads.
const ROWS = 32u;
/// Arena words of the staged rows, of their second copy and of partial sums.
const STAGE_AT = 0u;
const SECOND_AT = 640u;
/// output.norm.weight in parameters.
const OUTPUT_NORM_WEIGHT_AT = 104u;
/// output.gate.weight in parameters.
const OUTPUT_GATE_WEIGHT_AT = 144u;
/// output.gate.bias in parameters.
const OUTPUT_GATE_BIAS_AT = 1744u;
/// Rows of results that are staged at a time.
const CHUNK_ROWS = 16u;
/// Invocations that share a staged row.
const CHUNK_TEAM = 4u;
const ROW_SUMS_AT = 1280u;
const RAW_ROW_STRIDE = 35u;
/// scores.conv.weight in parameters.
const SCORES_CONV_WEIGHT_AT = 0u;
const SCORES_CONV_BIAS_AT = 96u;
/// Arena words of the rows' factors and the softmax's partial results.
const FACTORS_AT = 2284u;
const PARTIALS_AT = 2316u;
/// Scores of the tile with their halo: first word in the arena, columns kept from the step before, strides.
const RAW_AT = 0u;
const RAW_CARRY = 3u;
const RAW_HEAD_STRIDE = 1260u;
/// Map after scores conv: first word in the arena, columns kept from the step before, strides.
const AFTER_SCORES_CONV_AT = 1260u;
const AFTER_SCORES_CONV_CARRY = 0u;
const AFTER_SCORES_CONV_ROW_STRIDE = 32u;
const AFTER_SCORES_CONV_HEAD_STRIDE = 1024u;
const HEAD_DIM = 40u;
/// Invocations that share a row of the softmax.
const TEAM = 2u;

/// All of the workgroup's memory; never assumed to be zero.
var<workgroup> arena: array<f32, 2380u>;

fn four(at: u32) -> vec4f {
  return vec4f(arena[at], arena[at + 1u], arena[at + 2u], arena[at + 3u]);
}

fn put_four(at: u32, value: vec4f) {
  arena[at] = value.x;
  arena[at + 1u] = value.y;
  arena[at + 2u] = value.z;
  arena[at + 3u] = value.w;
}

/// Documents of the tile's rows, halo included.
var<workgroup> row_document: array<i32, 36u>;

fn parameter(index: u32) -> f32 {
  return bitcast<f32>(parameters[index]);
}

/// The two elements of a word, the even one in the low half.
fn unpack(word: u32) -> vec2f {
  return vec2f(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
}

fn pack(pair: vec2f) -> u32 {
  // Round to nearest, ties to even, on the bits.
  let bits = bitcast<vec2u>(pair);
  let rounded = bits + vec2u(0x7fffu) + ((bits >> vec2u(16u)) & vec2u(1u));
  return (rounded.x >> 16u) | (rounded.y & 0xffff0000u);
}

/// Positions beyond it count as this one: no key is there, and what windows and kernels add stays within 32 bits.
const LARGEST_POSITION = 0x7dffffff;

/// What one batch entry changes: where its rows stand and how many of its keys are filled.
struct Batch {
  index: u32,
  /// Absolute position of row 0.
  first_position: i32,
  keys: i32,
}

fn open_batch(index: u32) -> Batch {
  var batch: Batch;
  batch.index = index;
  batch.first_position = launch.key_rows - launch.query_rows;
  if (launch.has_positions != 0u) {
    let given = bitcast<i32>(parameters[launch.positions_at + index]);
    batch.first_position = min(given, LARGEST_POSITION - launch.query_rows);
  }
  batch.keys = launch.key_rows;
  batch.keys = clamp(bitcast<i32>(parameters[launch.lengths_at + index]), 0, launch.key_rows);
  return batch;
}

/// Keys [x, y) outside of which rows `first` to `last` see nothing; [0, 0) where they see nothing at all.
fn key_range(batch: Batch, first: i32, last: i32) -> vec2i {
  var low = 0;
  var high = batch.keys;
  high = min(high, batch.first_position + last + 1);
  low = max(low, batch.first_position + first - (WINDOW - 1));
  high = min(high, batch.first_position + last + WINDOW);
  if (batch.first_position + first >= batch.keys) {
    high = 0;
  }
  return select(vec2i(0), vec2i(low, high), low < high);
}

/// The document at a position; -1 where there is none.
fn document_of(batch: Batch, position: i32) -> i32 {
  let known = clamp(position, 0, launch.key_rows - 1);
  let word = parameters[launch.documents_at + batch.index * u32(launch.key_rows) + u32(known)];
  return select(-1, bitcast<i32>(word), position == known);
}

/// Bits of -infinity, which hides a pair: compared as bits because WGSL may assume that no infinities exist.
const HIDDEN_BITS = 0xff800000u;

/// The additive bias of four keys, as bits.
fn bias_bits(batch: Batch, head: u32, row: i32, key: i32) -> vec4u {
  let rows = launch.history_rows + launch.query_rows;
  let line = batch.index * launch.bias_stride_b + head * launch.bias_stride_h
    + u32(clamp(launch.history_rows + row, 0, rows - 1)) * launch.bias_stride_l;
  let keys = line + vec4u(clamp(vec4i(key) + vec4i(0, 1, 2, 3), vec4i(0), vec4i(launch.key_rows - 1)));
  return vec4u(bias[keys.x], bias[keys.y], bias[keys.z], bias[keys.w]);
}

/// The additive bias of four keys; 0 where it hides.
fn bias_of(batch: Batch, head: u32, row: i32, key: i32) -> vec4f {
  let bits = bias_bits(batch, head, row, key);
  return bitcast<vec4f>(select(bits, vec4u(0u), bits == vec4u(HIDDEN_BITS)));
}

/// Scores and their biases. Only minus infinity hides: others, however low, stay above HIDDEN.
fn biased(scores: vec4f, biases: vec4f) -> vec4f {
  return clamp(scores + biases, vec4f(-LARGEST), vec4f(LARGEST));
}

/// Which of the keys key .. key + 3 are visible from `row`.
fn visible(batch: Batch, head: u32, row: i32, key: i32) -> vec4<bool> {
  let keys = vec4i(key) + vec4i(0, 1, 2, 3);
  let position = batch.first_position + row;
  var seen = (keys >= vec4i(0)) & (keys < vec4i(batch.keys))
    & vec4<bool>((row >= -launch.history_rows) & (row < launch.query_rows));
  seen = seen & (keys <= vec4i(position));
  seen = seen & (vec4i(position) - keys < vec4i(WINDOW)) & (keys - vec4i(position) < vec4i(WINDOW));
  seen = seen & vec4<bool>(position < batch.keys);
  let document = document_of(batch, position);
  let documents = vec4i(
    document_of(batch, keys.x),
    document_of(batch, keys.y),
    document_of(batch, keys.z),
    document_of(batch, keys.w),
  );
  seen = seen & (documents == vec4i(document)) & vec4<bool>(document >= 0);
  seen = seen & (bias_bits(batch, head, row, key) != vec4u(HIDDEN_BITS));
  return seen;
}

/// Visibility of four rows by four keys.
struct Seen {
  row0: vec4<bool>,
  row1: vec4<bool>,
  row2: vec4<bool>,
  row3: vec4<bool>,
}

/// Whether all rows [row, row + rows) exist and see all keys [key, key + keys): there nothing needs testing.
fn interior(batch: Batch, row: i32, rows: i32, key: i32, keys: i32) -> bool {
  // Documents and biases hide pairs anywhere.
  return false;
}

fn see(batch: Batch, head: u32, row: i32, key: i32, inside: bool) -> Seen {
  // One exit: early returns cost some drivers seconds of compile time.
  let all_keys = vec4<bool>(true);
  var seen = Seen(all_keys, all_keys, all_keys, all_keys);
  if (!inside) {
    seen = Seen(
      visible(batch, head, row, key),
      visible(batch, head, row + 1, key),
      visible(batch, head, row + 2, key),
      visible(batch, head, row + 3, key),
    );
  }
  return seen;
}

fn any_seen(seen: Seen) -> bool {
  return any(seen.row0 | seen.row1 | seen.row2 | seen.row3);
}

/// limit * tanh(x / limit) through exp: WGSL's own tanh may be off by 1e-5.
fn softcap(value: vec4f, limit: f32) -> vec4f {
  let x = value / limit;
  let e = exp(-2.0 * abs(x));
  let far = sign(x) * (1.0 - e) / (1.0 + e);
  // Near zero 1 - e would cancel; the series is exact to f32 below 0.1.
  let square = x * x;
  let near = x * (1.0 - square * (1.0 / 3.0 - square * (2.0 / 15.0 - square * (17.0 / 315.0))));
  return limit * select(far, near, abs(x) < vec4f(0.1));
}

/// Four entries of a row: 0 where not visible.
fn finish_scores(batch: Batch, value: vec4f, seen: vec4<bool>, head: u32, row: i32, key: i32) -> vec4f {
  return select(vec4f(0.0), value, seen);
}

/// Four entries of a row: softcap 30, plus the bias, HIDDEN where not visible, so that the softmax leaves it out.
fn finish_scores_conv(batch: Batch, value: vec4f, seen: vec4<bool>, head: u32, row: i32, key: i32) -> vec4f {
  var x = value;
  x = softcap(x, 30.0);
  x = biased(x, bias_of(batch, head, row, key));
  return select(vec4f(HIDDEN), x, seen);
}

/// Elements element .. element + 3 of q.
fn load_q(element: u32) -> vec4f {
  let words = q[element / 4u];
  return vec4f(unpack(words.x), unpack(words.y));
}

/// Elements element .. element + 3 of q_history.
fn load_q_history(element: u32) -> vec4f {
  let words = q_history[element / 4u];
  return vec4f(unpack(words.x), unpack(words.y));
}

/// Elements element .. element + 3 of k.
fn load_k(element: u32) -> vec4f {
  let words = k[element / 4u];
  return vec4f(unpack(words.x), unpack(words.y));
}

/// Four elements of a query row, which is a row of history where `past` says so.
fn load_query(element: u32, past: bool) -> vec4f {
  var four: vec4f;
  if (HISTORY & past) {
    four = load_q_history(element);
  } else {
    four = load_q(element);
  }
  return four;
}

/// Query rows row .. row + 3 times keys key .. key + 3; rows and keys that do not exist repeat their neighbours.
fn dot_block(batch: Batch, head: u32, row: i32, key: i32) -> mat4x4f {
  let rows = clamp(vec4i(row) + vec4i(0, 1, 2, 3), vec4i(-launch.history_rows), vec4i(launch.query_rows - 1));
  let keys = clamp(vec4i(key) + vec4i(0, 1, 2, 3), vec4i(0), vec4i(launch.key_rows - 1));
  let past = rows < vec4i(0);
  let q_at = select(
    batch.index * launch.q_stride_b + head * launch.q_stride_h + vec4u(rows) * launch.q_stride_l,
    batch.index * launch.q_history_stride_b + head * launch.q_history_stride_h
      + vec4u(rows + launch.history_rows) * launch.q_history_stride_l,
    past,
  );
  let k_at = batch.index * launch.k_stride_b + head / HEADS_PER_KEY * launch.k_stride_h
    + vec4u(keys) * launch.k_stride_l;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  for (var d = 0u; d < HEAD_DIM; d += 4u) {
    let k0 = load_k(k_at.x + d);
    let k1 = load_k(k_at.y + d);
    let k2 = load_k(k_at.z + d);
    let k3 = load_k(k_at.w + d);
    let q0 = load_query(q_at.x + d, past.x);
    let q1 = load_query(q_at.y + d, past.y);
    let q2 = load_query(q_at.z + d, past.z);
    let q3 = load_query(q_at.w + d, past.w);
    s0 += vec4f(dot(q0, k0), dot(q0, k1), dot(q0, k2), dot(q0, k3));
    s1 += vec4f(dot(q1, k0), dot(q1, k1), dot(q1, k2), dot(q1, k3));
    s2 += vec4f(dot(q2, k0), dot(q2, k1), dot(q2, k2), dot(q2, k3));
    s3 += vec4f(dot(q3, k0), dot(q3, k1), dot(q3, k2), dot(q3, k3));
  }
  return SCALE * mat4x4f(s0, s1, s2, s3);
}

/// First word of the kernel with which `head` reads head `from` of its group.
fn scores_conv_kernel(head: u32, from_head: u32) -> u32 {
  return SCORES_CONV_WEIGHT_AT + head * 12u;
}

/// scores.conv (line 10), conv 3x4 (reads 2 rows before and 0 after, 3 keys left and 0 right): what one head contributes to four rows by four keys. `at` is the arena word of the first tap's entry
/// for the first of them, `kernel` that head's weights, `out_row` and `in_row` the rows of the first result and tap.
fn scores_conv(kernel: u32, at: u32, out_row: u32, in_row: u32) -> mat4x4f {
  var y0 = vec4f();
  var y1 = vec4f();
  var y2 = vec4f();
  var y3 = vec4f();
  for (var a = 0u; a < 3u; a++) {
    let at0 = at + a * RAW_ROW_STRIDE;
    let at1 = at0 + RAW_ROW_STRIDE;
    let at2 = at1 + RAW_ROW_STRIDE;
    let at3 = at2 + RAW_ROW_STRIDE;
    // A tap in another document counts as 0; visible entries have the document of their row.
    let taps_row = in_row + a * 1u;
    let keep = vec4f(
      select(0.0, 1.0, row_document[taps_row] == row_document[out_row]),
      select(0.0, 1.0, row_document[taps_row + 1u] == row_document[out_row + 1u]),
      select(0.0, 1.0, row_document[taps_row + 2u] == row_document[out_row + 2u]),
      select(0.0, 1.0, row_document[taps_row + 3u] == row_document[out_row + 3u]),
    );
    // Four neighbouring entries that slide along the keys: one load a row and tap.
    var x0 = vec4f(0.0, arena[at0], arena[at0 + 1u], arena[at0 + 2u]);
    var x1 = vec4f(0.0, arena[at1], arena[at1 + 1u], arena[at1 + 2u]);
    var x2 = vec4f(0.0, arena[at2], arena[at2 + 1u], arena[at2 + 2u]);
    var x3 = vec4f(0.0, arena[at3], arena[at3 + 1u], arena[at3 + 2u]);
    for (var b = 0u; b < 4u; b++) {
      let w = parameter(kernel + a * 4u + b);
      x0 = vec4f(x0.yzw, arena[at0 + b + 3u]);
      x1 = vec4f(x1.yzw, arena[at1 + b + 3u]);
      x2 = vec4f(x2.yzw, arena[at2 + b + 3u]);
      x3 = vec4f(x3.yzw, arena[at3 + b + 3u]);
      y0 += w * keep.x * x0;
      y1 += w * keep.y * x1;
      y2 += w * keep.z * x2;
      y3 += w * keep.w * x3;
    }
  }
  return mat4x4f(y0, y1, y2, y3);
}

/// Elements element .. element + 3 of v.
fn load_v(element: u32) -> vec4f {
  let words = v[element / 4u];
  return vec4f(unpack(words.x), unpack(words.y));
}

/// Whether all entries are finite: told by their bits, since WGSL may assume that nothing else exists.
fn all_finite(x: mat4x4f) -> bool {
  let exponents = vec4u(0x7f800000u);
  return all((bitcast<vec4u>(x[0]) & exponents) != exponents)
    && all((bitcast<vec4u>(x[1]) & exponents) != exponents)
    && all((bitcast<vec4u>(x[2]) & exponents) != exponents)
    && all((bitcast<vec4u>(x[3]) & exponents) != exponents);
}

/// Weight times values; nothing without weight: values that a row does not see may be anything, and 0 times NaN is NaN.
fn reached(weight: f32, x: vec4f) -> vec4f {
  var product = vec4f();
  if (weight != 0.0) {
    product = weight * x;
  }
  return product;
}

/// The values of keys `begin` to `end` - 1, from value `value` on, times four rows of weights.
fn weighted_values(weights: u32, v_at: u32, value: u32, begin: i32, end: i32) -> mat4x4f {
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  for (var key = begin; key < end; key++) {
    let at = weights + u32(key - begin);
    let x = load_v(v_at + u32(key) * launch.v_stride_l);
    s0 += arena[at] * x;
    s1 += arena[at + AFTER_SCORES_CONV_ROW_STRIDE] * x;
    s2 += arena[at + 2u * AFTER_SCORES_CONV_ROW_STRIDE] * x;
    s3 += arena[at + 3u * AFTER_SCORES_CONV_ROW_STRIDE] * x;
  }
  var sums = mat4x4f(s0, s1, s2, s3);
  if (!all_finite(sums)) {
    // Almost never: once more, row by row.
    sums = mat4x4f();
    for (var key = begin; key < end; key++) {
      let at = weights + u32(key - begin);
      let x = load_v(v_at + u32(key) * launch.v_stride_l);
      sums[0] += reached(arena[at], x);
      sums[1] += reached(arena[at + AFTER_SCORES_CONV_ROW_STRIDE], x);
      sums[2] += reached(arena[at + 2u * AFTER_SCORES_CONV_ROW_STRIDE], x);
      sums[3] += reached(arena[at + 3u * AFTER_SCORES_CONV_ROW_STRIDE], x);
    }
  }
  return sums;
}

/// Stores up to four values of an output row; the row ends after `count` of them.
fn store_o(element: u32, value: vec4f, count: u32) {
  o[element / 4u] = vec2u(pack(value.xy), pack(value.zw));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let batch = open_batch(launch.batch + group.z);
  let first_head = group.y * HEAD_BLOCK;
  let tile_row = launch.row_begin + i32(launch.first_tile + group.x) * TILE_Q;

  // Steps along the keys: from the first key that the convolutions read for the tile's rows until the results, which
  // trail the scores by the right reach, have passed the last key that these rows see.
  let range = key_range(batch, tile_row, min(tile_row + TILE_Q, launch.row_end) - 1);
  let first_step = max(0, range.x - REACH_LEFT) / TILE_K;
  let last_step = select(first_step, (range.y + LAG + TILE_K - 1) / TILE_K, range.y > range.x);

  for (var i = thread; i < 2380u; i += WORKGROUP) {
    arena[i] = 0.0;
  }
  for (var i = thread; i < 36u; i += WORKGROUP) {
    row_document[i] = document_of(batch, batch.first_position + tile_row - 2 + i32(i));
  }
  workgroupBarrier();

  // TEAM neighbouring invocations share a row of the softmax.
  let own_row = thread / TEAM;
  let lane = thread % TEAM;
  let owns = own_row < ROWS;
  var row_max = HIDDEN;
  var row_sum = 0.0;

  // Results: blocks of four rows by four values, kept in registers over all steps.
  var o0_0 = vec4f();
  var o0_1 = vec4f();
  var o0_2 = vec4f();
  var o0_3 = vec4f();
  var o1_0 = vec4f();
  var o1_1 = vec4f();
  var o1_2 = vec4f();
  var o1_3 = vec4f();

  for (var step = first_step; step < last_step; step++) {
    // Scores of the step's new keys.
    {
      let step_key = step * TILE_K;
      let inside = interior(batch, tile_row - 2, 36, step_key, TILE_K);
      for (var unit = thread; unit < 72u; unit += WORKGROUP) {
        let column = unit % 8u * 4u;
        let r = unit / 8u % 9u * 4u;
        let h = unit / 72u;
        let head = first_head + h;
        let row = tile_row - 2 + i32(r);
        let key = step_key + i32(column);
        let seen = see(batch, head, row, key, inside);
        var block = mat4x4f();
        if (any_seen(seen)) {
          block = dot_block(batch, head, row, key);
        }
        let to = RAW_AT + RAW_CARRY + h * RAW_HEAD_STRIDE + r * RAW_ROW_STRIDE + column;
        put_four(to, finish_scores(batch, block[0], seen.row0, head, row, key));
        put_four(to + RAW_ROW_STRIDE, finish_scores(batch, block[1], seen.row1, head, row + 1, key));
        put_four(to + 2u * RAW_ROW_STRIDE, finish_scores(batch, block[2], seen.row2, head, row + 2, key));
        put_four(to + 3u * RAW_ROW_STRIDE, finish_scores(batch, block[3], seen.row3, head, row + 3, key));
      }
    }
    workgroupBarrier();
    // scores.conv (line 10), conv 3x4 (reads 2 rows before and 0 after, 3 keys left and 0 right).
    {
      let step_key = step * TILE_K - 0;
      let inside = interior(batch, tile_row, 32, step_key, TILE_K);
      for (var unit = thread; unit < 64u; unit += WORKGROUP) {
        let column = unit % 8u * 4u;
        let r = unit / 8u % 8u * 4u;
        let h = unit / 64u;
        let head = first_head + h;
        let row = tile_row + i32(r);
        let key = step_key + i32(column);
        let seen = see(batch, head, row, key, inside);
        var block = mat4x4f();
        if (any_seen(seen)) {
          let at = RAW_AT + r * RAW_ROW_STRIDE + column;
          block = scores_conv(scores_conv_kernel(head, 0u), at + h * RAW_HEAD_STRIDE, r + 2u, r + 0u);
          let added = vec4f(parameter(SCORES_CONV_BIAS_AT + head));
          block += mat4x4f(added, added, added, added);
        }
        let to = AFTER_SCORES_CONV_AT + AFTER_SCORES_CONV_CARRY + h * AFTER_SCORES_CONV_HEAD_STRIDE + r * AFTER_SCORES_CONV_ROW_STRIDE + column;
        put_four(to, finish_scores_conv(batch, block[0], seen.row0, head, row, key));
        put_four(to + AFTER_SCORES_CONV_ROW_STRIDE, finish_scores_conv(batch, block[1], seen.row1, head, row + 1, key));
        put_four(to + 2u * AFTER_SCORES_CONV_ROW_STRIDE, finish_scores_conv(batch, block[2], seen.row2, head, row + 2, key));
        put_four(to + 3u * AFTER_SCORES_CONV_ROW_STRIDE, finish_scores_conv(batch, block[3], seen.row3, head, row + 3, key));
      }
    }
    workgroupBarrier();
    // Keep the last columns: the next step's taps reach back to them.
    for (var line = thread; line < 36u; line += WORKGROUP) {
      let at = RAW_AT + line * RAW_ROW_STRIDE;
      for (var c = 0u; c < RAW_CARRY; c++) {
        arena[at + c] = arena[at + c + u32(TILE_K)];
      }
    }
    // Online softmax: the row's maximum so far, then weights relative to it.
    if (owns) {
      var highest = HIDDEN;
      for (var c = lane; c < u32(TILE_K); c += TEAM) {
        highest = max(highest, arena[AFTER_SCORES_CONV_AT + own_row * AFTER_SCORES_CONV_ROW_STRIDE + c]);
      }
      arena[PARTIALS_AT + thread] = highest;
    }
    workgroupBarrier();
    if (owns) {
      var highest = HIDDEN;
      for (var i = 0u; i < TEAM; i++) {
        highest = max(highest, arena[PARTIALS_AT + own_row * TEAM + i]);
      }
      let nothing = highest == HIDDEN;
      highest = max(highest, row_max);
      let factor = exp(row_max - highest);
      row_max = highest;
      row_sum *= factor;
      for (var c = lane; c < u32(TILE_K); c += TEAM) {
        let at = AFTER_SCORES_CONV_AT + own_row * AFTER_SCORES_CONV_ROW_STRIDE + c;
        let score = arena[at];
        let weight = select(exp(score - row_max), 0.0, score == HIDDEN);
        row_sum += weight;
        arena[at] = weight;
      }
      if (lane == 0u) {
        arena[FACTORS_AT + own_row] = select(factor, NOTHING_NEW, nothing);
      }
    }
    workgroupBarrier();
    // Weights times values.
    {
      let step_key = step * TILE_K - LAG;
      let from_key = max(0, step_key);
      let to_key = min(step_key + TILE_K, range.y);
      {
        let unit = thread;
        let r = unit / VALUE_BLOCKS * 4u;
        let value = unit % VALUE_BLOCKS * 4u;
        let factor = vec4f(arena[FACTORS_AT + r], arena[FACTORS_AT + r + 1u], arena[FACTORS_AT + r + 2u], arena[FACTORS_AT + r + 3u]);
        if (any(factor != vec4f(NOTHING_NEW))) {
          o0_0 *= select(factor.x, 1.0, factor.x == NOTHING_NEW);
          o0_1 *= select(factor.y, 1.0, factor.y == NOTHING_NEW);
          o0_2 *= select(factor.z, 1.0, factor.z == NOTHING_NEW);
          o0_3 *= select(factor.w, 1.0, factor.w == NOTHING_NEW);
          let v_at = batch.index * launch.v_stride_b + (first_head + r / 32u) / HEADS_PER_KEY * launch.v_stride_h + value;
          let weights = AFTER_SCORES_CONV_AT + r * AFTER_SCORES_CONV_ROW_STRIDE + u32(from_key - step_key);
          let sums = weighted_values(weights, v_at, value, from_key, to_key);
          o0_0 += sums[0];
          o0_1 += sums[1];
          o0_2 += sums[2];
          o0_3 += sums[3];
        }
      }
      if (thread + 64u < OUTPUT_BLOCKS) {
        let unit = thread + 64u;
        let r = unit / VALUE_BLOCKS * 4u;
        let value = unit % VALUE_BLOCKS * 4u;
        let factor = vec4f(arena[FACTORS_AT + r], arena[FACTORS_AT + r + 1u], arena[FACTORS_AT + r + 2u], arena[FACTORS_AT + r + 3u]);
        if (any(factor != vec4f(NOTHING_NEW))) {
          o1_0 *= select(factor.x, 1.0, factor.x == NOTHING_NEW);
          o1_1 *= select(factor.y, 1.0, factor.y == NOTHING_NEW);
          o1_2 *= select(factor.z, 1.0, factor.z == NOTHING_NEW);
          o1_3 *= select(factor.w, 1.0, factor.w == NOTHING_NEW);
          let v_at = batch.index * launch.v_stride_b + (first_head + r / 32u) / HEADS_PER_KEY * launch.v_stride_h + value;
          let weights = AFTER_SCORES_CONV_AT + r * AFTER_SCORES_CONV_ROW_STRIDE + u32(from_key - step_key);
          let sums = weighted_values(weights, v_at, value, from_key, to_key);
          o1_0 += sums[0];
          o1_1 += sums[1];
          o1_2 += sums[2];
          o1_3 += sums[3];
        }
      }
    }
    workgroupBarrier();
  }

  // The row's sum over its invocations.
  if (owns) {
    arena[PARTIALS_AT + thread] = row_sum;
  }
  workgroupBarrier();
  if (owns & (lane == 0u)) {
    var total = 0.0;
    for (var i = 0u; i < TEAM; i++) {
      total += arena[PARTIALS_AT + thread + i];
    }
    // A row that sees no key: weight zero, log-sum-exp minus infinity.
    let factor = select(0.0, 1.0 / total, total > 0.0);
    arena[FACTORS_AT + own_row] = factor;
    let row = tile_row + i32(own_row % 32u);
    let head = first_head + own_row / 32u;
    if (row < launch.row_end) {
      let bits = select(EMPTY_BITS, bitcast<u32>(row_max + log(total)), total > 0.0);
      lse[(batch.index * HEADS + head) * u32(launch.query_rows) + u32(row)] = bits;
    }
  }
  workgroupBarrier();
  {
    let unit = thread;
    let r = unit / VALUE_BLOCKS * 4u;
    o0_0 *= arena[FACTORS_AT + r];
    o0_1 *= arena[FACTORS_AT + r + 1u];
    o0_2 *= arena[FACTORS_AT + r + 2u];
    o0_3 *= arena[FACTORS_AT + r + 3u];
  }
  if (thread + 64u < OUTPUT_BLOCKS) {
    let unit = thread + 64u;
    let r = unit / VALUE_BLOCKS * 4u;
    o1_0 *= arena[FACTORS_AT + r];
    o1_1 *= arena[FACTORS_AT + r + 1u];
    o1_2 *= arena[FACTORS_AT + r + 2u];
    o1_3 *= arena[FACTORS_AT + r + 3u];
  }

  // The output stages see whole rows: CHUNK_ROWS rows at a time go through workgroup memory.
  for (var chunk = 0u; chunk < ROWS; chunk += CHUNK_ROWS) {
    workgroupBarrier();
    {
      let unit = thread;
      let r = unit / VALUE_BLOCKS * 4u;
      let at = STAGE_AT + unit % VALUE_BLOCKS * 4u;
      // Unsigned: rows before the chunk wrap round to large numbers.
      if ((unit < OUTPUT_BLOCKS) & (r - chunk < CHUNK_ROWS)) {
        put_four(at + (r - chunk) * VALUE_STRIDE, o0_0);
        put_four(at + (r + 1u - chunk) * VALUE_STRIDE, o0_1);
        put_four(at + (r + 2u - chunk) * VALUE_STRIDE, o0_2);
        put_four(at + (r + 3u - chunk) * VALUE_STRIDE, o0_3);
      }
    }
    {
      let unit = thread + 64u;
      let r = unit / VALUE_BLOCKS * 4u;
      let at = STAGE_AT + unit % VALUE_BLOCKS * 4u;
      // Unsigned: rows before the chunk wrap round to large numbers.
      if ((unit < OUTPUT_BLOCKS) & (r - chunk < CHUNK_ROWS)) {
        put_four(at + (r - chunk) * VALUE_STRIDE, o1_0);
        put_four(at + (r + 1u - chunk) * VALUE_STRIDE, o1_1);
        put_four(at + (r + 2u - chunk) * VALUE_STRIDE, o1_2);
        put_four(at + (r + 3u - chunk) * VALUE_STRIDE, o1_3);
      }
    }
    workgroupBarrier();
    let local = thread / CHUNK_TEAM;
    let part = thread % CHUNK_TEAM;
    let works = local < CHUNK_ROWS;
    // output.norm (line 11)
    {
      let line = STAGE_AT + local * VALUE_STRIDE;
      var sum = 0.0;
      if (works) {
        for (var d = part; d < VALUE_DIM; d += CHUNK_TEAM) {
          sum += arena[line + d] * arena[line + d];
        }
      }
      arena[ROW_SUMS_AT + thread] = sum;
      workgroupBarrier();
      if (works) {
        var total = 0.0;
        for (var i = 0u; i < CHUNK_TEAM; i++) {
          total += arena[ROW_SUMS_AT + local * CHUNK_TEAM + i];
        }
        let factor = inverseSqrt(total / f32(VALUE_DIM) + 0.00001) * launch.depth_scale;
        for (var d = part; d < VALUE_DIM; d += CHUNK_TEAM) {
          arena[line + d] *= factor * parameter(OUTPUT_NORM_WEIGHT_AT + d);
        }
      }
      workgroupBarrier();
    }
    // output.gate (line 11)
    {
      let line = STAGE_AT + local * VALUE_STRIDE;
      if (works) {
        for (var d = part; d < VALUE_DIM; d += CHUNK_TEAM) {
          var total = parameter(OUTPUT_GATE_BIAS_AT + d);
          for (var e = 0u; e < VALUE_DIM; e++) {
            total += arena[line + e] * parameter(OUTPUT_GATE_WEIGHT_AT + d * VALUE_DIM + e);
          }
          let gate = 1.0 / (1.0 + exp(clamp(-total, -80.0, 80.0)));
          arena[SECOND_AT + local * VALUE_STRIDE + d] = arena[line + d] * gate;
        }
      }
      workgroupBarrier();
    }
    for (var unit = thread; unit < 160u; unit += WORKGROUP) {
      let r = chunk + unit / VALUE_BLOCKS;
      let value = unit % VALUE_BLOCKS * 4u;
      let row = tile_row + i32(r % 32u);
      if ((r < ROWS) & (row < launch.row_end)) {
        let element = batch.index * launch.o_stride_b + (first_head + r / 32u) * launch.o_stride_h
          + u32(row) * launch.o_stride_l + value;
        store_o(element, four(SECOND_AT + (r - chunk) * VALUE_STRIDE + value), VALUE_DIM - value);
      }
    }
  }
}
