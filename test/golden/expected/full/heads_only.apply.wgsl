// heads_only: apply (full.mta:14)
//
// Pass 2 of 2: the scores again, normalised with the rows' log-sum-exp, through the stages after the softmax, times V.
//
// spec: heads 4, head_dim 32, value_dim 32, mask causal, storage f16-native
// plan: two_pass, statistics_tile_q 16, statistics_tile_k 64, statistics_workgroup 64, tile_q 32, tile_k 32, workgroup 64; this kernel: 64 invocations, 16896 bytes of workgroup memory
// Made by mtac: change the spec and compile it again, not this file.

enable f16;

/// The call and this dispatch; the launcher fills it in. Strides count elements.
struct Launch {
  batches: u32,
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
  strip_row: i32,
  key_begin: i32,
  key_end: i32,
  map_row_stride: u32,
  map_head_stride: u32,
  statistics_history: i32,
}

@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> q: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> q_history: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> k: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read> v: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read> parameters: array<u32>;
@group(0) @binding(6) var<storage, read> statistics: array<u32>;
@group(0) @binding(7) var<storage, read_write> o: array<vec4<f16>>;

/// Whether the call gives query rows before row 0 (a pipeline per value: without history its loads vanish).
override HISTORY: bool = false;

/// Invocations of a workgroup.
const WORKGROUP = 64u;
const HEADS = 4u;
/// Consecutive query heads that share a key/value head.
const HEADS_PER_KEY = 1u;
const SCALE = 0.17677669529663687;
const VALUE_DIM = 32u;
/// Log-sum-exp of a row without keys, so that exp(x - HUGE) is 0.
const HUGE = 3.0e38;
/// Bits of HUGE.
const HUGE_BITS = 0x7f61b1e6u;
/// Bits of -infinity: the log-sum-exp of an empty row.
const EMPTY_BITS = 0xff800000u;
/// Heads that a workgroup computes together.
const HEAD_BLOCK = 4u;
/// Rows of a tile, and keys of a step.
const TILE_Q = 32;
const TILE_K = 32;
/// Keys that the convolutions read to the left.
const REACH_LEFT = 0;
/// Keys by which results trail the scores: what the convolutions read to the right.
const LAG = 0;
/// Blocks of four that cover a row of values.
const VALUE_BLOCKS = 8u;
/// Rows of a workgroup's results, over all its heads.
const ROWS = 128u;
/// output.norm.weight in parameters.
const OUTPUT_NORM_WEIGHT_AT = 32u;
/// output.gate.weight in parameters.
const OUTPUT_GATE_WEIGHT_AT = 64u;
/// output.gate.bias in parameters.
const OUTPUT_GATE_BIAS_AT = 96u;
/// Arena words of the factors of the output's rows, and of the sums that they are made of.
const ROW_FACTORS_AT = 1024u;
const ROW_SUMS_AT = 0u;
/// Arena words of the rows' log-sum-exp, and rows a head.
const STATISTICS_AT = 4096u;
const STATISTICS_ROWS = 32u;
/// Scores of the tile with their halo: first word in the arena, columns kept from the step before, strides.
const RAW_AT = 0u;
const RAW_CARRY = 0u;
const RAW_ROW_STRIDE = 32u;
const RAW_HEAD_STRIDE = 1024u;
/// scores.mix.weight in parameters.
const SCORES_MIX_WEIGHT_AT = 0u;
/// weights.mix.weight in parameters.
const WEIGHTS_MIX_WEIGHT_AT = 16u;
const HEAD_DIM = 32u;

/// All of the workgroup's memory; never assumed to be zero.
var<workgroup> arena: array<f32, 4224u>;

fn four(at: u32) -> vec4f {
  return vec4f(arena[at], arena[at + 1u], arena[at + 2u], arena[at + 3u]);
}

fn put_four(at: u32, value: vec4f) {
  arena[at] = value.x;
  arena[at + 1u] = value.y;
  arena[at + 2u] = value.z;
  arena[at + 3u] = value.w;
}

fn parameter(index: u32) -> f32 {
  return bitcast<f32>(parameters[index]);
}

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
    batch.first_position = bitcast<i32>(parameters[launch.positions_at + index]);
  }
  batch.keys = launch.key_rows;
  return batch;
}

/// Keys [x, y) outside of which rows `first` to `last` see nothing.
fn key_range(batch: Batch, first: i32, last: i32) -> vec2i {
  var low = 0;
  var high = batch.keys;
  high = min(high, batch.first_position + last + 1);
  return vec2i(low, max(low, high));
}

/// Which of the keys key .. key + 3 are visible from `row`.
fn visible(batch: Batch, head: u32, row: i32, key: i32) -> vec4<bool> {
  let keys = vec4i(key) + vec4i(0, 1, 2, 3);
  let position = batch.first_position + row;
  var seen = (keys >= vec4i(0)) & (keys < vec4i(batch.keys))
    & vec4<bool>((row >= -launch.history_rows) & (row < launch.query_rows));
  seen = seen & (keys <= vec4i(position));
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
  let first = batch.first_position + row;
  let last = first + rows - 1;
  // Plain `&` rather than `&&`: fewer branches for drivers to chew on.
  var inside = (row >= -launch.history_rows) & (row + rows <= launch.query_rows)
    & (key >= 0) & (key + keys <= batch.keys);
  inside = inside & (key + keys - 1 <= first);
  return inside;
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

/// Four entries of a row: 0 where not visible.
fn finish_scores(batch: Batch, value: vec4f, seen: vec4<bool>, head: u32, row: i32, key: i32) -> vec4f {
  return select(vec4f(0.0), value, seen);
}

/// Four entries of a row: the softmax's weight, exp(score - log-sum-exp of the row); 0 where not visible.
fn finish_scores_mix(batch: Batch, value: vec4f, seen: vec4<bool>, head: u32, row: i32, key: i32, statistic: f32) -> vec4f {
  let x = value;
  return select(vec4f(0.0), exp(x - statistic), seen);
}

/// Four entries of a row: 0 where not visible.
fn finish_weights_mix(batch: Batch, value: vec4f, seen: vec4<bool>, head: u32, row: i32, key: i32) -> vec4f {
  return select(vec4f(0.0), value, seen);
}

/// Elements element .. element + 3 of q.
fn load_q(element: u32) -> vec4f {
  return vec4f(q[element / 4u]);
}

/// Elements element .. element + 3 of q_history.
fn load_q_history(element: u32) -> vec4f {
  return vec4f(q_history[element / 4u]);
}

/// Elements element .. element + 3 of k.
fn load_k(element: u32) -> vec4f {
  return vec4f(k[element / 4u]);
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

/// Elements element .. element + 3 of v.
fn load_v(element: u32) -> vec4f {
  return vec4f(v[element / 4u]);
}

/// Stores up to four values of an output row; the row ends after `count` of them.
fn store_o(element: u32, value: vec4f, count: u32) {
  o[element / 4u] = vec4<f16>(clamp(value, vec4f(-65504.0), vec4f(65504.0)));
}

/// Four of a row's parameters from `value` on; past the row's end, where results are 0, the last one again.
fn four_parameters(at: u32, value: u32) -> vec4f {
  let values = at + min(value + vec4u(0u, 1u, 2u, 3u), vec4u(VALUE_DIM - 1u));
  return vec4f(parameter(values.x), parameter(values.y), parameter(values.z), parameter(values.w));
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

  for (var i = thread; i < 4224u; i += WORKGROUP) {
    arena[i] = 0.0;
  }
  workgroupBarrier();

  // Row statistics of the softmax, halo included; rows that do not exist or see nothing get exp(x - HUGE) = 0.
  for (var i = thread; i < HEAD_BLOCK * STATISTICS_ROWS; i += WORKGROUP) {
    let row = tile_row - 0 + i32(i % STATISTICS_ROWS);
    var statistic = HUGE;
    if ((row >= -launch.statistics_history) & (row < launch.query_rows)) {
      let line = (batch.index * HEADS + first_head + i / STATISTICS_ROWS)
        * u32(launch.statistics_history + launch.query_rows);
      let bits = statistics[line + u32(launch.statistics_history + row)];
      statistic = bitcast<f32>(select(bits, HUGE_BITS, bits == EMPTY_BITS));
    }
    arena[STATISTICS_AT + i] = statistic;
  }
  workgroupBarrier();

  // Results: blocks of four rows by four values, kept in registers over all steps.
  var o0_0 = vec4f();
  var o0_1 = vec4f();
  var o0_2 = vec4f();
  var o0_3 = vec4f();
  var o1_0 = vec4f();
  var o1_1 = vec4f();
  var o1_2 = vec4f();
  var o1_3 = vec4f();
  var o2_0 = vec4f();
  var o2_1 = vec4f();
  var o2_2 = vec4f();
  var o2_3 = vec4f();
  var o3_0 = vec4f();
  var o3_1 = vec4f();
  var o3_2 = vec4f();
  var o3_3 = vec4f();

  for (var step = first_step; step < last_step; step++) {
    // Scores of the step's new keys.
    {
      let step_key = step * TILE_K;
      let inside = interior(batch, tile_row, 32, step_key, TILE_K);
      for (var unit = thread; unit < 256u; unit += WORKGROUP) {
        let column = unit % 8u * 4u;
        let r = unit / 8u % 8u * 4u;
        let h = unit / 64u;
        let head = first_head + h;
        let row = tile_row + i32(r);
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
    // scores.mix, mix 4: every head of a group becomes a sum over the group, in place.
    {
      let step_key = step * TILE_K - 0;
      let inside = interior(batch, tile_row, 32, step_key, TILE_K);
      for (var unit = thread; unit < 256u; unit += WORKGROUP) {
        let column = unit % 8u * 4u;
        let r = unit / 8u % 32u;
        let h = unit / 256u * 4u;
        let row = tile_row + i32(r);
        let key = step_key + i32(column);
        let at = RAW_AT + RAW_CARRY + h * RAW_HEAD_STRIDE + r * RAW_ROW_STRIDE + column;
        let weight = SCORES_MIX_WEIGHT_AT + (first_head + h) * 4u;
        var y0 = vec4f();
        var y1 = vec4f();
        var y2 = vec4f();
        var y3 = vec4f();
        for (var n = 0u; n < 4u; n++) {
          let x = four(at + n * RAW_HEAD_STRIDE);
          y0 += parameter(weight + n) * x;
          y1 += parameter(weight + n + 4u) * x;
          y2 += parameter(weight + n + 8u) * x;
          y3 += parameter(weight + n + 12u) * x;
        }
        {
          let head = first_head + h;
          var seen = vec4<bool>(true);
          if (!inside) {
            seen = visible(batch, head, row, key);
          }
          put_four(at, finish_scores_mix(batch, y0, seen, head, row, key, arena[STATISTICS_AT + (h) * STATISTICS_ROWS + r]));
        }
        {
          let head = first_head + h + 1u;
          var seen = vec4<bool>(true);
          if (!inside) {
            seen = visible(batch, head, row, key);
          }
          put_four(at + RAW_HEAD_STRIDE, finish_scores_mix(batch, y1, seen, head, row, key, arena[STATISTICS_AT + (h + 1u) * STATISTICS_ROWS + r]));
        }
        {
          let head = first_head + h + 2u;
          var seen = vec4<bool>(true);
          if (!inside) {
            seen = visible(batch, head, row, key);
          }
          put_four(at + 2u * RAW_HEAD_STRIDE, finish_scores_mix(batch, y2, seen, head, row, key, arena[STATISTICS_AT + (h + 2u) * STATISTICS_ROWS + r]));
        }
        {
          let head = first_head + h + 3u;
          var seen = vec4<bool>(true);
          if (!inside) {
            seen = visible(batch, head, row, key);
          }
          put_four(at + 3u * RAW_HEAD_STRIDE, finish_scores_mix(batch, y3, seen, head, row, key, arena[STATISTICS_AT + (h + 3u) * STATISTICS_ROWS + r]));
        }
      }
    }
    workgroupBarrier();
    // weights.mix, mix 4: every head of a group becomes a sum over the group, in place.
    {
      let step_key = step * TILE_K - 0;
      let inside = interior(batch, tile_row, 32, step_key, TILE_K);
      for (var unit = thread; unit < 256u; unit += WORKGROUP) {
        let column = unit % 8u * 4u;
        let r = unit / 8u % 32u;
        let h = unit / 256u * 4u;
        let row = tile_row + i32(r);
        let key = step_key + i32(column);
        let at = RAW_AT + RAW_CARRY + h * RAW_HEAD_STRIDE + r * RAW_ROW_STRIDE + column;
        let weight = WEIGHTS_MIX_WEIGHT_AT + (first_head + h) * 4u;
        var y0 = vec4f();
        var y1 = vec4f();
        var y2 = vec4f();
        var y3 = vec4f();
        for (var n = 0u; n < 4u; n++) {
          let x = four(at + n * RAW_HEAD_STRIDE);
          y0 += parameter(weight + n) * x;
          y1 += parameter(weight + n + 4u) * x;
          y2 += parameter(weight + n + 8u) * x;
          y3 += parameter(weight + n + 12u) * x;
        }
        {
          let head = first_head + h;
          var seen = vec4<bool>(true);
          if (!inside) {
            seen = visible(batch, head, row, key);
          }
          put_four(at, finish_weights_mix(batch, y0, seen, head, row, key));
        }
        {
          let head = first_head + h + 1u;
          var seen = vec4<bool>(true);
          if (!inside) {
            seen = visible(batch, head, row, key);
          }
          put_four(at + RAW_HEAD_STRIDE, finish_weights_mix(batch, y1, seen, head, row, key));
        }
        {
          let head = first_head + h + 2u;
          var seen = vec4<bool>(true);
          if (!inside) {
            seen = visible(batch, head, row, key);
          }
          put_four(at + 2u * RAW_HEAD_STRIDE, finish_weights_mix(batch, y2, seen, head, row, key));
        }
        {
          let head = first_head + h + 3u;
          var seen = vec4<bool>(true);
          if (!inside) {
            seen = visible(batch, head, row, key);
          }
          put_four(at + 3u * RAW_HEAD_STRIDE, finish_weights_mix(batch, y3, seen, head, row, key));
        }
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
        {
          let v_at = batch.index * launch.v_stride_b + (first_head + r / 32u) / HEADS_PER_KEY * launch.v_stride_h + value;
          let weights = RAW_AT + r * RAW_ROW_STRIDE;
          for (var key = from_key; key < to_key; key++) {
            let at = weights + u32(key - step_key);
            let x = load_v(v_at + u32(key) * launch.v_stride_l);
            o0_0 += arena[at] * x;
            o0_1 += arena[at + RAW_ROW_STRIDE] * x;
            o0_2 += arena[at + 2u * RAW_ROW_STRIDE] * x;
            o0_3 += arena[at + 3u * RAW_ROW_STRIDE] * x;
          }
        }
      }
      {
        let unit = thread + 64u;
        let r = unit / VALUE_BLOCKS * 4u;
        let value = unit % VALUE_BLOCKS * 4u;
        {
          let v_at = batch.index * launch.v_stride_b + (first_head + r / 32u) / HEADS_PER_KEY * launch.v_stride_h + value;
          let weights = RAW_AT + r * RAW_ROW_STRIDE;
          for (var key = from_key; key < to_key; key++) {
            let at = weights + u32(key - step_key);
            let x = load_v(v_at + u32(key) * launch.v_stride_l);
            o1_0 += arena[at] * x;
            o1_1 += arena[at + RAW_ROW_STRIDE] * x;
            o1_2 += arena[at + 2u * RAW_ROW_STRIDE] * x;
            o1_3 += arena[at + 3u * RAW_ROW_STRIDE] * x;
          }
        }
      }
      {
        let unit = thread + 128u;
        let r = unit / VALUE_BLOCKS * 4u;
        let value = unit % VALUE_BLOCKS * 4u;
        {
          let v_at = batch.index * launch.v_stride_b + (first_head + r / 32u) / HEADS_PER_KEY * launch.v_stride_h + value;
          let weights = RAW_AT + r * RAW_ROW_STRIDE;
          for (var key = from_key; key < to_key; key++) {
            let at = weights + u32(key - step_key);
            let x = load_v(v_at + u32(key) * launch.v_stride_l);
            o2_0 += arena[at] * x;
            o2_1 += arena[at + RAW_ROW_STRIDE] * x;
            o2_2 += arena[at + 2u * RAW_ROW_STRIDE] * x;
            o2_3 += arena[at + 3u * RAW_ROW_STRIDE] * x;
          }
        }
      }
      {
        let unit = thread + 192u;
        let r = unit / VALUE_BLOCKS * 4u;
        let value = unit % VALUE_BLOCKS * 4u;
        {
          let v_at = batch.index * launch.v_stride_b + (first_head + r / 32u) / HEADS_PER_KEY * launch.v_stride_h + value;
          let weights = RAW_AT + r * RAW_ROW_STRIDE;
          for (var key = from_key; key < to_key; key++) {
            let at = weights + u32(key - step_key);
            let x = load_v(v_at + u32(key) * launch.v_stride_l);
            o3_0 += arena[at] * x;
            o3_1 += arena[at + RAW_ROW_STRIDE] * x;
            o3_2 += arena[at + 2u * RAW_ROW_STRIDE] * x;
            o3_3 += arena[at + 3u * RAW_ROW_STRIDE] * x;
          }
        }
      }
    }
    workgroupBarrier();
  }

  // output.norm (line 11): a sum over each row, then a factor for it.
  workgroupBarrier();
  {
    let unit = thread;
    let at = ROW_SUMS_AT + unit / VALUE_BLOCKS * 4u * VALUE_BLOCKS + unit % VALUE_BLOCKS;
    arena[at] = dot(o0_0, o0_0);
    arena[at + VALUE_BLOCKS] = dot(o0_1, o0_1);
    arena[at + 2u * VALUE_BLOCKS] = dot(o0_2, o0_2);
    arena[at + 3u * VALUE_BLOCKS] = dot(o0_3, o0_3);
  }
  {
    let unit = thread + 64u;
    let at = ROW_SUMS_AT + unit / VALUE_BLOCKS * 4u * VALUE_BLOCKS + unit % VALUE_BLOCKS;
    arena[at] = dot(o1_0, o1_0);
    arena[at + VALUE_BLOCKS] = dot(o1_1, o1_1);
    arena[at + 2u * VALUE_BLOCKS] = dot(o1_2, o1_2);
    arena[at + 3u * VALUE_BLOCKS] = dot(o1_3, o1_3);
  }
  {
    let unit = thread + 128u;
    let at = ROW_SUMS_AT + unit / VALUE_BLOCKS * 4u * VALUE_BLOCKS + unit % VALUE_BLOCKS;
    arena[at] = dot(o2_0, o2_0);
    arena[at + VALUE_BLOCKS] = dot(o2_1, o2_1);
    arena[at + 2u * VALUE_BLOCKS] = dot(o2_2, o2_2);
    arena[at + 3u * VALUE_BLOCKS] = dot(o2_3, o2_3);
  }
  {
    let unit = thread + 192u;
    let at = ROW_SUMS_AT + unit / VALUE_BLOCKS * 4u * VALUE_BLOCKS + unit % VALUE_BLOCKS;
    arena[at] = dot(o3_0, o3_0);
    arena[at + VALUE_BLOCKS] = dot(o3_1, o3_1);
    arena[at + 2u * VALUE_BLOCKS] = dot(o3_2, o3_2);
    arena[at + 3u * VALUE_BLOCKS] = dot(o3_3, o3_3);
  }
  workgroupBarrier();
  for (var r = thread; r < ROWS; r += WORKGROUP) {
    var total = 0.0;
    for (var i = 0u; i < VALUE_BLOCKS; i++) {
      total += arena[ROW_SUMS_AT + r * VALUE_BLOCKS + i];
    }
    arena[ROW_FACTORS_AT + r] = inverseSqrt(total / f32(VALUE_DIM) + 0.00001);
  }
  workgroupBarrier();
  {
    let unit = thread;
    let r = unit / VALUE_BLOCKS * 4u;
    let weight = four_parameters(OUTPUT_NORM_WEIGHT_AT, unit % VALUE_BLOCKS * 4u);
    o0_0 *= arena[ROW_FACTORS_AT + r] * weight;
    o0_1 *= arena[ROW_FACTORS_AT + r + 1u] * weight;
    o0_2 *= arena[ROW_FACTORS_AT + r + 2u] * weight;
    o0_3 *= arena[ROW_FACTORS_AT + r + 3u] * weight;
  }
  {
    let unit = thread + 64u;
    let r = unit / VALUE_BLOCKS * 4u;
    let weight = four_parameters(OUTPUT_NORM_WEIGHT_AT, unit % VALUE_BLOCKS * 4u);
    o1_0 *= arena[ROW_FACTORS_AT + r] * weight;
    o1_1 *= arena[ROW_FACTORS_AT + r + 1u] * weight;
    o1_2 *= arena[ROW_FACTORS_AT + r + 2u] * weight;
    o1_3 *= arena[ROW_FACTORS_AT + r + 3u] * weight;
  }
  {
    let unit = thread + 128u;
    let r = unit / VALUE_BLOCKS * 4u;
    let weight = four_parameters(OUTPUT_NORM_WEIGHT_AT, unit % VALUE_BLOCKS * 4u);
    o2_0 *= arena[ROW_FACTORS_AT + r] * weight;
    o2_1 *= arena[ROW_FACTORS_AT + r + 1u] * weight;
    o2_2 *= arena[ROW_FACTORS_AT + r + 2u] * weight;
    o2_3 *= arena[ROW_FACTORS_AT + r + 3u] * weight;
  }
  {
    let unit = thread + 192u;
    let r = unit / VALUE_BLOCKS * 4u;
    let weight = four_parameters(OUTPUT_NORM_WEIGHT_AT, unit % VALUE_BLOCKS * 4u);
    o3_0 *= arena[ROW_FACTORS_AT + r] * weight;
    o3_1 *= arena[ROW_FACTORS_AT + r + 1u] * weight;
    o3_2 *= arena[ROW_FACTORS_AT + r + 2u] * weight;
    o3_3 *= arena[ROW_FACTORS_AT + r + 3u] * weight;
  }
  // output.gate (line 11): a sum over each row, then a factor for it.
  workgroupBarrier();
  {
    let unit = thread;
    let at = ROW_SUMS_AT + unit / VALUE_BLOCKS * 4u * VALUE_BLOCKS + unit % VALUE_BLOCKS;
    let weight = four_parameters(OUTPUT_GATE_WEIGHT_AT, unit % VALUE_BLOCKS * 4u);
    arena[at] = dot(o0_0, weight);
    arena[at + VALUE_BLOCKS] = dot(o0_1, weight);
    arena[at + 2u * VALUE_BLOCKS] = dot(o0_2, weight);
    arena[at + 3u * VALUE_BLOCKS] = dot(o0_3, weight);
  }
  {
    let unit = thread + 64u;
    let at = ROW_SUMS_AT + unit / VALUE_BLOCKS * 4u * VALUE_BLOCKS + unit % VALUE_BLOCKS;
    let weight = four_parameters(OUTPUT_GATE_WEIGHT_AT, unit % VALUE_BLOCKS * 4u);
    arena[at] = dot(o1_0, weight);
    arena[at + VALUE_BLOCKS] = dot(o1_1, weight);
    arena[at + 2u * VALUE_BLOCKS] = dot(o1_2, weight);
    arena[at + 3u * VALUE_BLOCKS] = dot(o1_3, weight);
  }
  {
    let unit = thread + 128u;
    let at = ROW_SUMS_AT + unit / VALUE_BLOCKS * 4u * VALUE_BLOCKS + unit % VALUE_BLOCKS;
    let weight = four_parameters(OUTPUT_GATE_WEIGHT_AT, unit % VALUE_BLOCKS * 4u);
    arena[at] = dot(o2_0, weight);
    arena[at + VALUE_BLOCKS] = dot(o2_1, weight);
    arena[at + 2u * VALUE_BLOCKS] = dot(o2_2, weight);
    arena[at + 3u * VALUE_BLOCKS] = dot(o2_3, weight);
  }
  {
    let unit = thread + 192u;
    let at = ROW_SUMS_AT + unit / VALUE_BLOCKS * 4u * VALUE_BLOCKS + unit % VALUE_BLOCKS;
    let weight = four_parameters(OUTPUT_GATE_WEIGHT_AT, unit % VALUE_BLOCKS * 4u);
    arena[at] = dot(o3_0, weight);
    arena[at + VALUE_BLOCKS] = dot(o3_1, weight);
    arena[at + 2u * VALUE_BLOCKS] = dot(o3_2, weight);
    arena[at + 3u * VALUE_BLOCKS] = dot(o3_3, weight);
  }
  workgroupBarrier();
  for (var r = thread; r < ROWS; r += WORKGROUP) {
    var total = 0.0;
    for (var i = 0u; i < VALUE_BLOCKS; i++) {
      total += arena[ROW_SUMS_AT + r * VALUE_BLOCKS + i];
    }
    total += parameter(OUTPUT_GATE_BIAS_AT);
    arena[ROW_FACTORS_AT + r] = 1.0 / (1.0 + exp(clamp(-total, -80.0, 80.0)));
  }
  workgroupBarrier();
  {
    let unit = thread;
    let r = unit / VALUE_BLOCKS * 4u;
    o0_0 *= arena[ROW_FACTORS_AT + r];
    o0_1 *= arena[ROW_FACTORS_AT + r + 1u];
    o0_2 *= arena[ROW_FACTORS_AT + r + 2u];
    o0_3 *= arena[ROW_FACTORS_AT + r + 3u];
  }
  {
    let unit = thread + 64u;
    let r = unit / VALUE_BLOCKS * 4u;
    o1_0 *= arena[ROW_FACTORS_AT + r];
    o1_1 *= arena[ROW_FACTORS_AT + r + 1u];
    o1_2 *= arena[ROW_FACTORS_AT + r + 2u];
    o1_3 *= arena[ROW_FACTORS_AT + r + 3u];
  }
  {
    let unit = thread + 128u;
    let r = unit / VALUE_BLOCKS * 4u;
    o2_0 *= arena[ROW_FACTORS_AT + r];
    o2_1 *= arena[ROW_FACTORS_AT + r + 1u];
    o2_2 *= arena[ROW_FACTORS_AT + r + 2u];
    o2_3 *= arena[ROW_FACTORS_AT + r + 3u];
  }
  {
    let unit = thread + 192u;
    let r = unit / VALUE_BLOCKS * 4u;
    o3_0 *= arena[ROW_FACTORS_AT + r];
    o3_1 *= arena[ROW_FACTORS_AT + r + 1u];
    o3_2 *= arena[ROW_FACTORS_AT + r + 2u];
    o3_3 *= arena[ROW_FACTORS_AT + r + 3u];
  }

  {
    let unit = thread;
    let r = unit / VALUE_BLOCKS * 4u;
    let value = unit % VALUE_BLOCKS * 4u;
    let row = tile_row + i32(r % 32u);
    let element = batch.index * launch.o_stride_b + (first_head + r / 32u) * launch.o_stride_h
      + u32(row) * launch.o_stride_l + value;
    if (row < launch.row_end) {
      store_o(element, o0_0, VALUE_DIM - value);
    }
    if (row + 1 < launch.row_end) {
      store_o(element + launch.o_stride_l, o0_1, VALUE_DIM - value);
    }
    if (row + 2 < launch.row_end) {
      store_o(element + 2u * launch.o_stride_l, o0_2, VALUE_DIM - value);
    }
    if (row + 3 < launch.row_end) {
      store_o(element + 3u * launch.o_stride_l, o0_3, VALUE_DIM - value);
    }
  }
  {
    let unit = thread + 64u;
    let r = unit / VALUE_BLOCKS * 4u;
    let value = unit % VALUE_BLOCKS * 4u;
    let row = tile_row + i32(r % 32u);
    let element = batch.index * launch.o_stride_b + (first_head + r / 32u) * launch.o_stride_h
      + u32(row) * launch.o_stride_l + value;
    if (row < launch.row_end) {
      store_o(element, o1_0, VALUE_DIM - value);
    }
    if (row + 1 < launch.row_end) {
      store_o(element + launch.o_stride_l, o1_1, VALUE_DIM - value);
    }
    if (row + 2 < launch.row_end) {
      store_o(element + 2u * launch.o_stride_l, o1_2, VALUE_DIM - value);
    }
    if (row + 3 < launch.row_end) {
      store_o(element + 3u * launch.o_stride_l, o1_3, VALUE_DIM - value);
    }
  }
  {
    let unit = thread + 128u;
    let r = unit / VALUE_BLOCKS * 4u;
    let value = unit % VALUE_BLOCKS * 4u;
    let row = tile_row + i32(r % 32u);
    let element = batch.index * launch.o_stride_b + (first_head + r / 32u) * launch.o_stride_h
      + u32(row) * launch.o_stride_l + value;
    if (row < launch.row_end) {
      store_o(element, o2_0, VALUE_DIM - value);
    }
    if (row + 1 < launch.row_end) {
      store_o(element + launch.o_stride_l, o2_1, VALUE_DIM - value);
    }
    if (row + 2 < launch.row_end) {
      store_o(element + 2u * launch.o_stride_l, o2_2, VALUE_DIM - value);
    }
    if (row + 3 < launch.row_end) {
      store_o(element + 3u * launch.o_stride_l, o2_3, VALUE_DIM - value);
    }
  }
  {
    let unit = thread + 192u;
    let r = unit / VALUE_BLOCKS * 4u;
    let value = unit % VALUE_BLOCKS * 4u;
    let row = tile_row + i32(r % 32u);
    let element = batch.index * launch.o_stride_b + (first_head + r / 32u) * launch.o_stride_h
      + u32(row) * launch.o_stride_l + value;
    if (row < launch.row_end) {
      store_o(element, o3_0, VALUE_DIM - value);
    }
    if (row + 1 < launch.row_end) {
      store_o(element + launch.o_stride_l, o3_1, VALUE_DIM - value);
    }
    if (row + 2 < launch.row_end) {
      store_o(element + 2u * launch.o_stride_l, o3_2, VALUE_DIM - value);
    }
    if (row + 3 < launch.row_end) {
      store_o(element + 3u * launch.o_stride_l, o3_3, VALUE_DIM - value);
    }
  }
}
