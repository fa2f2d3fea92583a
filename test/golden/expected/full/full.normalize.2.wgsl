// full: normalize (full.mta:3)
//
// Softmax of the strip's rows, in place, and their log-sum-exp.
// 64 invocations, 512 bytes of workgroup memory.
//
// spec: heads 4, head_dim 32, value_dim 32, mask causal, storage f16-packed
// plan: staged, tile_q 16, tile_k 32, product_tile_q 32, product_workgroup 64, strip_rows 256
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
@group(0) @binding(1) var<storage, read> parameters: array<u32>;
@group(0) @binding(2) var<storage, read_write> map: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> lse: array<u32>;

const HEADS = 4;
/// Invocations of a workgroup.
const THREADS = 64;
/// Neighbouring invocations that share a row.
const TEAM = 8;
/// Words of workgroup memory.
const ARENA_WORDS = 128;
/// Score of a pair that is not visible: the lowest, since WGSL constants may not be infinite. No visible one has it.
const HIDDEN = -3.40282346e38;
/// Bits of -infinity: the log-sum-exp of an empty row.
const EMPTY_BITS = 0xff800000u;

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

/// Which of the keys key .. key + 3 are visible from `row`.
fn visible(batch: Batch, row: i32, key: i32) -> vec4<bool> {
  let keys = vec4i(key) + vec4i(0, 1, 2, 3);
  let position = batch.first_position + row;
  var seen = (keys >= vec4i(0)) & (keys < vec4i(batch.keys))
    & vec4<bool>((row >= -launch.history_rows) & (row < launch.query_rows));
  seen = seen & (keys <= vec4i(position));
  return seen;
}

fn sum_of(four: vec4f) -> f32 {
  return dot(four, vec4f(1.0));
}

/// Rows of one head, each shared by TEAM neighbouring invocations, are normalised in place.
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let batch = open_batch(launch.batch + group.z / HEADS);
  let head = group.z % HEADS;
  let lane = i32(thread % TEAM) * 4;
  let first = thread - thread % TEAM;
  // Rows past the end go along without keys: all invocations meet at the barriers.
  let row = launch.row_begin + i32(group.x * (THREADS / TEAM) + thread / TEAM);
  let exists = row < launch.row_end;
  let line = (group.z * launch.map_head_stride + u32(row - launch.strip_row) * launch.map_row_stride) / 4u;
  let range = select(vec2i(0), key_range(batch, row), exists);
  // Whole groups of four keys that hold all the row sees.
  let begin = max(range.x / 4 * 4, launch.key_begin);
  let end = min(range.y, launch.key_end);

  var highest = HIDDEN;
  for (var key = begin + lane; key < end; key += 4 * TEAM) {
    let at = line + u32(key) / 4u;
    let score = select(vec4f(HIDDEN), map[at], visible(batch, row, key));
    highest = max(highest, max(max(score.x, score.y), max(score.z, score.w)));
  }
  arena[thread] = highest;
  workgroupBarrier();
  for (var i = 0u; i < TEAM; i++) {
    highest = max(highest, arena[first + i]);
  }

  // Unnormalised weights and their sum. The barrier above also parts the row's reads from these writes.
  var sum = 0.0;
  for (var key = begin + lane; key < end; key += 4 * TEAM) {
    let at = line + u32(key) / 4u;
    let weight = select(vec4f(0.0), exp(map[at] - vec4f(highest)), visible(batch, row, key));
    sum += sum_of(weight);
    map[at] = weight;
  }
  arena[THREADS + thread] = sum;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < TEAM; i++) {
    total += arena[THREADS + first + i];
  }
  // A row that sees no key has no weights, and the log-sum-exp of nothing.
  let factor = select(0.0, 1.0 / total, total > 0.0);
  if ((lane == 0) & exists & (row >= 0)) {
    lse[(batch.index * HEADS + head) * u32(launch.query_rows) + u32(row)] =
      select(EMPTY_BITS, bitcast<u32>(highest + log(total)), total > 0.0);
  }

  // The weights; 0 wherever the strip's other rows see more than this one.
  if (exists) {
    for (var key = launch.key_begin + lane; key < launch.key_end; key += 4 * TEAM) {
      let at = line + u32(key) / 4u;
      var weight = vec4f();
      if ((key >= begin) & (key < end)) {
        weight = factor * map[at];
      }
      map[at] = weight;
    }
  }
}
