// toy: scores_conv (toy.mta:8)
//
// scores.conv (line 8), conv 2x9, from one map of the strip to the other.
// 32 invocations, 2720 bytes of workgroup memory.
//
// spec: heads 2, head_dim 128, value_dim 128, mask causal, storage f32
// plan: staged, tile_q 16, tile_k 32, product_tile_q 8, product_workgroup 64, strip_rows 256
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
  key_end: i32,
  map_row_stride: u32,
  map_head_stride: u32,
}

@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read> parameters: array<u32>;
@group(0) @binding(3) var<storage, read_write> result: array<vec4f>;

const HEADS = 2;
/// Invocations of a workgroup.
const THREADS = 32;
/// Rows of a workgroup's tile.
const TILE_Q = 16;
/// Keys of a workgroup's tile.
const TILE_K = 32;
/// Rows before the tile that the taps read.
const REACH_PAST = 1;
/// Words of workgroup memory.
const ARENA_WORDS = 680;
/// Rows of the tile with what is around it.
const HALO_ROWS = 17;
/// Keys of the tile with what is around it.
const HALO_COLUMNS = 40;
/// Keys left of the tile that are held with it.
const HALO_LEFT = 4;
/// Words between two rows that are held.
const HALO_ROW_STRIDE = 40;
/// Rows of the kernel.
const SCORES_CONV_QUERY = 2;
/// Keys of the kernel.
const SCORES_CONV_KEY = 9;
/// scores.conv.weight in parameters.
const SCORES_CONV_WEIGHT_AT = 0;
/// Rows from one row of taps to the next.
const SCORES_CONV_DILATION_QUERY = 1;

fn parameter(index: u32) -> f32 {
  return bitcast<f32>(parameters[index]);
}

/// All of the workgroup's memory; never assumed to be zero.
var<workgroup> arena: array<f32, ARENA_WORDS>;

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

/// Four entries of a row: 0 where not visible.
fn finish_scores_conv(value: vec4f, seen: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), value, seen);
}

/// First word of the kernel with which `head` reads its own entries.
fn scores_conv_kernel(head: u32) -> u32 {
  return SCORES_CONV_WEIGHT_AT + head * (SCORES_CONV_QUERY * SCORES_CONV_KEY);
}

/// scores.conv (line 8), conv 2x9 (reads 1 row before, 4 keys left, 4 keys right):
/// what one head contributes to four rows by four keys. `at` is the arena word of the first tap's entry for the first
/// of them, `kernel` that head's weights.
fn scores_conv(kernel: u32, at: u32) -> mat4x4f {
  var y0 = vec4f();
  var y1 = vec4f();
  var y2 = vec4f();
  var y3 = vec4f();
  for (var a = 0u; a < SCORES_CONV_QUERY; a++) {
    let at0 = at + a * (SCORES_CONV_DILATION_QUERY * HALO_ROW_STRIDE);
    let at1 = at0 + HALO_ROW_STRIDE;
    let at2 = at1 + HALO_ROW_STRIDE;
    let at3 = at2 + HALO_ROW_STRIDE;
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

/// Clears four rows by four keys of the map: later stages read zeros around what is visible.
fn clear_map(at: u32, row: i32) {
  for (var i = 0u; i < u32(clamp(launch.row_end - row, 0, 4)); i++) {
    result[at + i * launch.map_row_stride / 4u] = vec4f();
  }
}

/// An entry of the map; 0 outside the rows and keys that the strip holds.
fn map_entry(map: u32, row: i32, key: i32) -> f32 {
  var entry = 0.0;
  if ((row >= max(-launch.history_rows, launch.strip_row)) & (row < launch.query_rows)
      & (key >= launch.key_begin) & (key < launch.key_end)) {
    entry = source[map + u32(row - launch.strip_row) * launch.map_row_stride + u32(key)];
  }
  return entry;
}

/// A head's tile and the rows and keys around it, from its map.
fn load_tile(map: u32, tile_row: i32, tile_key: i32, thread: u32) {
  let first_row = tile_row - REACH_PAST;
  let first_key = tile_key - HALO_LEFT;
  for (var i = thread; i < HALO_ROWS * HALO_COLUMNS; i += THREADS) {
    arena[i] = map_entry(map, first_row + i32(i / HALO_COLUMNS), first_key + i32(i % HALO_COLUMNS));
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let batch = open_batch(launch.batch + group.z / HEADS);
  let head = group.z % HEADS;
  let tile_row = launch.row_begin + i32(group.y) * TILE_Q;
  let tile_key = launch.key_begin + i32(group.x) * TILE_K;
  let map = group.z * launch.map_head_stride;
  // A tile that nobody sees is cleared.
  let range = key_range(batch, min(tile_row + TILE_Q, launch.row_end) - 1);
  let alive = (tile_key < range.y) & (tile_key + TILE_K > range.x);
  let inside = interior(batch, tile_row, TILE_Q, tile_key, TILE_K);
  // One block of four rows by four keys an invocation.
  let r = thread / (TILE_K / 4) * 4u;
  let column = thread % (TILE_K / 4) * 4u;
  let row = tile_row + i32(r);
  let key = tile_key + i32(column);
  let at = (map + u32(row - launch.strip_row) * launch.map_row_stride + u32(key)) / 4u;
  if (alive) {
    var seen = see(batch, row, key, inside);
    let works = any_seen(seen) & (row < launch.row_end);
    var block = mat4x4f();
    load_tile(map, tile_row, tile_key, thread);
    workgroupBarrier();
    if (works) {
      block = scores_conv(scores_conv_kernel(head), r * HALO_ROW_STRIDE + column);
    }
    let line = launch.map_row_stride / 4u;
    if (row < launch.row_end) {
      result[at] = finish_scores_conv(block[0], seen[0]);
    }
    if (row + 1 < launch.row_end) {
      result[at + line] = finish_scores_conv(block[1], seen[1]);
    }
    if (row + 2 < launch.row_end) {
      result[at + 2u * line] = finish_scores_conv(block[2], seen[2]);
    }
    if (row + 3 < launch.row_end) {
      result[at + 3u * line] = finish_scores_conv(block[3], seen[3]);
    }
  } else {
    clear_map(at, row);
  }
}
