// heads_only: product (full.mta:11)
//
// The strip's weights times V, and the stages of the output.
// 64 invocations, 1152 bytes of workgroup memory.
//
// spec: heads 4, head_dim 32, value_dim 32, mask causal, storage f16-native
// plan: staged, tile_q 32, tile_k 32, product_tile_q 32, product_workgroup 64, strip_rows 64
// Made by mtac: change the spec and compile it again, not this file.

enable f16;

/// The call and this dispatch; the launcher fills it in. Strides count elements.
struct Launch {
  query_rows: i32,
  key_rows: i32,
  v_stride_b: u32,
  v_stride_h: u32,
  v_stride_l: u32,
  o_stride_b: u32,
  o_stride_h: u32,
  o_stride_l: u32,
  has_positions: u32,
  positions_at: u32,
  batch: u32,
  row_begin: i32,
  row_end: i32,
  strip_row: i32,
  key_begin: i32,
  map_row_stride: u32,
  map_head_stride: u32,
}

@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> map_of_weights: array<vec4f>;
@group(0) @binding(2) var<storage, read> v: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> parameters: array<u32>;
@group(0) @binding(4) var<storage, read_write> o: array<vec4<f16>>;

const HEADS = 4;
/// Consecutive query heads that share a key/value head.
const HEADS_PER_KEY = 1;
const VALUE_DIM = 32;
/// Invocations of a workgroup.
const THREADS = 64;
/// Rows of a workgroup.
const TILE_Q = 32;
/// Words of workgroup memory.
const ARENA_WORDS = 288;
/// Rows of a workgroup's results over all its heads.
const ROWS = 32;
/// Blocks of four that cover a row of values.
const VALUE_BLOCKS = 8;
/// Words of workgroup memory where the rows' factors lie.
const ROW_FACTORS_AT = 256;
/// Words of workgroup memory of the sums over rows.
const ROW_SUMS_AT = 0;
/// output.norm.weight in parameters.
const OUTPUT_NORM_WEIGHT_AT = 32;
/// output.gate.weight in parameters.
const OUTPUT_GATE_WEIGHT_AT = 64;
/// output.gate.bias in parameters.
const OUTPUT_GATE_BIAS_AT = 96;

fn parameter(index: u32) -> f32 {
  return bitcast<f32>(parameters[index]);
}

/// All of the workgroup's memory; never assumed to be zero.
var<workgroup> arena: array<f32, ARENA_WORDS>;

fn four(at: u32) -> vec4f {
  return vec4f(arena[at], arena[at + 1u], arena[at + 2u], arena[at + 3u]);
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

/// Elements element .. element + 3 of v.
fn load_v(element: u32) -> vec4f {
  return vec4f(v[element / 4u]);
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

/// Values of a row of v from value `value` on, times the weights of four rows of the map, for keys [begin, end).
fn weighted_values(row_at: u32, v_at: u32, value: u32, begin: i32, end: i32) -> mat4x4f {
  let line = launch.map_row_stride / 4u;
  let last = end - 1;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  // Rows past the strip's end read what lies there; their results are not stored.
  for (var key = begin; key < end; key += 4) {
    let at = row_at + u32(key) / 4u;
    let a0 = map_of_weights[at];
    let a1 = map_of_weights[at + line];
    let a2 = map_of_weights[at + 2u * line];
    let a3 = map_of_weights[at + 3u * line];
    // Weights beyond the last key are 0, but values there may be anything: repeat the last one.
    let keys = min(vec4i(key) + vec4i(0, 1, 2, 3), vec4i(last));
    let x0 = load_v_at(v_at + u32(keys.x) * launch.v_stride_l, value);
    let x1 = load_v_at(v_at + u32(keys.y) * launch.v_stride_l, value);
    let x2 = load_v_at(v_at + u32(keys.z) * launch.v_stride_l, value);
    let x3 = load_v_at(v_at + u32(keys.w) * launch.v_stride_l, value);
    s0 += a0.x * x0 + a0.y * x1 + a0.z * x2 + a0.w * x3;
    s1 += a1.x * x0 + a1.y * x1 + a1.z * x2 + a1.w * x3;
    s2 += a2.x * x0 + a2.y * x1 + a2.z * x2 + a2.w * x3;
    s3 += a3.x * x0 + a3.y * x1 + a3.z * x2 + a3.w * x3;
  }
  var sums = mat4x4f(s0, s1, s2, s3);
  if (!all_finite(sums)) {
    // Almost never: once more in the same order, row by row.
    sums = mat4x4f();
    for (var key = begin; key < end; key += 4) {
      let keys = min(vec4i(key) + vec4i(0, 1, 2, 3), vec4i(last));
      let x0 = load_v_at(v_at + u32(keys.x) * launch.v_stride_l, value);
      let x1 = load_v_at(v_at + u32(keys.y) * launch.v_stride_l, value);
      let x2 = load_v_at(v_at + u32(keys.z) * launch.v_stride_l, value);
      let x3 = load_v_at(v_at + u32(keys.w) * launch.v_stride_l, value);
      for (var r = 0u; r < 4u; r++) {
        let a = map_of_weights[row_at + r * line + u32(key) / 4u];
        sums[r] += reached(a.x, x0) + reached(a.y, x1) + reached(a.z, x2) + reached(a.w, x3);
      }
    }
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

/// Four values of each of four rows, times factors of the values.
fn scale_values(block: mat4x4f, factors: vec4f) -> mat4x4f {
  return mat4x4f(block[0] * factors, block[1] * factors, block[2] * factors, block[3] * factors);
}

fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(clamp(-x, -80.0, 80.0)));
}

/// Four of a row's parameters from `value` on; past the row's end, where results are 0, the last one again.
fn four_parameters(at: u32, value: u32) -> vec4f {
  let values = at + min(value + vec4u(0u, 1u, 2u, 3u), vec4u(VALUE_DIM - 1u));
  return vec4f(parameter(values.x), parameter(values.y), parameter(values.z), parameter(values.w));
}

/// Puts what a block adds to the sums of its rows.
fn put_sums(unit: u32, sums: vec4f) {
  let at = ROW_SUMS_AT + row_of(unit) * VALUE_BLOCKS + unit % VALUE_BLOCKS;
  arena[at] = sums.x;
  arena[at + VALUE_BLOCKS] = sums.y;
  arena[at + 2u * VALUE_BLOCKS] = sums.z;
  arena[at + 3u * VALUE_BLOCKS] = sums.w;
}

fn sum_of_row(r: u32) -> f32 {
  var total = 0.0;
  for (var i = 0u; i < VALUE_BLOCKS; i++) {
    total += arena[ROW_SUMS_AT + r * VALUE_BLOCKS + i];
  }
  return total;
}

/// Sums of squares of a block's four rows.
fn squares_of(block: mat4x4f) -> vec4f {
  return vec4f(
    dot(block[0], block[0]), dot(block[1], block[1]), dot(block[2], block[2]), dot(block[3], block[3]),
  );
}

/// Numbers as f16 can hold them: large ones become its largest. NaN and infinities stay what they are.
fn within_f16(x: vec4f) -> vec4f {
  let finite = (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u);
  return select(x, clamp(x, vec4f(-65504.0), vec4f(65504.0)), finite);
}

/// Stores up to four values of an output row; the row ends after `count` of them.
fn store_o(element: u32, result: vec4f) {
  let value = within_f16(result);
  o[element / 4u] = vec4<f16>(value);
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

/// A block of results: the strip's weights times values.
fn values_of(batch: Batch, map: u32, v_at: u32, tile_row: i32, unit: u32) -> mat4x4f {
  let row = tile_row + i32(row_of(unit));
  let range = key_range(batch, min(row + 3, launch.row_end - 1));
  let at = (map + u32(row - launch.strip_row) * launch.map_row_stride) / 4u;
  let begin = max(range.x / 4 * 4, launch.key_begin);
  var sums = mat4x4f();
  sums = weighted_values(at, v_at, value_of(unit), begin, range.y);
  return sums;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let batch = open_batch(launch.batch + group.z / HEADS);
  let first_head = group.z % HEADS;
  let tile_row = launch.row_begin + i32(group.x) * TILE_Q;
  let map = group.z * launch.map_head_stride;
  let v_at = batch.index * launch.v_stride_b + first_head / HEADS_PER_KEY * launch.v_stride_h;
  var o0 = values_of(batch, map, v_at, tile_row, thread);

  // output.norm (line 11): a sum over each row, then a factor for it.
  workgroupBarrier();
  put_sums(thread, squares_of(o0));
  workgroupBarrier();
  for (var r = thread; r < ROWS; r += THREADS) {
    let mean = sum_of_row(r) / f32(VALUE_DIM);
    arena[ROW_FACTORS_AT + r] = inverseSqrt(mean + 0.00001);
  }
  workgroupBarrier();
  o0 = scale_rows(o0, four(ROW_FACTORS_AT + row_of(thread)));
  o0 = scale_values(o0, four_parameters(OUTPUT_NORM_WEIGHT_AT, value_of(thread)));

  // output.gate (line 11): a sum over each row, then a factor for it.
  workgroupBarrier();
  put_sums(thread, four_parameters(OUTPUT_GATE_WEIGHT_AT, value_of(thread)) * o0);
  workgroupBarrier();
  for (var r = thread; r < ROWS; r += THREADS) {
    arena[ROW_FACTORS_AT + r] = sigmoid(sum_of_row(r) + parameter(OUTPUT_GATE_BIAS_AT));
  }
  workgroupBarrier();
  o0 = scale_rows(o0, four(ROW_FACTORS_AT + row_of(thread)));
  store_block(o0, batch, first_head, tile_row, thread);
}
