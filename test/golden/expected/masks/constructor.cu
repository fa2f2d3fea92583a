// constructor (masks.mta:14): kernels of the schedule staged.
//
// spec: heads 3, head_dim 7, value_dim 7, mask none, storage f32
// plan: staged, lowering direct, tile_q 32, tile_k 64, product_tile_q 16, product_workgroup 128, strip_rows 512
// Made by mtac: change the spec and compile it again, not this file.
//
// Needs nothing but the CUDA toolkit; no headers for the kernels, so that NVRTC compiles them too.

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "mtac's kernels need sm_80 or newer: nvcc -arch=sm_80, or set(CMAKE_CUDA_ARCHITECTURES 80) before project()"
#endif

namespace mtac_constructor {

/// The call and this dispatch; the launcher fills it in. Strides count elements.
struct Launch {
  int query_rows;
  int key_rows;
  int history_rows;
  unsigned q_stride_b;
  unsigned q_stride_h;
  unsigned q_stride_l;
  unsigned q_history_stride_b;
  unsigned q_history_stride_h;
  unsigned q_history_stride_l;
  unsigned k_stride_b;
  unsigned k_stride_h;
  unsigned k_stride_l;
  unsigned v_stride_b;
  unsigned v_stride_h;
  unsigned v_stride_l;
  unsigned o_stride_b;
  unsigned o_stride_h;
  unsigned o_stride_l;
  unsigned has_positions;
  unsigned batch;
  int row_begin;
  int row_end;
  int strip_row;
  int key_begin;
  int key_end;
  unsigned map_row_stride;
  unsigned map_head_stride;
};

constexpr int HEADS = 3;
/// Consecutive query heads that share a key/value head.
constexpr int HEADS_PER_KEY = 1;
constexpr int HEAD_DIM = 7;
constexpr int VALUE_DIM = 7;
/// Elements of a load: rows are aligned to them.
constexpr int HEAD_WIDTH = 1;
constexpr int VALUE_WIDTH = 1;
constexpr float SCALE = 0.3779644730092272f;
/// Score of a pair that is not visible: finite so that differences of two are 0. No visible one has it.
constexpr float HIDDEN = -3.40282346e38f;

// No constant expression for infinity is known to NVRTC and to host compilers alike: this is CUDA's own, of
// math_constants.h.
#define INFINITE __int_as_float(0x7f800000)

/// Positions beyond it count as this one: no key is there, and what windows and kernels add stays within 32 bits.
constexpr int LARGEST_POSITION = 0x7dffffff;

/// One batch entry: where its rows stand, how many of its keys are filled, and what hides pairs of them.
struct Batch {
  const Launch& launch;
  unsigned index;
  /// Absolute position of row 0.
  int first_position;
  int keys;
};

/// The block's batch entry.
__device__ __forceinline__ Batch open_batch(const Launch& launch, const int* positions) {
  const unsigned index = launch.batch + blockIdx.z;
  const int last_meets_last = launch.key_rows - launch.query_rows;
  const int first_position =
    launch.has_positions != 0u ? min(positions[index], LARGEST_POSITION - launch.query_rows) : last_meets_last;
  const int keys = launch.key_rows;
  return {launch, index, first_position, keys};
}

/// Keys [x, y) outside of which rows `first` to `last` see nothing; [0, 0) where they see nothing at all.
__device__ __forceinline__ int2 key_range(const Batch& batch) {
  const int low = 0;
  const int high = batch.keys;
  return low < high ? make_int2(low, high) : make_int2(0, 0);
}

/// Whether all rows [row, row + rows) exist and see all keys [key, key + keys): there nothing needs testing.
__device__ __forceinline__ bool interior(const Batch& batch, int row, int rows, int key, int keys) {
  return row >= -batch.launch.history_rows && row + rows <= batch.launch.query_rows && key >= 0
    && key + keys <= batch.keys;
}

/// Whether a row sees a key. Rows and keys that do not exist see nothing and are not seen.
__device__ __forceinline__ bool visible(const Batch& batch, int row, int key) {
  bool seen = row >= -batch.launch.history_rows && row < batch.launch.query_rows && key >= 0 && key < batch.keys;
  return seen;
}

/// An element of q, k, v and o.
using Element = float;

/// Where a query row lies, in the history where it is before row 0.
__device__ __forceinline__ const Element* query_row(const Batch& batch, const Element* q, const Element* q_history,
    unsigned head, int row) {
  const Launch& launch = batch.launch;
  if (row < 0) {
    return q_history + size_t(batch.index) * launch.q_history_stride_b + size_t(head) * launch.q_history_stride_h
      + size_t(row + launch.history_rows) * launch.q_history_stride_l;
  }
  return q + size_t(batch.index) * launch.q_stride_b + size_t(head) * launch.q_stride_h
    + size_t(row) * launch.q_stride_l;
}

/// The first of the keys, and of the values, that a head reads.
__device__ __forceinline__ const Element* keys_of(const Batch& batch, const Element* k, unsigned head) {
  return k + size_t(batch.index) * batch.launch.k_stride_b + size_t(head / HEADS_PER_KEY) * batch.launch.k_stride_h;
}

__device__ __forceinline__ const Element* values_of(const Batch& batch, const Element* v, unsigned head) {
  return v + size_t(batch.index) * batch.launch.v_stride_b + size_t(head / HEADS_PER_KEY) * batch.launch.v_stride_h;
}

/// A row of the results.
__device__ __forceinline__ Element* result_row(const Launch& launch, Element* o, unsigned batch, unsigned head,
    int row) {
  return o + size_t(batch) * launch.o_stride_b + size_t(head) * launch.o_stride_h + size_t(row) * launch.o_stride_l;
}

/// A row of a head's map in this strip.
template <typename Entry>
__device__ __forceinline__ Entry* map_row(Entry* map, const Launch& launch, unsigned head, int row) {
  return map + size_t(blockIdx.z * HEADS + head) * launch.map_head_stride
    + size_t(row - launch.strip_row) * launch.map_row_stride;
}

/// Loads and stores of whole units: 4, 8 or 16 bytes.
template <typename Unit>
__device__ __forceinline__ void store(void* to, Unit value) {
  *static_cast<Unit*>(to) = value;
}

template <typename Unit>
__device__ __forceinline__ Unit load_as(const void* from) {
  return *static_cast<const Unit*>(from);
}

/// Sum of a value over LANES neighbouring lanes, and the largest of them; all lanes of a warp take part.
template <int LANES>
__device__ __forceinline__ float lanes_sum(float value) {
#pragma unroll
  for (int i = 1; i < LANES; i *= 2) value += __shfl_xor_sync(~0u, value, i);
  return value;
}

template <int LANES>
__device__ __forceinline__ float lanes_max(float value) {
#pragma unroll
  for (int i = 1; i < LANES; i *= 2) value = fmaxf(value, __shfl_xor_sync(~0u, value, i));
  return value;
}

__device__ __forceinline__ float value_of(Element element) {
  return element;
}

__device__ __forceinline__ Element element_of(float value) {
  return value;
}

/// Elements that one load takes.
template <int WIDTH>
struct __align__(WIDTH * sizeof(Element)) Unit {
  Element elements[WIDTH];
};

/// Four elements of a row of SIZE from `first` on, zeros past its end; rows are aligned to WIDTH elements.
template <int SIZE, int WIDTH>
__device__ __forceinline__ float4 load_row(const Element* row, int first) {
  float x[4] = {};
#pragma unroll
  for (int i = 0; i < 4; i += WIDTH) {
    if (SIZE % 4 != 0 && i >= SIZE % 4 && first + 4 > SIZE) continue;
    const Unit<WIDTH> unit = load_as<Unit<WIDTH>>(row + first + i);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) x[i + j] = value_of(unit.elements[j]);
  }
  return make_float4(x[0], x[1], x[2], x[3]);
}

/// Four values of four keys. Keys that do not exist repeat their neighbours; nobody sees them.
__device__ __forceinline__ void load_values(float4 (&x)[4], const Batch& batch, const Element* v, unsigned head,
    int key, int first) {
  const Element* const values = values_of(batch, v, head);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int known = max(0, min(key + i, batch.launch.key_rows - 1));
    x[i] = load_row<VALUE_DIM, VALUE_WIDTH>(values + size_t(known) * batch.launch.v_stride_l, first);
  }
}

/// Stores four values of a row of results from `first` on, as far as the row goes.
__device__ __forceinline__ void store_results(Element* row, int first, const float (&x)[4]) {
#pragma unroll
  for (int i = 0; i < 4; i += VALUE_WIDTH) {
    if (VALUE_DIM % 4 != 0 && i >= VALUE_DIM % 4 && first + 4 > VALUE_DIM) continue;
    Unit<VALUE_WIDTH> unit;
#pragma unroll
    for (int j = 0; j < VALUE_WIDTH; j++) unit.elements[j] = element_of(x[i + j]);
    store(row + first + i, unit);
  }
}

/// Four neighbouring words at a 16-byte boundary.
__device__ __forceinline__ void read_four(float (&x)[4], const float* from) {
  const float4 four = load_as<float4>(from);
  x[0] = four.x;
  x[1] = four.y;
  x[2] = four.z;
  x[3] = four.w;
}

__device__ __forceinline__ void write_four(float* to, const float (&x)[4]) {
  store(to, make_float4(x[0], x[1], x[2], x[3]));
}

/// Calls `apply` with each of four rows by four entries.
template <typename Apply>
__device__ __forceinline__ void each_entry(float (&block)[4][4], const Apply& apply) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) apply(block[i][j], i, j);
  }
}

/// Which of the keys key .. key + 3 a row sees: bit j for key j.
__device__ __forceinline__ unsigned see_four(const Batch& batch, int row, int key, bool inside) {
  if (inside) return 15u;
  unsigned seen = 0u;
#pragma unroll
  for (int j = 0; j < 4; j++) {
    if (visible(batch, row, key + j)) seen |= 1u << j;
  }
  return seen;
}

/// The same for rows row .. row + 3: bit 4 i + j for row i and key j.
__device__ __forceinline__ unsigned see(const Batch& batch, int row, int key, bool inside) {
  if (inside) return 0xffffu;
  unsigned seen = 0u;
#pragma unroll
  for (int i = 0; i < 4; i++) seen |= see_four(batch, row + i, key, false) << 4 * i;
  return seen;
}

/// The same where it is hardly ever asked, in a loop over keys: the compiler must not think that what it needs of the
/// rows is worth a register each over the whole loop.
__device__ __forceinline__ unsigned see_rarely(const Batch& batch, int row, int key) {
  asm volatile("" : "+r"(row));
  return see(batch, row, key, false);
}

/// Adds four rows of four channels times four others.
__device__ __forceinline__ void add_dots(float (&block)[4][4], const float4 (&x)[4], const float4 (&y)[4]) {
  each_entry(block, [&](float& entry, int i, int j) {
    entry = fmaf(x[i].x, y[j].x, fmaf(x[i].y, y[j].y, fmaf(x[i].z, y[j].z, fmaf(x[i].w, y[j].w, entry))));
  });
}

/// A cleared block becomes query rows row .. row + 3 times keys key .. key + 3, scaled; rows and keys that do not exist
/// repeat their neighbours.
__device__ __forceinline__ void dot_block(float (&block)[4][4], const Batch& batch, const Element* q,
    const Element* q_history, const Element* k, unsigned head, int row, int key) {
  const Launch& launch = batch.launch;
  const Element* queries[4];
  const Element* keys[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    queries[i] = query_row(batch, q, q_history, head, max(-launch.history_rows, min(row + i, launch.query_rows - 1)));
    keys[i] = keys_of(batch, k, head) + size_t(max(0, min(key + i, launch.key_rows - 1))) * launch.k_stride_l;
  }
#pragma unroll 1
  for (int d = 0; d < HEAD_DIM; d += 4) {
    float4 x[4];
    float4 y[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      x[i] = load_row<HEAD_DIM, HEAD_WIDTH>(queries[i], d);
      y[i] = load_row<HEAD_DIM, HEAD_WIDTH>(keys[i], d);
    }
    add_dots(block, x, y);
  }
  each_entry(block, [&](float& entry, int, int) { entry *= SCALE; });
}

/// Adds a weight times four values.
__device__ __forceinline__ void add_product(float (&results)[4], float weight, const float4& x) {
  results[0] = fmaf(weight, x.x, results[0]);
  results[1] = fmaf(weight, x.y, results[1]);
  results[2] = fmaf(weight, x.z, results[2]);
  results[3] = fmaf(weight, x.w, results[3]);
}

/// Adds weights of four rows times values of four keys to results, of the pairs that are `seen`: values that a row does
/// not see, which may be anything, must not reach it. `weights[i]` are row i's.
__device__ __forceinline__ void add_products(float (&results)[4][4], const float (&weights)[4][4], const float4 (&x)[4],
    unsigned seen) {
#pragma unroll
  for (int key = 0; key < 4; key++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (seen >> (4 * i + key) & 1u) add_product(results[i], weights[i][key], x[key]);
    }
  }
}

/// Whether all values are finite: then 0 times any of them is 0.
__device__ __forceinline__ bool all_finite(const float4 (&x)[4]) {
  float probe = 0.0f;
#pragma unroll
  for (int i = 0; i < 4; i++)
    probe = fmaf(x[i].x, 0.0f, fmaf(x[i].y, 0.0f, fmaf(x[i].z, 0.0f, fmaf(x[i].w, 0.0f, probe))));
  return probe == 0.0f;
}

namespace scores {

// Scores of a strip of query rows: map[head][row][key] = scale * q . k where visible, else 0.
// 128 threads.

/// Threads of a block.
constexpr int THREADS = 128;
/// Rows of a block's tile.
constexpr int TILE_Q = 32;
/// Keys of a block's tile.
constexpr int TILE_K = 64;

/// Four neighbouring entries of a row, of which `seen` has the bits: 0 where not visible.
__device__ __forceinline__ void finish_scores(float (&entries)[4], unsigned seen) {
#pragma unroll
  for (int j = 0; j < 4; j++) {
    float value = entries[j];
    entries[j] = 0.0f;
    if (!(seen >> j & 1u)) continue;
    entries[j] = value;
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) constructor_scores(
    const Launch launch,
    const Element* __restrict__ q,
    const Element* __restrict__ q_history,
    const Element* __restrict__ k,
    const int* __restrict__ positions,
    float* __restrict__ result
) {
  const int thread = threadIdx.x;
  const Batch batch = open_batch(launch, positions);
  const unsigned head = blockIdx.y;
  const int tiles = (launch.row_end - launch.row_begin + TILE_Q - 1) / TILE_Q;
  const int tile_row = launch.row_begin + int(blockIdx.x % tiles) * TILE_Q;
  const int tile_key = launch.key_begin + int(blockIdx.x / tiles) * TILE_K;
  // Later stages read zeros around what is visible, so a tile that nobody sees is cleared.
  const int2 range = key_range(batch);
  const bool alive = tile_key < range.y && tile_key + TILE_K > range.x;
  // One block of four rows by four keys a thread.
  const int r = thread / (TILE_K / 4) * 4;
  const int column = thread % (TILE_K / 4) * 4;
  const int row = tile_row + r;
  const int key = tile_key + column;
  const bool inside = interior(batch, tile_row, TILE_Q, tile_key, TILE_K);
  const unsigned seen = alive && row < launch.row_end ? see(batch, row, key, inside) : 0u;
  float block[4][4] = {};
  if (seen != 0u) dot_block(block, batch, q, q_history, k, head, row, key);
  float* const to = map_row(result, launch, head, row) + key;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (row + i >= launch.row_end) continue;
    finish_scores(block[i], seen >> 4 * i);
    write_four(to + size_t(i) * launch.map_row_stride, block[i]);
  }
}

}  // namespace scores

namespace scores_conv {

// scores.conv (line 20), conv 3x3, across 3, dilation 2x2, from one map of the strip to the other.
// 128 threads, 10944 bytes of shared memory.

/// Threads of a block.
constexpr int THREADS = 128;
/// Rows of a block's tile.
constexpr int TILE_Q = 32;
/// Keys of a block's tile.
constexpr int TILE_K = 64;
/// Rows before the tile that the taps read.
constexpr int REACH_PAST = 2;
/// Rows after the tile that the taps read.
constexpr int REACH_FUTURE = 2;
/// Rows of the tile with what is around it.
constexpr int HALO_ROWS = 36;
/// Keys of the tile with what is around it.
constexpr int HALO_COLUMNS = 72;
/// Keys left of the tile that are held with it.
constexpr int HALO_LEFT = 4;
/// Words between two rows that are held.
constexpr int HALO_ROW_STRIDE = 76;
/// Rows of the kernel.
constexpr int SCORES_CONV_QUERY = 3;
/// Keys of the kernel.
constexpr int SCORES_CONV_KEY = 3;
/// Heads that one kernel reads.
constexpr int SCORES_CONV_ACROSS = 3;
/// scores.conv.weight in parameters.
constexpr int SCORES_CONV_WEIGHT_AT = 0;
/// Rows from one row of taps to the next.
constexpr int SCORES_CONV_DILATION_QUERY = 2;
/// Keys from one tap to the next.
constexpr int SCORES_CONV_DILATION_KEY = 2;
/// Words before the first tap from a 16-byte boundary on.
constexpr int SCORES_CONV_SHIFT = 2;

/// Four neighbouring entries of a row, of which `seen` has the bits: 0 where not visible.
__device__ __forceinline__ void finish_scores_conv(float (&entries)[4], unsigned seen) {
#pragma unroll
  for (int j = 0; j < 4; j++) {
    float value = entries[j];
    entries[j] = 0.0f;
    if (!(seen >> j & 1u)) continue;
    entries[j] = value;
  }
}

/// The kernel with which `head` reads head `from_head` of its group.
__device__ __forceinline__ const float* scores_conv_kernel(const float* parameters, unsigned head, unsigned from_head) {
  const unsigned kernel = head % SCORES_CONV_ACROSS * SCORES_CONV_ACROSS + from_head;
  return parameters + SCORES_CONV_WEIGHT_AT + size_t(kernel) * (SCORES_CONV_QUERY * SCORES_CONV_KEY);
}

/// scores.conv (line 20), conv 3x3, across 3, dilation 2x2 (reads 2 rows before, 2 rows after, 2 keys left, 2 keys
/// right).
/// Adds what one head contributes to four rows by four keys. `x` is the tile's entry SCORES_CONV_SHIFT words before
/// the first tap of the first of them.
__device__ __forceinline__ void scores_conv(float (&y)[4][4], const float* kernel, const float* x) {
#pragma unroll 1
  for (int a = 0; a < SCORES_CONV_QUERY; a++) {
    const float* const taps = kernel + a * SCORES_CONV_KEY;
    const float* const line = x + a * SCORES_CONV_DILATION_QUERY * HALO_ROW_STRIDE;
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll 4
      for (int b = 0; b < SCORES_CONV_KEY; b++) {
        const float* const entries = line + i * HALO_ROW_STRIDE + SCORES_CONV_SHIFT + b * SCORES_CONV_DILATION_KEY;
#pragma unroll
        for (int j = 0; j < 4; j++) y[i][j] = fmaf(taps[b], entries[j], y[i][j]);
      }
    }
  }
}

/// A head's tile with what is around it, from its map; 0 outside the rows and keys that the strip holds.
__device__ __forceinline__ void load_tile(float* tile, const Launch& launch, const float* from, int first_row,
    int last_row, int tile_row, int tile_key, int thread) {
  for (int i = thread; i < HALO_ROWS * (HALO_COLUMNS / 4); i += THREADS) {
    const int r = i / (HALO_COLUMNS / 4);
    const int column = i % (HALO_COLUMNS / 4) * 4;
    const int row = tile_row - REACH_PAST + r;
    const int key = tile_key - HALO_LEFT + column;
    float4 four = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (row >= first_row && row < last_row && key >= launch.key_begin && key < launch.key_end) {
      four = load_as<float4>(from + size_t(row - launch.strip_row) * launch.map_row_stride + key);
    }
    store(tile + r * HALO_ROW_STRIDE + column, four);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) constructor_scores_conv(
    const Launch launch,
    const float* __restrict__ source,
    const float* __restrict__ parameters,
    const int* __restrict__ positions,
    float* __restrict__ result
) {
  // The tile with the rows and keys that the taps read around it.
  extern __shared__ __align__(16) float arena[];
  const int thread = threadIdx.x;
  const Batch batch = open_batch(launch, positions);
  const unsigned head = blockIdx.y;
  const int tiles = (launch.row_end - launch.row_begin + TILE_Q - 1) / TILE_Q;
  const int tile_row = launch.row_begin + int(blockIdx.x % tiles) * TILE_Q;
  const int tile_key = launch.key_begin + int(blockIdx.x / tiles) * TILE_K;
  // Later stages read zeros around what is visible, so a tile that nobody sees is cleared.
  const int2 range = key_range(batch);
  const bool alive = tile_key < range.y && tile_key + TILE_K > range.x;
  // One block of four rows by four keys a thread.
  const int r = thread / (TILE_K / 4) * 4;
  const int column = thread % (TILE_K / 4) * 4;
  const int row = tile_row + r;
  const int key = tile_key + column;
  const bool inside = interior(batch, tile_row, TILE_Q, tile_key, TILE_K);
  const unsigned seen = alive && row < launch.row_end ? see(batch, row, key, inside) : 0u;
  float block[4][4] = {};
  // Rows that the stage before has written.
  const int first_row = max(-launch.history_rows, launch.row_begin - REACH_PAST);
  const int last_row = min(launch.query_rows, launch.row_end + REACH_FUTURE);
  // The first of the heads that the kernels read.
  const unsigned group_head = head - head % SCORES_CONV_ACROSS;
  for (unsigned c = 0; c < SCORES_CONV_ACROSS && alive; c++) {
    if (c > 0) __syncthreads();
    const float* const from = map_row(source, launch, group_head + c, launch.strip_row);
    load_tile(arena, launch, from, first_row, last_row, tile_row, tile_key, thread);
    __syncthreads();
    if (seen != 0u) {
      scores_conv(block, scores_conv_kernel(parameters, head, c), arena + r * HALO_ROW_STRIDE + column);
    }
  }
  float* const to = map_row(result, launch, head, row) + key;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (row + i >= launch.row_end) continue;
    finish_scores_conv(block[i], seen >> 4 * i);
    write_four(to + size_t(i) * launch.map_row_stride, block[i]);
  }
}

}  // namespace scores_conv

namespace normalize {

// Sparsemax of the strip's rows, in place (Martins and Astudillo 2016).
// 64 threads.

/// Threads of a block.
constexpr int THREADS = 64;
/// Rows of a block.
constexpr int ROWS = 16;

/// Normalises a row, which LANES neighbouring lanes share.
template <int LANES>
__device__ __forceinline__ void normalize_row(const Batch& batch, float* map, int row) {
  const Launch& launch = batch.launch;
  const unsigned head = blockIdx.y;
  const int lane = int(threadIdx.x % LANES) * 4;
  // Rows past the end go along without keys: all lanes of a warp meet at the shuffles.
  const bool exists = row < launch.row_end;
  float* const line = map_row(map, launch, head, exists ? row : launch.row_begin);
  const int2 range = exists ? key_range(batch) : make_int2(0, 0);
  // Whole groups of four keys that hold all the row sees.
  const int begin = max(range.x / 4 * 4, launch.key_begin);
  const int end = min(range.y, launch.key_end);
  // The first group of the lane; every LANES-th is its own.
  const int first = begin + lane;
  const auto hide = [&](int key) {
    float scores[4];
    read_four(scores, line + key);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      if (!visible(batch, row, key + j)) scores[j] = HIDDEN;
    }
    write_four(line + key, scores);
  };
  // The row sees every key of the groups between its first and its last: only these are tested, a key by a lane.
  const int whole_begin = (range.x + 3) / 4 * 4;
  const int whole_end = range.y / 4 * 4;
  if (interior(batch, row, 1, whole_begin, whole_end - whole_begin)) {
    const int own = int(threadIdx.x) % 4;
    if (lane < 16 && begin < whole_begin && !visible(batch, row, begin + own)) line[begin + own] = HIDDEN;
    const bool is_last = lane < 16 && whole_end >= whole_begin && whole_end < end;
    if (is_last && !visible(batch, row, whole_end + own)) line[whole_end + own] = HIDDEN;
  } else {
    for (int key = first; key < end; key += 4 * LANES) hide(key);
  }
  __syncwarp();

  float highest = HIDDEN;
  // Stays 0 as long as all scores are finite, else becomes NaN: a row with one that is not is NaN as a whole.
  float probe = 0.0f;
  for (int key = first; key < end; key += 4 * LANES) {
    float scores[4];
    read_four(scores, line + key);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      highest = fmaxf(highest, scores[j]);
      probe = fmaf(scores[j], 0.0f, probe);
    }
  }
  highest = lanes_max<LANES>(highest);
  probe = lanes_sum<LANES>(probe);

  // Sparsemax: the threshold t with sum(max(score - highest - t, 0)) = 1. Its support lies above -1; the iteration
  // starts from all of that and only ever drops entries, so it ends (Michelot 1986).
  float threshold = -1.0f;
  float support = 0.0f;
  for (int round = 0; round <= launch.key_rows; round++) {
    float sum = 0.0f;
    float count = 0.0f;
    for (int key = begin + lane; key < end; key += 4 * LANES) {
      float scores[4];
      read_four(scores, line + key);
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const float above = scores[j] - highest;
        if (scores[j] != HIDDEN && above > threshold) {
          sum += above;
          count += 1.0f;
        }
      }
    }
    sum = lanes_sum<LANES>(sum);
    count = lanes_sum<LANES>(count);
    const bool changed = count != support;
    // Goes on until no row of the warp changes.
    if (!__any_sync(~0u, changed)) break;
    support = count;
    if (count > 0.0f) threshold = (sum - 1.0f) / count;
  }

  // The weights; 0 wherever the strip's other rows see more than this one.
  if (!exists) return;
  for (int key = first; key < end; key += 4 * LANES) {
    float weights[4];
    read_four(weights, line + key);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      weights[j] = weights[j] == HIDDEN ? 0.0f : fmaxf(weights[j] - highest - threshold, 0.0f);
    }
    write_four(line + key, weights);
  }
  constexpr float NOTHING[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 1
  for (int key = launch.key_begin + lane; key < begin; key += 4 * LANES) write_four(line + key, NOTHING);
#pragma unroll 1
  for (int key = max(begin, (end + 3) / 4 * 4) + lane; key < launch.key_end; key += 4 * LANES)
    write_four(line + key, NOTHING);
  if (probe == 0.0f) return;
  for (int key = first; key < end; key += 4 * LANES) {
    for (int j = 0; j < 4; j++) line[key + j] = visible(batch, row, key + j) ? probe : 0.0f;
  }
}

/// The block's rows.
template <int LANES>
__device__ __forceinline__ void normalize_rows(const Batch& batch, float* map) {
  const int first = batch.launch.row_begin + int(blockIdx.x) * ROWS + int(threadIdx.x / LANES);
#pragma unroll 1
  for (int done = 0; done < ROWS; done += THREADS / LANES) normalize_row<LANES>(batch, map, first + done);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) constructor_normalize(
    const Launch launch,
    const int* __restrict__ positions,
    float* __restrict__ map
) {
  const Batch batch = open_batch(launch, positions);
  normalize_rows<8>(batch, map);
}

}  // namespace normalize

namespace product {

// The strip's weights times V, and the stages of the output.
// 128 threads, 64 bytes of shared memory.

/// Threads of a block.
constexpr int THREADS = 128;
/// Rows of a block.
constexpr int TILE_Q = 16;
/// Rows of a block's results over all its heads.
constexpr int ROWS = 16;
/// Blocks of four that cover a row of values.
constexpr int VALUE_BLOCKS = 2;
/// Blocks of four rows by four values of a block's results.
constexpr int OUTPUT_BLOCKS = 8;
/// How many of them each of the threads computes.
constexpr int BLOCKS = 1;

/// Calls `apply` with each of a thread's blocks of four rows by four values, their first row among the block's and
/// their first value.
template <typename Apply>
__device__ __forceinline__ void each_result(float (&results)[BLOCKS][4][4], int thread, const Apply& apply) {
#pragma unroll
  for (int b = 0; b < BLOCKS; b++) {
    const int unit = thread + b * THREADS;
    if (THREADS * (b + 1) > OUTPUT_BLOCKS && unit >= OUTPUT_BLOCKS) continue;
    apply(results[b], unit / VALUE_BLOCKS * 4, unit % VALUE_BLOCKS * 4);
  }
}

/// Makes rows that NaN or infinities have reached NaN as a whole, so that none looks half right.
__device__ __forceinline__ void poison_rows(float (&results)[BLOCKS][4][4], int* row_flags, int thread) {
  // 0 times a number is 0, times anything else NaN.
  float probe = 0.0f;
#pragma unroll
  for (int b = 0; b < BLOCKS; b++)
    each_entry(results[b], [&](float& entry, int, int) { probe = fmaf(entry, 0.0f, probe); });
  // Almost always that is all.
  if (!__syncthreads_or(probe != 0.0f)) return;
  for (int r = thread; r < ROWS; r += THREADS) row_flags[r] = 0;
  __syncthreads();
  each_result(results, thread, [&](float (&block)[4][4], int r, int) {
    each_entry(block, [&](float& entry, int i, int) {
      if (entry * 0.0f != 0.0f) atomicOr(row_flags + r + i, 1);
    });
  });
  __syncthreads();
  each_result(results, thread, [&](float (&block)[4][4], int r, int) {
    each_entry(block, [&](float& entry, int i, int) {
      if (row_flags[r + i] != 0) entry = __int_as_float(0x7fffffff);
    });
  });
  __syncthreads();
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) constructor_product(
    const Launch launch,
    const float* __restrict__ weights,
    const Element* __restrict__ v,
    const float* __restrict__ parameters,
    const int* __restrict__ positions,
    Element* __restrict__ o
) {
  extern __shared__ __align__(16) float arena[];
  const int thread = threadIdx.x;
  const Batch batch = open_batch(launch, positions);
  const unsigned first_head = blockIdx.y;
  // The tiles with the most keys first: the short ones fill the gaps at the end.
  const int tile_row = launch.row_begin + int(gridDim.x - 1u - blockIdx.x) * TILE_Q;
  float results[BLOCKS][4][4] = {};
  each_result(results, thread, [&](float (&block)[4][4], int r, int value) {
    const int row = tile_row + r;
    if (row >= launch.row_end) return;
    const int2 range = key_range(batch);
    const float* lines[4];
    // Rows past the end repeat the last one; their results are not stored.
#pragma unroll
    for (int i = 0; i < 4; i++) lines[i] = map_row(weights, launch, first_head, min(row + i, launch.row_end - 1));
    for (int key = max(range.x / 4 * 4, launch.key_begin); key < range.y; key += 4) {
      float4 x[4];
      float a[4][4];
#pragma unroll
      for (int i = 0; i < 4; i++) read_four(a[i], lines[i] + key);
      load_values(x, batch, v, first_head, key, value);
      if (interior(batch, row, 4, key, 4) || all_finite(x)) add_products(block, a, x, 0xffffu);
      else add_products(block, a, x, see_rarely(batch, row, key));
    }
  });

  poison_rows(results, reinterpret_cast<int*>(arena), thread);

  each_result(results, thread, [&](float (&block)[4][4], int r, int value) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int row = tile_row + r % TILE_Q + i;
      if (row < launch.row_end)
        store_results(result_row(launch, o, batch.index, first_head + r / TILE_Q, row), value, block[i]);
    }
  });
}

}  // namespace product

}  // namespace mtac_constructor

// Launching the kernels from C and C++: what constructor.h declares. Left out where the kernels alone are compiled.
#if !defined(__CUDACC_RTC__) && !defined(MTAC_KERNELS_ONLY)
#include "constructor.h"
#include <algorithm>
#include <climits>
#include <cstdint>

namespace mtac_constructor {

namespace {

/// a / b, rounded down; b is positive.
inline long long floor_div(long long a, long long b) {
  return a / b - (a % b < 0);
}

/// a / b, rounded up; b is positive.
inline long long ceil_div(long long a, long long b) {
  return a / b + (a % b > 0);
}

/// Blocks of a launch along x, y and z.
struct Grid {
  long long x;
  long long y;
  long long z;
};

/// Queues a kernel; a grid without blocks has nothing to do.
template <typename... Parameters, typename... Arguments>
int queue(void (*kernel)(Parameters...), const Grid& grid, int threads, int shared_bytes, cudaStream_t stream,
    const Arguments&... arguments) {
  if (grid.x <= 0 || grid.y <= 0 || grid.z <= 0) return 0;
  if (grid.x > INT_MAX || grid.y > 65535 || grid.z > 65535) return CONSTRUCTOR_ERROR_TOO_LARGE;
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z));
  kernel<<<blocks, threads, shared_bytes, stream>>>(arguments...);
  return cudaPeekAtLastError();
}

/// Where things lie in the caller's workspace, in bytes.
struct Workspace {
  size_t map_0;
  size_t map_1;
  size_t bytes;
};

Workspace lay_out(const constructor_call& call) {
  const long long B = call.batches;
  const long long Lq = call.query_rows;
  const long long Lk = call.key_rows;
  const long long R = call.history_rows;
  const long long halo_past = std::min<long long>(2, Lq + R);
  const long long halo_future = std::min<long long>(2, Lq);
  const long long map_row_stride = 64 * ceil_div(Lk, 64);
  const long long batch_step = std::max<long long>(1,
    std::min<long long>({B, 21845, floor_div(41943040, 24 * map_row_stride * (Lq + halo_past + halo_future))}));
  const long long most_rows = std::max<long long>(16,
    std::min<long long>(512, floor_div(41943040, 24 * map_row_stride * batch_step) - (halo_past + halo_future)));
  const long long strip = std::min<long long>(Lq, 4 * ceil_div(ceil_div(Lq, ceil_div(Lq, most_rows)), 4));
  const long long map_rows = strip + halo_past + halo_future;
  const long long map_head_stride = map_rows * map_row_stride;
  Workspace workspace{};
  const auto place = [&workspace](long long bytes) {
    const size_t at = workspace.bytes;
    workspace.bytes += (static_cast<size_t>(bytes) + 255) / 256 * 256;
    return at;
  };
  workspace.map_0 = place(4 * batch_step * 3 * map_head_stride);
  workspace.map_1 = place(4 * batch_step * 3 * map_head_stride);
  return workspace;
}

/// The strides of a contiguous tensor where the caller gives none.
inline constructor_strides strides_of(const constructor_strides& given, unsigned heads, int rows, unsigned size) {
  if (given.batch != 0 || given.head != 0 || given.row != 0) return given;
  const unsigned head = static_cast<unsigned>(rows) * size;
  return {heads * head, head, size};
}

/// The part of the launch block that all launches of a call share.
Launch describe(const constructor_call& call) {
  Launch launch{};
  launch.query_rows = call.query_rows;
  launch.key_rows = call.key_rows;
  launch.history_rows = call.history_rows;
  const constructor_strides q = strides_of(call.q_strides, CONSTRUCTOR_HEADS, call.query_rows, CONSTRUCTOR_HEAD_DIM);
  launch.q_stride_b = q.batch;
  launch.q_stride_h = q.head;
  launch.q_stride_l = q.row;
  const constructor_strides k = strides_of(call.k_strides, CONSTRUCTOR_KV_HEADS, call.key_rows, CONSTRUCTOR_HEAD_DIM);
  launch.k_stride_b = k.batch;
  launch.k_stride_h = k.head;
  launch.k_stride_l = k.row;
  const constructor_strides v = strides_of(call.v_strides, CONSTRUCTOR_KV_HEADS, call.key_rows, CONSTRUCTOR_VALUE_DIM);
  launch.v_stride_b = v.batch;
  launch.v_stride_h = v.head;
  launch.v_stride_l = v.row;
  const constructor_strides q_history = strides_of(call.q_history_strides, CONSTRUCTOR_HEADS, call.history_rows,
    CONSTRUCTOR_HEAD_DIM);
  launch.q_history_stride_b = q_history.batch;
  launch.q_history_stride_h = q_history.head;
  launch.q_history_stride_l = q_history.row;
  const constructor_strides o = strides_of(call.o_strides, CONSTRUCTOR_HEADS, call.query_rows, CONSTRUCTOR_VALUE_DIM);
  launch.o_stride_b = o.batch;
  launch.o_stride_h = o.head;
  launch.o_stride_l = o.row;
  launch.has_positions = call.positions != nullptr ? 1u : 0u;
  return launch;
}

}  // namespace

size_t workspace_bytes(const constructor_call& call) {
  return lay_out(call).bytes;
}

/// The plan's loops and launches. The call has been checked, the workspace is large enough.
int launch_all(const constructor_call& call, unsigned char* workspace_at, cudaStream_t stream) {
  const long long B = call.batches;
  const long long Lq = call.query_rows;
  const long long Lk = call.key_rows;
  const long long R = call.history_rows;
  const long long halo_past = std::min<long long>(2, Lq + R);
  const long long halo_future = std::min<long long>(2, Lq);
  const long long map_row_stride = 64 * ceil_div(Lk, 64);
  const long long batch_step = std::max<long long>(1,
    std::min<long long>({B, 21845, floor_div(41943040, 24 * map_row_stride * (Lq + halo_past + halo_future))}));
  const long long most_rows = std::max<long long>(16,
    std::min<long long>(512, floor_div(41943040, 24 * map_row_stride * batch_step) - (halo_past + halo_future)));
  const long long strip = std::min<long long>(Lq, 4 * ceil_div(ceil_div(Lq, ceil_div(Lq, most_rows)), 4));
  const long long map_rows = strip + halo_past + halo_future;
  const long long map_head_stride = map_rows * map_row_stride;
  const Workspace workspace = lay_out(call);
  const Element* const q = static_cast<const Element*>(call.q);
  const Element* const k = static_cast<const Element*>(call.k);
  const Element* const v = static_cast<const Element*>(call.v);
  const Element* const q_history = static_cast<const Element*>(call.q_history);
  Element* const o = static_cast<Element*>(call.o);
  float* const map_0 = reinterpret_cast<float*>(workspace_at + workspace.map_0);
  float* const map_1 = reinterpret_cast<float*>(workspace_at + workspace.map_1);
  const Launch common = describe(call);

  for (long long batch = 0; batch < B; batch += batch_step) {
    const long long batches = std::min<long long>(batch_step, B - batch);
    for (long long row = 0; row < Lq; row += strip) {
      const long long key_begin = 0;
      const long long key_end = std::max<long long>(key_begin, Lk);
      Launch launch = common;
      launch.batch = static_cast<unsigned>(batch);
      launch.row_begin = static_cast<int>(std::max<long long>(-R, row - 2));
      launch.row_end = static_cast<int>(std::min<long long>(Lq, std::min<long long>(Lq, row + strip) + 2));
      launch.strip_row = static_cast<int>(row - halo_past);
      launch.key_begin = static_cast<int>(key_begin);
      launch.map_row_stride = static_cast<unsigned>(map_row_stride);
      launch.map_head_stride = static_cast<unsigned>(map_head_stride);
      if (const int error = queue(scores::constructor_scores,
        {ceil_div(launch.row_end - launch.row_begin, 32) * ceil_div(key_end - key_begin, 64), 3, batches}, 128, 0,
        stream, launch, q, q_history, k, call.positions, map_0))
        return error;
      launch.row_begin = static_cast<int>(std::max<long long>(-R, row));
      launch.row_end = static_cast<int>(std::min<long long>(Lq, row + strip));
      launch.key_end = static_cast<int>(key_end);
      if (const int error = queue(scores_conv::constructor_scores_conv,
        {ceil_div(launch.row_end - launch.row_begin, 32) * ceil_div(key_end - key_begin, 64), 3, batches}, 128, 10944,
        stream, launch, map_0, call.parameters, call.positions, map_1))
        return error;
      if (const int error = queue(normalize::constructor_normalize,
        {ceil_div(launch.row_end - launch.row_begin, 16), 3, batches}, 64, 0, stream, launch, call.positions, map_1))
        return error;
      launch.row_begin = static_cast<int>(row);
      if (const int error = queue(product::constructor_product,
        {ceil_div(launch.row_end - launch.row_begin, 16), 3, batches}, 128, 64, stream, launch, map_1, v,
        call.parameters, call.positions, o))
        return error;
    }
  }
  return 0;
}

}  // namespace mtac_constructor

namespace mtac_constructor {

namespace {

/// Strides are multiples of what one load takes, and so are the pointers.
bool aligned(const void* pointer, const constructor_strides& strides, unsigned elements) {
  return reinterpret_cast<uintptr_t>(pointer) % (elements * 4) == 0 && strides.batch % elements == 0 &&
    strides.head % elements == 0 && strides.row % elements == 0;
}

int check(const constructor_call* call) {
  if (call == nullptr) return CONSTRUCTOR_ERROR_NULL_POINTER;
  if (call->batches < 1) return CONSTRUCTOR_ERROR_SIZE - 100;
  if (call->key_rows < 1) return CONSTRUCTOR_ERROR_SIZE - 300;
  if (call->query_rows < 1) return CONSTRUCTOR_ERROR_SIZE - 200;
  if (call->history_rows < 0) return CONSTRUCTOR_ERROR_SIZE - 400;
  if (call->positions == nullptr && call->history_rows > 0 && call->history_rows > call->key_rows - call->query_rows)
    return CONSTRUCTOR_ERROR_SIZE - 400;
  long long rows = call->query_rows > call->key_rows ? call->query_rows : call->key_rows;
  if (call->history_rows > rows) rows = call->history_rows;
  if (rows * call->batches * CONSTRUCTOR_HEADS > INT_MAX) return CONSTRUCTOR_ERROR_TOO_LARGE;
  // Offsets of rows within contiguous tensors are 32-bit strides.
  if (rows * CONSTRUCTOR_HEADS * 7 > UINT_MAX) return CONSTRUCTOR_ERROR_TOO_LARGE;
  if (call->q == nullptr) return CONSTRUCTOR_ERROR_NULL_POINTER - 500;
  if (call->k == nullptr) return CONSTRUCTOR_ERROR_NULL_POINTER - 700;
  if (call->v == nullptr) return CONSTRUCTOR_ERROR_NULL_POINTER - 800;
  if (call->o == nullptr) return CONSTRUCTOR_ERROR_NULL_POINTER - 900;
  if (call->parameters == nullptr) return CONSTRUCTOR_ERROR_NULL_POINTER - 1000;
  if (call->history_rows > 0 && call->q_history == nullptr) return CONSTRUCTOR_ERROR_NULL_POINTER - 600;
  if (!aligned(call->q, call->q_strides, 1)) return CONSTRUCTOR_ERROR_ALIGNMENT - 500;
  if (!aligned(call->k, call->k_strides, 1)) return CONSTRUCTOR_ERROR_ALIGNMENT - 700;
  if (!aligned(call->v, call->v_strides, 1)) return CONSTRUCTOR_ERROR_ALIGNMENT - 800;
  if (!aligned(call->q_history, call->q_history_strides, 1)) return CONSTRUCTOR_ERROR_ALIGNMENT - 600;
  if (!aligned(call->o, call->o_strides, 1)) return CONSTRUCTOR_ERROR_ALIGNMENT - 900;
  return 0;
}

}  // namespace

}  // namespace mtac_constructor

extern "C" size_t constructor_workspace_bytes(const constructor_call* call) {
  if (mtac_constructor::check(call) != 0) return 0;
  return mtac_constructor::workspace_bytes(*call);
}

extern "C" int constructor_launch(const constructor_call* call, void* workspace, size_t workspace_bytes,
    cudaStream_t stream) {
  if (const int error = mtac_constructor::check(call)) return error;
  const size_t needed = constructor_workspace_bytes(call);
  if (workspace_bytes < needed || (needed > 0 && workspace == nullptr)) return CONSTRUCTOR_ERROR_WORKSPACE;
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0) return CONSTRUCTOR_ERROR_ALIGNMENT - 1500;
  int device = 0;
  int major = 0;
  int minor = 0;
  if (const cudaError_t error = cudaGetDevice(&device)) return error;
  if (const cudaError_t error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device)) return error;
  if (const cudaError_t error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device)) return error;
  const int capability = 10 * major + minor;
  int shared_bytes = 0;
  if (const cudaError_t error = cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device))
    return error;
  unsigned char* const memory = static_cast<unsigned char*>(workspace);
  if (capability >= 80 && shared_bytes >= 10944) return mtac_constructor::launch_all(*call, memory, stream);
  return CONSTRUCTOR_ERROR_DEVICE;
}

extern "C" const char* constructor_error_string(int error) {
  switch (error) {
    case 0: return "no error";
    case CONSTRUCTOR_ERROR_NULL_POINTER: return "the call is a null pointer";
    case CONSTRUCTOR_ERROR_SIZE - 100:
      return "batches must be at least 1";
    case CONSTRUCTOR_ERROR_SIZE - 300:
      return "key_rows must be at least 1";
    case CONSTRUCTOR_ERROR_SIZE - 200:
      return "query_rows must be at least 1";
    case CONSTRUCTOR_ERROR_SIZE - 400:
      return "history_rows must be at least 0 and, without positions, at most key_rows - query_rows";
    case CONSTRUCTOR_ERROR_NULL_POINTER - 500:
      return "q is a null pointer";
    case CONSTRUCTOR_ERROR_NULL_POINTER - 700:
      return "k is a null pointer";
    case CONSTRUCTOR_ERROR_NULL_POINTER - 800:
      return "v is a null pointer";
    case CONSTRUCTOR_ERROR_NULL_POINTER - 900:
      return "o is a null pointer";
    case CONSTRUCTOR_ERROR_NULL_POINTER - 1000:
      return "parameters is a null pointer";
    case CONSTRUCTOR_ERROR_NULL_POINTER - 600:
      return "q_history is a null pointer, and history_rows is not 0";
    case CONSTRUCTOR_ERROR_ALIGNMENT - 500:
      return "q is not aligned to 4 bytes";
    case CONSTRUCTOR_ERROR_ALIGNMENT - 700:
      return "k is not aligned to 4 bytes";
    case CONSTRUCTOR_ERROR_ALIGNMENT - 800:
      return "v is not aligned to 4 bytes";
    case CONSTRUCTOR_ERROR_ALIGNMENT - 600:
      return "q_history is not aligned to 4 bytes";
    case CONSTRUCTOR_ERROR_ALIGNMENT - 900:
      return "o is not aligned to 4 bytes";
    case CONSTRUCTOR_ERROR_ALIGNMENT - 1500:
      return "workspace is not aligned to 256 bytes";
    case CONSTRUCTOR_ERROR_TOO_LARGE: return "the call is too large for one launch: split the batch";
    case CONSTRUCTOR_ERROR_WORKSPACE: return "the workspace is smaller than constructor_workspace_bytes says";
    case CONSTRUCTOR_ERROR_DEVICE: return "the device is older than the architectures that the kernels were made for";
    default: return error > 0 ? cudaGetErrorString(static_cast<cudaError_t>(error)) : "unknown error";
  }
}

#endif
