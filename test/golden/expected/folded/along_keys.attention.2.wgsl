// along_keys: attention (folded.mta:3)
//
// Attention in one pass over the keys with an online softmax (Milakov and Gimelshein 2018; FlashAttention).
// Workgroup memory holds the scores of one tile with the halo that the convolutions read.
// 64 invocations, 18048 bytes of workgroup memory.
//
// spec: heads 4, head_dim 64, value_dim 64, mask causal, storage f16-packed
// plan: single_pass, tile_q 32, tile_k 64, workgroup 64
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
  has_positions: u32,
  positions_at: u32,
  batch: u32,
  first_tile: u32,
  row_begin: i32,
  row_end: i32,
  parts: u32,
}

@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> q: array<vec2u>;
@group(0) @binding(2) var<storage, read> q_history: array<vec2u>;
@group(0) @binding(3) var<storage, read> k: array<vec2u>;
@group(0) @binding(4) var<storage, read> v: array<vec2u>;
@group(0) @binding(5) var<storage, read> parameters: array<u32>;
@group(0) @binding(6) var<storage, read_write> o: array<vec2u>;
@group(0) @binding(7) var<storage, read_write> lse: array<u32>;
@group(0) @binding(8) var<storage, read_write> partial_results: array<f32>;

/// Whether the call gives query rows before row 0 (a pipeline per value: without history its loads vanish).
override HISTORY: bool = false;

const HEADS = 4;
/// Consecutive query heads that share a key/value head.
const HEADS_PER_KEY = 1;
const HEAD_DIM = 64;
const VALUE_DIM = 64;
const SCALE = 0.125;
/// Invocations of a workgroup.
const THREADS = 64;
/// Heads that a workgroup computes together.
const HEAD_BLOCK = 1;
/// Rows of a tile.
const TILE_Q = 32;
/// Keys of a step.
const TILE_K = 64;
/// Keys that the convolutions read to the left.
const REACH_LEFT = 5;
/// Keys by which results trail the scores: what the convolutions read to the right.
const LAG = 5;
/// Words of workgroup memory.
const ARENA_WORDS = 4512;
/// Rows of a workgroup's results over all its heads.
const ROWS = 32;
/// Scores of the tile with their halo: first word.
const RAW_AT = 0;
/// Rows of a head.
const RAW_ROWS = 32;
/// Columns kept from the step before.
const RAW_CARRY = 10;
/// Words between two rows.
const RAW_ROW_STRIDE = 74;
/// Map after scores conv: first word.
const AFTER_SCORES_CONV_AT = 2368;
/// Rows of a head.
const AFTER_SCORES_CONV_ROWS = 32;
/// Columns kept from the step before.
const AFTER_SCORES_CONV_CARRY = 0;
/// Keys by which it trails the scores.
const AFTER_SCORES_CONV_LAG = 5;
/// Words between two rows.
const AFTER_SCORES_CONV_ROW_STRIDE = 64;
/// Neighbouring invocations that share a row of the softmax.
const TEAM = 2;
/// First word of the rows' factors.
const FACTORS_AT = 4416;
/// First word of the softmax's partial results.
const PARTIALS_AT = 4448;
/// Words of a part of a row: values, maximum, sum.
const PART_WORDS = 66;
/// Steps before its own whose scores a part's convolutions read.
const STEPS_BEFORE = 1;
/// Rows of the kernel.
const SCORES_CONV_QUERY = 1;
/// Keys of the kernel.
const SCORES_CONV_KEY = 11;
/// scores.conv.weight in parameters.
const SCORES_CONV_WEIGHT_AT = 0;
/// scores.conv.bias in parameters.
const SCORES_CONV_BIAS_AT = 44;
/// Rows from one row of taps to the next.
const SCORES_CONV_DILATION_QUERY = 1;
/// Blocks of four that cover a row of values.
const VALUE_BLOCKS = 16;
/// Score of a pair that is not visible: the lowest, since WGSL constants may not be infinite. No visible one has it.
const HIDDEN = -3.40282346e38;
/// Bits of -infinity: the log-sum-exp of an empty row.
const EMPTY_BITS = 0xff800000u;
/// Instead of a factor (at most 1): the row sees none of this step's keys.
const NOTHING_NEW = 2.0;

fn parameter(index: u32) -> f32 {
  return bitcast<f32>(parameters[index]);
}

/// All of the workgroup's memory; never assumed to be zero.
var<workgroup> arena: array<f32, ARENA_WORDS>;

fn four(at: u32) -> vec4f {
  return vec4f(arena[at], arena[at + 1u], arena[at + 2u], arena[at + 3u]);
}

fn put_four(at: u32, value: vec4f) {
  arena[at] = value.x;
  arena[at + 1u] = value.y;
  arena[at + 2u] = value.z;
  arena[at + 3u] = value.w;
}

/// The two elements of a word, the even one in the low half.
fn unpack(word: u32) -> vec2f {
  return unpack2x16float(word);
}

fn pack(pair: vec2f) -> u32 {
  return pack2x16float(pair);
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
  return batch;
}

/// Keys [x, y) outside of which rows `first` to `last` see nothing; [0, 0) where they see nothing at all.
fn key_range(batch: Batch, last: i32) -> vec2i {
  let low = 0;
  let high = min(batch.keys, batch.first_position + last + 1);
  return select(vec2i(0), vec2i(low, high), low < high);
}

/// Which of the keys key .. key + 3 are visible from `row`.
fn visible(batch: Batch, row: i32, key: i32) -> vec4<bool> {
  let keys = vec4i(key) + vec4i(0, 1, 2, 3);
  let position = batch.first_position + row;
  var seen = (keys >= vec4i(0)) & (keys < vec4i(batch.keys))
    & vec4<bool>((row >= -launch.history_rows) & (row < launch.query_rows));
  seen = seen & (keys <= vec4i(position));
  return seen;
}

/// Whether all rows [row, row + rows) exist and see all keys [key, key + keys): there nothing needs testing.
fn interior(batch: Batch, row: i32, rows: i32, key: i32, keys: i32) -> bool {
  let first = batch.first_position + row;
  // Plain `&` rather than `&&`: fewer branches for drivers to chew on.
  return (row >= -launch.history_rows) & (row + rows <= launch.query_rows)
    & (key >= 0) & (key + keys <= batch.keys)
    & (key + keys - 1 <= first);
}

/// Visibility of four rows by four keys.
fn see(batch: Batch, row: i32, key: i32, inside: bool) -> array<vec4<bool>, 4> {
  // One exit: early returns cost some drivers seconds of compile time.
  let all_keys = vec4<bool>(true);
  var seen = array<vec4<bool>, 4>(all_keys, all_keys, all_keys, all_keys);
  if (!inside) {
    seen = array<vec4<bool>, 4>(
      visible(batch, row, key),
      visible(batch, row + 1, key),
      visible(batch, row + 2, key),
      visible(batch, row + 3, key),
    );
  }
  return seen;
}

fn any_seen(seen: array<vec4<bool>, 4>) -> bool {
  return any(seen[0] | seen[1] | seen[2] | seen[3]);
}

/// Elements element .. element + 3 of q.
fn load_q(element: u32) -> vec4f {
  let words = q[element / 4u];
  return vec4f(unpack(words.x), unpack(words.y));
}

/// Elements first .. first + 3 of a row that begins at element `row`.
fn load_q_at(row: u32, first: u32) -> vec4f {
  return load_q(row + first);
}

/// Elements element .. element + 3 of q_history.
fn load_q_history(element: u32) -> vec4f {
  let words = q_history[element / 4u];
  return vec4f(unpack(words.x), unpack(words.y));
}

/// Elements first .. first + 3 of a row that begins at element `row`.
fn load_q_history_at(row: u32, first: u32) -> vec4f {
  return load_q_history(row + first);
}

/// Elements element .. element + 3 of k.
fn load_k(element: u32) -> vec4f {
  let words = k[element / 4u];
  return vec4f(unpack(words.x), unpack(words.y));
}

/// Elements first .. first + 3 of a row that begins at element `row`.
fn load_k_at(row: u32, first: u32) -> vec4f {
  return load_k(row + first);
}

/// Elements first .. first + 3 of a query row, which is a row of history where `past` says so.
fn load_query_at(row: u32, first: u32, past: bool) -> vec4f {
  var four: vec4f;
  if (HISTORY & past) {
    four = load_q_history_at(row, first);
  } else {
    four = load_q_at(row, first);
  }
  return four;
}

/// Query rows row .. row + 3 times keys key .. key + 3, scaled; rows and keys that do not exist repeat their
/// neighbours.
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
    let k0 = load_k_at(k_at.x, d);
    let k1 = load_k_at(k_at.y, d);
    let k2 = load_k_at(k_at.z, d);
    let k3 = load_k_at(k_at.w, d);
    let q0 = load_query_at(q_at.x, d, past.x);
    let q1 = load_query_at(q_at.y, d, past.y);
    let q2 = load_query_at(q_at.z, d, past.z);
    let q3 = load_query_at(q_at.w, d, past.w);
    s0 += vec4f(dot(q0, k0), dot(q0, k1), dot(q0, k2), dot(q0, k3));
    s1 += vec4f(dot(q1, k0), dot(q1, k1), dot(q1, k2), dot(q1, k3));
    s2 += vec4f(dot(q2, k0), dot(q2, k1), dot(q2, k2), dot(q2, k3));
    s3 += vec4f(dot(q3, k0), dot(q3, k1), dot(q3, k2), dot(q3, k3));
  }
  return SCALE * mat4x4f(s0, s1, s2, s3);
}

/// Four entries of a row: 0 where not visible.
fn finish_scores(value: vec4f, seen: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), value, seen);
}

/// Scores of the step's new keys: four rows by four keys at a time.
fn step_scores(batch: Batch, head: u32, tile_row: i32, step: i32, thread: u32) {
  let first_key = step * TILE_K;
  let inside = interior(batch, tile_row, RAW_ROWS, first_key, TILE_K);
  for (var unit = thread; unit < (RAW_ROWS / 4) * (TILE_K / 4); unit += THREADS) {
    let column = unit % (TILE_K / 4) * 4u;
    let r = unit / (TILE_K / 4) * 4u;
    let row = tile_row + i32(r);
    let key = first_key + i32(column);
    let seen = see(batch, row, key, inside);
    var block = mat4x4f();
    if (any_seen(seen)) {
      block = dot_block(batch, head, row, key);
    }
    let to = RAW_AT + RAW_CARRY + r * RAW_ROW_STRIDE + column;
    put_four(to, finish_scores(block[0], seen[0]));
    put_four(to + RAW_ROW_STRIDE, finish_scores(block[1], seen[1]));
    put_four(to + 2u * RAW_ROW_STRIDE, finish_scores(block[2], seen[2]));
    put_four(to + 3u * RAW_ROW_STRIDE, finish_scores(block[3], seen[3]));
  }
}

/// First word of the kernel with which `head` reads its own entries.
fn scores_conv_kernel(head: u32) -> u32 {
  return SCORES_CONV_WEIGHT_AT + head * (SCORES_CONV_QUERY * SCORES_CONV_KEY);
}

/// scores.conv (line 8), conv 1x11 (reads 5 keys left, 5 keys right):
/// what one head contributes to four rows by four keys. `at` is the arena word of the first tap's entry for the first
/// of them, `kernel` that head's weights.
fn scores_conv(kernel: u32, at: u32) -> mat4x4f {
  var y0 = vec4f();
  var y1 = vec4f();
  var y2 = vec4f();
  var y3 = vec4f();
  for (var a = 0u; a < SCORES_CONV_QUERY; a++) {
    let at0 = at + a * (SCORES_CONV_DILATION_QUERY * RAW_ROW_STRIDE);
    let at1 = at0 + RAW_ROW_STRIDE;
    let at2 = at1 + RAW_ROW_STRIDE;
    let at3 = at2 + RAW_ROW_STRIDE;
    // Four neighbouring entries that slide along the keys: one load a row and tap.
    var x0 = vec4f(0.0, arena[at0], arena[at0 + 1u], arena[at0 + 2u]);
    var x1 = vec4f(0.0, arena[at1], arena[at1 + 1u], arena[at1 + 2u]);
    var x2 = vec4f(0.0, arena[at2], arena[at2 + 1u], arena[at2 + 2u]);
    var x3 = vec4f(0.0, arena[at3], arena[at3 + 1u], arena[at3 + 2u]);
    for (var b = 0u; b < SCORES_CONV_KEY; b++) {
      let w = parameter(kernel + a * SCORES_CONV_KEY + b);
      x0 = vec4f(x0.yzw, arena[at0 + b + 3u]);
      x1 = vec4f(x1.yzw, arena[at1 + b + 3u]);
      x2 = vec4f(x2.yzw, arena[at2 + b + 3u]);
      x3 = vec4f(x3.yzw, arena[at3 + b + 3u]);
      y0 += w * x0;
      y1 += w * x1;
      y2 += w * x2;
      y3 += w * x3;
    }
  }
  return mat4x4f(y0, y1, y2, y3);
}

/// Four entries of a row: HIDDEN where not visible, so that the softmax leaves it out.
fn finish_scores_conv(value: vec4f, seen: vec4<bool>) -> vec4f {
  return select(vec4f(HIDDEN), value, seen);
}

/// scores.conv (line 8), conv 1x11 (reads 5 keys left, 5 keys right): four rows by four keys at a time.
fn step_scores_conv(batch: Batch, head: u32, tile_row: i32, step: i32, thread: u32) {
  let first_key = step * TILE_K - AFTER_SCORES_CONV_LAG;
  let inside = interior(batch, tile_row, AFTER_SCORES_CONV_ROWS, first_key, TILE_K);
  for (var unit = thread; unit < (AFTER_SCORES_CONV_ROWS / 4) * (TILE_K / 4); unit += THREADS) {
    let column = unit % (TILE_K / 4) * 4u;
    let r = unit / (TILE_K / 4) * 4u;
    let row = tile_row + i32(r);
    let key = first_key + i32(column);
    let seen = see(batch, row, key, inside);
    var block = mat4x4f();
    if (any_seen(seen)) {
      let at = RAW_AT + r * RAW_ROW_STRIDE + column;
      block = scores_conv(scores_conv_kernel(head), at);
      let added = vec4f(parameter(SCORES_CONV_BIAS_AT + head));
      block += mat4x4f(added, added, added, added);
    }
    let to = AFTER_SCORES_CONV_AT + AFTER_SCORES_CONV_CARRY + r * AFTER_SCORES_CONV_ROW_STRIDE + column;
    put_four(to, finish_scores_conv(block[0], seen[0]));
    put_four(to + AFTER_SCORES_CONV_ROW_STRIDE, finish_scores_conv(block[1], seen[1]));
    put_four(to + 2u * AFTER_SCORES_CONV_ROW_STRIDE, finish_scores_conv(block[2], seen[2]));
    put_four(to + 3u * AFTER_SCORES_CONV_ROW_STRIDE, finish_scores_conv(block[3], seen[3]));
  }
}

/// A step of the online softmax (Milakov and Gimelshein 2018): the row's maximum so far, then weights relative to it.
/// The row's invocations each take some of its scores; their sum is that of an invocation's own.
fn softmax_step(row: u32, lane: u32, thread: u32, row_max: ptr<function, f32>, row_sum: ptr<function, f32>) {
  let scores = AFTER_SCORES_CONV_AT + row * AFTER_SCORES_CONV_ROW_STRIDE;
  let owns = row < ROWS;
  if (owns) {
    var highest = HIDDEN;
    for (var c = lane; c < TILE_K; c += TEAM) {
      highest = max(highest, arena[scores + c]);
    }
    arena[PARTIALS_AT + thread] = highest;
  }
  workgroupBarrier();
  if (owns) {
    var highest = HIDDEN;
    for (var i = 0u; i < TEAM; i++) {
      highest = max(highest, arena[PARTIALS_AT + row * TEAM + i]);
    }
    let nothing = highest == HIDDEN;
    highest = max(highest, *row_max);
    let factor = exp(*row_max - highest);
    *row_max = highest;
    var sum = *row_sum * factor;
    for (var c = lane; c < TILE_K; c += TEAM) {
      let score = arena[scores + c];
      let weight = select(exp(score - highest), 0.0, score == HIDDEN);
      sum += weight;
      arena[scores + c] = weight;
    }
    *row_sum = sum;
    if (lane == 0u) {
      arena[FACTORS_AT + row] = select(factor, NOTHING_NEW, nothing);
    }
  }
}

/// Elements element .. element + 3 of v.
fn load_v(element: u32) -> vec4f {
  let words = v[element / 4u];
  return vec4f(unpack(words.x), unpack(words.y));
}

/// Elements first .. first + 3 of a row that begins at element `row`.
fn load_v_at(row: u32, first: u32) -> vec4f {
  return load_v(row + first);
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
    let x = load_v_at(v_at + u32(key) * launch.v_stride_l, value);
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
      let x = load_v_at(v_at + u32(key) * launch.v_stride_l, value);
      for (var r = 0u; r < 4u; r++) {
        sums[r] += reached(arena[at + r * AFTER_SCORES_CONV_ROW_STRIDE], x);
      }
    }
  }
  return sums;
}

/// Results of a block after a step: those so far, relative to the rows' new maxima, and the step's.
fn add_values(
    results: mat4x4f, batch: Batch, first_head: u32, unit: u32, step_key: i32, from_key: i32, to_key: i32,
) -> mat4x4f {
  let r = row_of(unit);
  let head = first_head + r / TILE_Q;
  let v_at = batch.index * launch.v_stride_b + head / HEADS_PER_KEY * launch.v_stride_h;
  let weights = AFTER_SCORES_CONV_AT + r * AFTER_SCORES_CONV_ROW_STRIDE + u32(from_key - step_key);
  var sums = results;
  let factor = four(FACTORS_AT + r);
  if (any(factor != vec4f(NOTHING_NEW))) {
    sums = scale_rows(results, select(factor, vec4f(1.0), factor == vec4f(NOTHING_NEW)))
      + weighted_values(weights, v_at, value_of(unit), from_key, to_key);
  }
  return sums;
}

/// The first of the four rows, over all heads, and of the four values of a block of results.
fn row_of(unit: u32) -> u32 {
  return unit / VALUE_BLOCKS * 4u;
}

fn value_of(unit: u32) -> u32 {
  return unit % VALUE_BLOCKS * 4u;
}

/// Four rows, each times a factor of its own.
fn scale_rows(block: mat4x4f, factors: vec4f) -> mat4x4f {
  return mat4x4f(block[0] * factors.x, block[1] * factors.y, block[2] * factors.z, block[3] * factors.w);
}

/// Numbers as f16 can hold them: large ones become its largest. NaN and infinities stay what they are.
fn within_f16(x: vec4f) -> vec4f {
  let finite = (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u);
  return select(x, clamp(x, vec4f(-65504.0), vec4f(65504.0)), finite);
}

/// Stores up to four values of an output row; the row ends after `count` of them.
fn store_o(element: u32, result: vec4f) {
  let value = within_f16(result);
  o[element / 4u] = vec2u(pack(value.xy), pack(value.zw));
}

/// Where results lie in o.
fn output_at(batch: Batch, first_head: u32, tile_row: i32, r: u32, value: u32) -> u32 {
  return batch.index * launch.o_stride_b + (first_head + r / TILE_Q) * launch.o_stride_h
    + u32(tile_row + i32(r % TILE_Q)) * launch.o_stride_l + value;
}

/// Stores a block of results, as far as the dispatch writes its rows.
fn store_block(block: mat4x4f, batch: Batch, first_head: u32, tile_row: i32, unit: u32) {
  let r = row_of(unit);
  let row = tile_row + i32(r % TILE_Q);
  let element = output_at(batch, first_head, tile_row, r, value_of(unit));
  let count = VALUE_DIM - value_of(unit);
  let end = launch.row_end;
  if (row < end) {
    store_o(element, block[0]);
  }
  if (row + 1 < end) {
    store_o(element + launch.o_stride_l, block[1]);
  }
  if (row + 2 < end) {
    store_o(element + 2u * launch.o_stride_l, block[2]);
  }
  if (row + 3 < end) {
    store_o(element + 3u * launch.o_stride_l, block[3]);
  }
}

/// Where a part of a row's results lies: `line` counts the heads of all batch entries.
fn part_at(line: u32, part: u32, row: i32) -> u32 {
  return ((line * launch.parts + part) * u32(launch.query_rows) + u32(row)) * PART_WORDS;
}

/// Stores what a part has of a block of results, relative to the part's own maximum of each row.
fn store_part(block: mat4x4f, line: u32, part: u32, tile_row: i32, unit: u32) {
  let r = row_of(unit);
  let row = tile_row + i32(r % TILE_Q);
  let value = value_of(unit);
  for (var i = 0; i < min(4, launch.row_end - row); i++) {
    let at = part_at(line + r / TILE_Q, part, row + i) + value;
    for (var c = 0u; c < min(4u, VALUE_DIM - value); c++) {
      partial_results[at + c] = block[i][c];
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let batch = open_batch(launch.batch + group.z);
  let first_head = group.y * HEAD_BLOCK;
  let part = (launch.first_tile + group.x) % launch.parts;
  let tile_row = launch.row_begin + i32((launch.first_tile + group.x) / launch.parts) * TILE_Q;

  // Steps along the keys: from the first key that the convolutions read for the tile's rows until the results, which
  // trail the scores by the right reach, have passed the last key that these rows see.
  let range = key_range(batch, min(tile_row + TILE_Q, launch.row_end) - 1);
  let first_step = max(0, range.x - REACH_LEFT) / TILE_K;
  let last_step = select(first_step, (range.y + LAG + TILE_K - 1) / TILE_K, range.y > range.x);
  // Few rows leave most of a device idle: then workgroups share a tile's steps, and another kernel combines their
  // results.
  let share = (last_step - first_step + i32(launch.parts) - 1) / i32(launch.parts);
  let own_step = min(last_step, first_step + i32(part) * share);
  let end_step = min(last_step, own_step + share);

  for (var i = thread; i < ARENA_WORDS; i += THREADS) {
    arena[i] = 0.0;
  }
  workgroupBarrier();

  // TEAM neighbouring invocations share a row of the softmax.
  let own_row = thread / TEAM;
  let lane = thread % TEAM;
  var row_max = HIDDEN;
  var row_sum = 0.0;

  // Results: blocks of four rows by four values, kept in registers over all steps.
  var o0 = mat4x4f();
  var o1 = mat4x4f();

  // The steps before a part's own fill what its convolutions read.
  for (var step = max(first_step, own_step - STEPS_BEFORE); step < end_step; step++) {
    step_scores(batch, first_head, tile_row, step, thread);
    workgroupBarrier();
    step_scores_conv(batch, first_head, tile_row, step, thread);
    workgroupBarrier();
    // Keep the last columns: the next step's taps reach back to them.
    for (var line = thread; line < HEAD_BLOCK * RAW_ROWS; line += THREADS) {
      let at = RAW_AT + line * RAW_ROW_STRIDE;
      for (var c = 0u; c < RAW_CARRY; c++) {
        arena[at + c] = arena[at + c + TILE_K];
      }
    }
    if (step >= own_step) {
      softmax_step(own_row, lane, thread, &row_max, &row_sum);
      workgroupBarrier();
      // Weights times values.
      let step_key = step * TILE_K - AFTER_SCORES_CONV_LAG;
      let from_key = max(0, step_key);
      let to_key = min(step_key + TILE_K, range.y);
      o0 = add_values(o0, batch, first_head, thread, step_key, from_key, to_key);
      o1 = add_values(o1, batch, first_head, thread + THREADS, step_key, from_key, to_key);
    }
    workgroupBarrier();
  }

  // The row's sum over its invocations.
  arena[PARTIALS_AT + thread] = row_sum;
  workgroupBarrier();
  if ((own_row < ROWS) & (lane == 0u)) {
    var total = 0.0;
    for (var i = 0u; i < TEAM; i++) {
      total += arena[PARTIALS_AT + thread + i];
    }
    // A row that sees no key: weight zero, log-sum-exp minus infinity.
    let whole = launch.parts == 1u;
    let factor = select(0.0, select(1.0, 1.0 / total, whole), total > 0.0);
    arena[FACTORS_AT + own_row] = factor;
    let row = tile_row + i32(own_row % TILE_Q);
    let line = batch.index * HEADS + first_head + own_row / TILE_Q;
    if (row < launch.row_end) {
      let bits = select(EMPTY_BITS, bitcast<u32>(row_max + log(total)), total > 0.0);
      if (whole) {
        lse[line * u32(launch.query_rows) + u32(row)] = bits;
      } else {
        let at = part_at(line, part, row) + VALUE_DIM;
        partial_results[at] = row_max;
        partial_results[at + 1u] = total;
      }
    }
  }
  workgroupBarrier();
  o0 = scale_rows(o0, four(FACTORS_AT + row_of(thread)));
  o1 = scale_rows(o1, four(FACTORS_AT + row_of(thread + THREADS)));

  if (launch.parts > 1u) {
    store_part(o0, batch.index * HEADS + first_head, part, tile_row, thread);
    store_part(o1, batch.index * HEADS + first_head, part, tile_row, thread + THREADS);
    return;
  }
  store_block(o0, batch, first_head, tile_row, thread);
  store_block(o1, batch, first_head, tile_row, thread + THREADS);
}
