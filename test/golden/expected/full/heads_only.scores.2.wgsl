// heads_only: scores (full.mta:14)
//
// Scores of a strip of query rows: map[head][row][key] = scale * q . k where visible, else 0.
// 64 invocations.
//
// spec: heads 4, head_dim 32, value_dim 32, mask causal, storage f16-packed
// plan: staged, tile_q 32, tile_k 32, product_tile_q 32, product_workgroup 64, strip_rows 64
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
@group(0) @binding(1) var<storage, read> q: array<vec2u>;
@group(0) @binding(2) var<storage, read> q_history: array<vec2u>;
@group(0) @binding(3) var<storage, read> k: array<vec2u>;
@group(0) @binding(4) var<storage, read> parameters: array<u32>;
@group(0) @binding(5) var<storage, read_write> result: array<vec4f>;

/// Whether the call gives query rows before row 0 (a pipeline per value: without history its loads vanish).
override HISTORY: bool = false;

const HEADS = 4;
/// Consecutive query heads that share a key/value head.
const HEADS_PER_KEY = 1;
const HEAD_DIM = 32;
const SCALE = 0.17677669529663687;
/// Invocations of a workgroup.
const THREADS = 64;
/// Rows of a workgroup's tile.
const TILE_Q = 32;
/// Keys of a workgroup's tile.
const TILE_K = 32;

/// The two elements of a word, the even one in the low half.
fn unpack(word: u32) -> vec2f {
  return unpack2x16float(word);
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

/// Four entries of a row: 0 where not visible.
fn finish_scores(value: vec4f, seen: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), value, seen);
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

/// Clears four rows by four keys of the map: later stages read zeros around what is visible.
fn clear_map(at: u32, row: i32) {
  for (var i = 0u; i < u32(clamp(launch.row_end - row, 0, 4)); i++) {
    result[at + i * launch.map_row_stride / 4u] = vec4f();
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
    var block = mat4x4f();
    if (any_seen(seen) & (row < launch.row_end)) {
      block = dot_block(batch, head, row, key);
    }
    let line = launch.map_row_stride / 4u;
    if (row < launch.row_end) {
      result[at] = finish_scores(block[0], seen[0]);
    }
    if (row + 1 < launch.row_end) {
      result[at + line] = finish_scores(block[1], seen[1]);
    }
    if (row + 2 < launch.row_end) {
      result[at + 2u * line] = finish_scores(block[2], seen[2]);
    }
    if (row + 3 < launch.row_end) {
      result[at + 3u * line] = finish_scores(block[3], seen[3]);
    }
  } else {
    clear_map(at, row);
  }
}
