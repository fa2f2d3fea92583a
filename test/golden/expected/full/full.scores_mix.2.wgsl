// full: scores_mix (full.mta:9)
//
// scores.mix (line 9), mix 4, from one map of the strip to the other.
//
// spec: heads 4, head_dim 32, value_dim 32, mask causal, storage f16-packed
// plan: staged, tile_q 16, tile_k 32, product_tile_q 32, product_workgroup 64, strip_rows 256; this kernel: 64 invocations, 0 bytes of workgroup memory
// Made by mtac: change the spec and compile it again, not this file.

/// The call and this dispatch; the launcher fills it in. Strides count elements.
struct Launch {
  query_rows: i32,
  key_rows: i32,
  history_rows: i32,
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
@group(0) @binding(1) var<storage, read> source: array<vec4f>;
@group(0) @binding(2) var<storage, read> parameters: array<u32>;
@group(0) @binding(3) var<storage, read_write> result: array<vec4f>;

/// Invocations of a workgroup.
const WORKGROUP = 64u;
const HEADS = 4u;
/// scores.mix.weight in parameters.
const SCORES_MIX_WEIGHT_AT = 264u;
/// Heads that are mixed.
const GROUP = 4u;

fn parameter(index: u32) -> f32 {
  return bitcast<f32>(parameters[index]);
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
fn key_range(batch: Batch, first: i32, last: i32) -> vec2i {
  var low = 0;
  var high = batch.keys;
  high = min(high, batch.first_position + last + 1);
  return select(vec2i(0), vec2i(low, high), low < high);
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

/// Four entries of a row: 0 where not visible.
fn finish_scores_mix(batch: Batch, value: vec4f, seen: vec4<bool>, head: u32, row: i32, key: i32) -> vec4f {
  return select(vec4f(0.0), value, seen);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let batch = open_batch(launch.batch + group.z / 1u);
  // The first of the 4u heads that this workgroup writes, and the first of the GROUP that it reads.
  let head = group.z % 1u * 4u;
  let group_head = head - head % GROUP;
  let row = launch.row_begin + i32(group.y * 8u + thread / 8u);
  let key = launch.key_begin + i32((group.x * 8u + thread % 8u) * 4u);
  if (row >= launch.row_end) {
    return;
  }
  let entry = (u32(row - launch.strip_row) * launch.map_row_stride + u32(key)) / 4u;
  let line = launch.map_head_stride / 4u;
  let maps = group.z / 1u * HEADS;
  var y0 = vec4f();
  var y1 = vec4f();
  var y2 = vec4f();
  var y3 = vec4f();
  let range = key_range(batch, row, row);
  if ((key < range.y) & (key + 4 > range.x)) {
    let weight = SCORES_MIX_WEIGHT_AT + head * GROUP;
    for (var n = 0u; n < GROUP; n++) {
      let x = source[(maps + group_head + n) * line + entry];
      y0 += parameter(weight + n) * x;
      y1 += parameter(weight + n + 4u) * x;
      y2 += parameter(weight + n + 8u) * x;
      y3 += parameter(weight + n + 12u) * x;
    }
  }
  let seen = visible(batch, head, row, key);
  result[(maps + head) * line + entry] = finish_scores_mix(batch, y0, seen, head, row, key);
  result[(maps + head + 1u) * line + entry] = finish_scores_mix(batch, y1, seen, head + 1u, row, key);
  result[(maps + head + 2u) * line + entry] = finish_scores_mix(batch, y2, seen, head + 2u, row, key);
  result[(maps + head + 3u) * line + entry] = finish_scores_mix(batch, y3, seen, head + 3u, row, key);
}
