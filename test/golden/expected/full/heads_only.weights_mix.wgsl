// heads_only: weights_mix (full.mta:16)
//
// weights.mix (line 16), mix 4, from one map of the strip to the other.
// 64 invocations.
//
// spec: heads 4, head_dim 32, value_dim 32, mask causal, storage f16-native
// plan: staged, tile_q 32, tile_k 32, product_tile_q 32, product_workgroup 64, strip_rows 64
// Made by mtac: change the spec and compile it again, not this file.

enable f16;

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

const HEADS = 4;
/// Invocations of a workgroup.
const THREADS = 64;
/// Rows of a workgroup's tile.
const TILE_Q = 8;
/// Keys of a workgroup's tile.
const TILE_K = 32;
/// Heads that a workgroup writes.
const OUTPUTS = 4;
/// Heads that are mixed.
const WEIGHTS_MIX_GROUP = 4;
/// weights.mix.weight in parameters.
const WEIGHTS_MIX_WEIGHT_AT = 16;

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

/// Four entries of a row: 0 where not visible.
fn finish_weights_mix(value: vec4f, seen: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), value, seen);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let batch = open_batch(launch.batch + group.z / (HEADS / OUTPUTS));
  // The first of the heads that this workgroup writes, and the first of the group that it reads.
  let first_head = group.z % (HEADS / OUTPUTS) * OUTPUTS;
  let group_head = first_head - first_head % WEIGHTS_MIX_GROUP;
  let row = launch.row_begin + i32(group.y * TILE_Q + thread / (TILE_K / 4));
  let key = launch.key_begin + i32(group.x * TILE_K + thread % (TILE_K / 4) * 4u);
  if (row >= launch.row_end) {
    return;
  }
  let entry = (u32(row - launch.strip_row) * launch.map_row_stride + u32(key)) / 4u;
  let line = launch.map_head_stride / 4u;
  let maps = group.z / (HEADS / OUTPUTS) * HEADS;
  var y0 = vec4f();
  var y1 = vec4f();
  var y2 = vec4f();
  var y3 = vec4f();
  let range = key_range(batch, row);
  if ((key < range.y) & (key + 4 > range.x)) {
    let weight = WEIGHTS_MIX_WEIGHT_AT + first_head * WEIGHTS_MIX_GROUP;
    for (var n = 0u; n < WEIGHTS_MIX_GROUP; n++) {
      let x = source[(maps + group_head + n) * line + entry];
      y0 += parameter(weight + n) * x;
      y1 += parameter(weight + 1 * WEIGHTS_MIX_GROUP + n) * x;
      y2 += parameter(weight + 2 * WEIGHTS_MIX_GROUP + n) * x;
      y3 += parameter(weight + 3 * WEIGHTS_MIX_GROUP + n) * x;
    }
  }
  let to = (maps + first_head) * line + entry;
  // Which of the four keys the row sees: the same for all heads.
  let seen = visible(batch, row, key);
  result[to] = finish_weights_mix(y0, seen);
  result[to + 1 * line] = finish_weights_mix(y1, seen);
  result[to + 2 * line] = finish_weights_mix(y2, seen);
  result[to + 3 * line] = finish_weights_mix(y3, seen);
}
