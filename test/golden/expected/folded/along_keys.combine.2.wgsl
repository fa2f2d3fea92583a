// along_keys: combine (folded.mta:3)
//
// Adds up what workgroups have found that share the keys of few rows.
// 64 invocations.
//
// spec: heads 4, head_dim 64, value_dim 64, mask causal, storage f16-packed
// plan: single_pass, tile_q 32, tile_k 64, workgroup 64
// Made by mtac: change the spec and compile it again, not this file.

/// The call and this dispatch; the launcher fills it in. Strides count elements.
struct Launch {
  query_rows: i32,
  key_rows: i32,
  o_stride_b: u32,
  o_stride_h: u32,
  o_stride_l: u32,
  has_positions: u32,
  positions_at: u32,
  batch: u32,
  row_begin: i32,
  row_end: i32,
  parts: u32,
}

@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> partial_results: array<f32>;
@group(0) @binding(2) var<storage, read> parameters: array<u32>;
@group(0) @binding(3) var<storage, read_write> o: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> lse: array<u32>;

const HEADS = 4;
const VALUE_DIM = 64;
/// Invocations of a workgroup.
const THREADS = 64;
/// Rows of a workgroup.
const TILE_Q = 4;
/// Words of a part of a row: values, maximum, sum.
const PART_WORDS = 66;
/// Blocks of four that cover a row of values.
const VALUE_BLOCKS = 16;
/// Blocks of four rows by four values of a workgroup's results.
const OUTPUT_BLOCKS = 16;
/// Score of a pair that is not visible: the lowest, since WGSL constants may not be infinite. No visible one has it.
const HIDDEN = -3.40282346e38;
/// Bits of -infinity: the log-sum-exp of an empty row.
const EMPTY_BITS = 0xff800000u;

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

/// Where a part of a row's results lies: `line` counts the heads of all batch entries.
fn part_at(line: u32, part: u32, row: i32) -> u32 {
  return ((line * launch.parts + part) * u32(launch.query_rows) + u32(row)) * PART_WORDS;
}

/// The first of the four rows, over all heads, and of the four values of a block of results.
fn row_of(unit: u32) -> u32 {
  return unit / VALUE_BLOCKS * 4u;
}

fn value_of(unit: u32) -> u32 {
  return unit % VALUE_BLOCKS * 4u;
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
  let end = select(row, launch.row_end, unit < OUTPUT_BLOCKS);
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

/// A row of all parts: its maximum, and its sum relative to that.
fn row_statistic(line: u32, row: i32) -> vec2f {
  var highest = HIDDEN;
  for (var part = 0u; part < launch.parts; part++) {
    highest = max(highest, partial_results[part_at(line, part, row) + VALUE_DIM]);
  }
  var total = 0.0;
  for (var part = 0u; part < launch.parts; part++) {
    let at = part_at(line, part, row) + VALUE_DIM;
    total += exp(partial_results[at] - highest) * partial_results[at + 1u];
  }
  return vec2f(highest, total);
}

/// A block of results: what the parts hold, brought to the rows' maxima and divided by their sums.
fn combined_of(line: u32, tile_row: i32, unit: u32) -> mat4x4f {
  let row = tile_row + i32(row_of(unit));
  let value = value_of(unit);
  var block = mat4x4f();
  if (unit >= OUTPUT_BLOCKS) {
    return block;
  }
  for (var i = 0; i < min(4, launch.row_end - row); i++) {
    let statistic = row_statistic(line, row + i);
    // A row that sees no key: weight zero.
    let inverse = select(0.0, 1.0 / statistic.y, statistic.y > 0.0);
    for (var part = 0u; part < launch.parts; part++) {
      let at = part_at(line, part, row + i);
      let factor = inverse * exp(partial_results[at + VALUE_DIM] - statistic.x);
      for (var c = 0u; c < min(4u, VALUE_DIM - value); c++) {
        block[i][c] += factor * partial_results[at + value + c];
      }
    }
  }
  return block;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let batch = open_batch(launch.batch + group.z);
  let first_head = group.y;
  let line = batch.index * HEADS + first_head;
  let tile_row = launch.row_begin + i32(group.x) * TILE_Q;
  for (var row = tile_row + i32(thread); row < min(tile_row + TILE_Q, launch.row_end); row += THREADS) {
    let statistic = row_statistic(line, row);
    let bits = bitcast<u32>(statistic.x + log(statistic.y));
    lse[line * u32(launch.query_rows) + u32(row)] = select(EMPTY_BITS, bits, statistic.y > 0.0);
  }
  var o0 = combined_of(line, tile_row, thread);
  store_block(o0, batch, first_head, tile_row, thread);
}
