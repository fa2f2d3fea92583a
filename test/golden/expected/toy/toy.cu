// toy (toy.mta:3): kernels of the schedule single_pass.
//
// spec: heads 2, head_dim 128, value_dim 128, mask causal, storage f32
// plan: single_pass, lowering direct, tile_q 4, tile_k 64, workgroup 128
// Made by mtac: change the spec and compile it again, not this file.
//
// Needs nothing but the CUDA toolkit; no headers for the kernels, so that NVRTC compiles them too.

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "mtac's kernels need sm_80 or newer: nvcc -arch=sm_80, or set(CMAKE_CUDA_ARCHITECTURES 80) before project()"
#endif

namespace mtac_toy {

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
};

constexpr int HEADS = 2;
/// Consecutive query heads that share a key/value head.
constexpr int HEADS_PER_KEY = 1;
constexpr int HEAD_DIM = 128;
constexpr int VALUE_DIM = 128;
/// Elements of a load: rows are aligned to them.
constexpr int HEAD_WIDTH = 4;
constexpr int VALUE_WIDTH = 4;
constexpr float SCALE = 0.08838834764831843f;
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
__device__ __forceinline__ int2 key_range(const Batch& batch, int last) {
  const int low = 0;
  const int high = min(batch.keys, batch.first_position + last + 1);
  return low < high ? make_int2(low, high) : make_int2(0, 0);
}

/// Whether all rows [row, row + rows) exist and see all keys [key, key + keys): there nothing needs testing.
__device__ __forceinline__ bool interior(const Batch& batch, int row, int rows, int key, int keys) {
  const int first = batch.first_position + row;
  return row >= -batch.launch.history_rows && row + rows <= batch.launch.query_rows && key >= 0
    && key + keys <= batch.keys
    && key + keys - 1 <= first;
}

/// Whether a row sees a key. Rows and keys that do not exist see nothing and are not seen.
__device__ __forceinline__ bool visible(const Batch& batch, int row, int key) {
  bool seen = row >= -batch.launch.history_rows && row < batch.launch.query_rows && key >= 0 && key < batch.keys;
  const int position = batch.first_position + row;
  seen = seen && key <= position;
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

/// Where a row lies among the rows of the call; where its statistics lie, which rows of the history have, too.
__device__ __forceinline__ size_t row_at(const Batch& batch, unsigned head, int row) {
  return size_t(batch.index * HEADS + head) * batch.launch.query_rows + row;
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

/// Four rows, each times a factor of its own.
__device__ __forceinline__ void scale_rows(float (&block)[4][4], const float* factors) {
  float own[4];
  read_four(own, factors);
  each_entry(block, [&](float& entry, int i, int) { entry *= own[i]; });
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

/// y[j] += sum over b of w[b] * x[SHIFT + b + j] for four neighbouring outputs; x lies at a 16-byte boundary.
template <int TAPS, int SHIFT>
__device__ __forceinline__ void convolve(float (&y)[4], const float (&w)[TAPS], const float* x) {
  constexpr int FOURS = (SHIFT + TAPS + 3 + 3) / 4;
  float window[FOURS][4];
#pragma unroll
  for (int i = 0; i < FOURS; i++) read_four(window[i], x + 4 * i);
#pragma unroll
  for (int b = 0; b < TAPS; b++) {
#pragma unroll
    for (int j = 0; j < 4; j++) y[j] = fmaf(w[b], window[(SHIFT + b + j) / 4][(SHIFT + b + j) % 4], y[j]);
  }
}

/// The same for four rows that lie ROW_STRIDE words apart.
template <int TAPS, int SHIFT, int ROW_STRIDE>
__device__ __forceinline__ void convolve_rows(float (&y)[4][4], const float* taps, const float* x) {
  float w[TAPS];
#pragma unroll
  for (int b = 0; b < TAPS; b++) w[b] = taps[b];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    convolve<TAPS, SHIFT>(y[i], w, x + i * ROW_STRIDE);
  }
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

namespace attention {

// Attention in one pass over the keys with an online softmax (Milakov and Gimelshein 2018; FlashAttention).
// Shared memory holds the scores of one tile with the halo that the convolutions read.
// 128 threads, 3536 bytes of shared memory.

/// Threads of a block.
constexpr int THREADS = 128;
/// Heads that a block computes together.
constexpr int HEAD_BLOCK = 1;
/// Rows of a tile.
constexpr int TILE_Q = 4;
/// Keys of a step.
constexpr int TILE_K = 64;
/// Keys that the convolutions read to the left.
constexpr int REACH_LEFT = 4;
/// Keys by which results trail the scores: what the convolutions read to the right.
constexpr int LAG = 4;
/// Words of shared memory.
constexpr int ARENA_WORDS = 884;
/// Rows of a block's results over all its heads.
constexpr int ROWS = 4;
/// Scores of the tile with their halo: first word.
constexpr int RAW_AT = 0;
/// Rows of a head.
constexpr int RAW_ROWS = 8;
/// Rows before the tile's first.
constexpr int RAW_ABOVE = 1;
/// Columns kept from the step before.
constexpr int RAW_CARRY = 8;
/// Words between two rows.
constexpr int RAW_ROW_STRIDE = 76;
/// Words between two heads.
constexpr int RAW_HEAD_STRIDE = 608;
/// Map after scores conv: first word.
constexpr int AFTER_SCORES_CONV_AT = 608;
/// Rows of a head.
constexpr int AFTER_SCORES_CONV_ROWS = 4;
/// Columns kept from the step before.
constexpr int AFTER_SCORES_CONV_CARRY = 0;
/// Keys by which it trails the scores.
constexpr int AFTER_SCORES_CONV_LAG = 4;
/// Words between two rows.
constexpr int AFTER_SCORES_CONV_ROW_STRIDE = 68;
/// Words between two heads.
constexpr int AFTER_SCORES_CONV_HEAD_STRIDE = 272;
/// Neighbouring threads that share a row of the softmax.
constexpr int TEAM = 16;
/// Blocks of four scores of a step that each takes.
constexpr int SHARE = 1;
/// First word of the rows' factors.
constexpr int FACTORS_AT = 880;
/// Rows of the kernel.
constexpr int SCORES_CONV_QUERY = 2;
/// Keys of the kernel.
constexpr int SCORES_CONV_KEY = 9;
/// scores.conv.weight in parameters.
constexpr int SCORES_CONV_WEIGHT_AT = 0;
/// Rows from one row of taps to the next.
constexpr int SCORES_CONV_DILATION_QUERY = 1;
/// Words before the first tap from a 16-byte boundary on.
constexpr int SCORES_CONV_SHIFT = 0;
/// Blocks of four that cover a row of values.
constexpr int VALUE_BLOCKS = 32;
/// Blocks of four rows by four values of a block's results.
constexpr int OUTPUT_BLOCKS = 32;
/// How many of them each of the threads computes.
constexpr int BLOCKS = 1;
/// Whether these all read the same values.
constexpr bool SAME_VALUES = true;

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

/// Four neighbouring entries of a row, of which `seen` has the bits: HIDDEN where not visible, so that the softmax
/// leaves it out.
__device__ __forceinline__ void finish_scores_conv(float (&entries)[4], unsigned seen) {
#pragma unroll
  for (int j = 0; j < 4; j++) {
    float value = entries[j];
    entries[j] = HIDDEN;
    if (!(seen >> j & 1u)) continue;
    entries[j] = value;
  }
}

/// The kernel with which `head` reads its own entries.
__device__ __forceinline__ const float* scores_conv_kernel(const float* parameters, unsigned head) {
  const unsigned kernel = head;
  return parameters + SCORES_CONV_WEIGHT_AT + size_t(kernel) * (SCORES_CONV_QUERY * SCORES_CONV_KEY);
}

/// scores.conv (line 8), conv 2x9 (reads 1 row before, 4 keys left, 4 keys right).
/// Adds what one head contributes to four rows by four keys. `x` is the tile's entry SCORES_CONV_SHIFT words before
/// the first tap of the first of them.
__device__ __forceinline__ void scores_conv(float (&y)[4][4], const float* kernel, const float* x) {
#pragma unroll 1
  for (int a = 0; a < SCORES_CONV_QUERY; a++) {
    const float* const taps = kernel + a * SCORES_CONV_KEY;
    const float* const line = x + a * SCORES_CONV_DILATION_QUERY * RAW_ROW_STRIDE;
    convolve_rows<SCORES_CONV_KEY, SCORES_CONV_SHIFT, RAW_ROW_STRIDE>(y, taps, line);
  }
}

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

extern "C" __global__ void __launch_bounds__(THREADS, 1) toy_attention(
    const Launch launch,
    const Element* __restrict__ q,
    const Element* __restrict__ q_history,
    const Element* __restrict__ k,
    const Element* __restrict__ v,
    const float* __restrict__ parameters,
    const int* __restrict__ positions,
    Element* __restrict__ o,
    float* __restrict__ lse
) {
  // All of the block's shared memory, in words.
  extern __shared__ __align__(16) float arena[];
  const int thread = threadIdx.x;
  const Batch batch = open_batch(launch, positions);
  const unsigned first_head = blockIdx.y * HEAD_BLOCK;
  // The tiles with the most keys first: the short ones fill the gaps at the end.
  const int tile_row = launch.row_begin + int(gridDim.x - 1u - blockIdx.x) * TILE_Q;

  // Steps along the keys: from the first key that the convolutions read for the tile's rows until the results, which
  // trail the scores by the right reach, have passed the last key that these rows see.
  const int2 range = key_range(batch, min(tile_row + TILE_Q, launch.row_end) - 1);
  const int first_step = max(0, range.x - REACH_LEFT) / TILE_K;
  const int last_step = range.y > range.x ? (range.y + LAG + TILE_K - 1) / TILE_K : first_step;

  for (int i = thread; i < ARENA_WORDS; i += THREADS) arena[i] = 0.0f;
  __syncthreads();

  // TEAM neighbouring lanes share a row of the softmax.
  const int own_row = thread / TEAM;
  const int lane = thread % TEAM;
  const bool owns = own_row < ROWS;
  float* const own_scores = arena + AFTER_SCORES_CONV_AT + own_row * AFTER_SCORES_CONV_ROW_STRIDE + lane * 4;
  float row_max = HIDDEN;
  float row_sum = 0.0f;
  // Stays 0 as long as all scores are finite, else becomes NaN: a row with one that is not is NaN as a whole.
  float row_probe = 0.0f;

  // Results: blocks of four rows by four values, kept in registers over all steps.
  float results[BLOCKS][4][4] = {};

  for (int step = first_step; step < last_step; step++) {
    // Scores of the step's new keys.
    {
      const int first_key = step * TILE_K;
      const bool inside = interior(batch, tile_row - RAW_ABOVE, RAW_ROWS, first_key, TILE_K);
      for (int unit = thread; unit < HEAD_BLOCK * (RAW_ROWS / 4) * (TILE_K / 4); unit += THREADS) {
        const int column = unit % (TILE_K / 4) * 4;
        const int r = unit / (TILE_K / 4) % (RAW_ROWS / 4) * 4;
        const int h = HEAD_BLOCK > 1 ? unit / (RAW_ROWS / 4 * (TILE_K / 4)) : 0;
        const unsigned head = first_head + h;
        const int row = tile_row - RAW_ABOVE + r;
        const int key = first_key + column;
        const unsigned seen = see(batch, row, key, inside);
        float block[4][4] = {};
        if (seen != 0u) dot_block(block, batch, q, q_history, k, head, row, key);
        float* const to = arena + RAW_AT + RAW_CARRY + h * RAW_HEAD_STRIDE + r * RAW_ROW_STRIDE + column;
#pragma unroll
        for (int i = 0; i < 4; i++) {
          finish_scores(block[i], seen >> 4 * i);
          write_four(to + i * RAW_ROW_STRIDE, block[i]);
        }
      }
    }
    __syncthreads();
    // scores.conv (line 8), conv 2x9 (reads 1 row before, 4 keys left, 4 keys right).
    {
      const int first_key = step * TILE_K - AFTER_SCORES_CONV_LAG;
      const bool inside = interior(batch, tile_row, AFTER_SCORES_CONV_ROWS, first_key, TILE_K);
      for (int unit = thread; unit < HEAD_BLOCK * (AFTER_SCORES_CONV_ROWS / 4) * (TILE_K / 4); unit += THREADS) {
        const int column = unit % (TILE_K / 4) * 4;
        const int r = unit / (TILE_K / 4) % (AFTER_SCORES_CONV_ROWS / 4) * 4;
        const int h = HEAD_BLOCK > 1 ? unit / (AFTER_SCORES_CONV_ROWS / 4 * (TILE_K / 4)) : 0;
        const unsigned head = first_head + h;
        const int row = tile_row + r;
        const int key = first_key + column;
        const unsigned seen = see(batch, row, key, inside);
        float block[4][4] = {};
        if (seen != 0u) {
          const float* const from = arena + RAW_AT + h * RAW_HEAD_STRIDE + r * RAW_ROW_STRIDE + column;
          scores_conv(block, scores_conv_kernel(parameters, head), from);
        }
        float* const to = arena + AFTER_SCORES_CONV_AT + AFTER_SCORES_CONV_CARRY + h * AFTER_SCORES_CONV_HEAD_STRIDE
          + r * AFTER_SCORES_CONV_ROW_STRIDE + column;
#pragma unroll
        for (int i = 0; i < 4; i++) {
          finish_scores_conv(block[i], seen >> 4 * i);
          write_four(to + i * AFTER_SCORES_CONV_ROW_STRIDE, block[i]);
        }
      }
    }
    __syncthreads();
    // Keep the last columns: the next step's taps reach back to them.
    for (int line = thread; line < HEAD_BLOCK * RAW_ROWS; line += THREADS) {
      float4* const words = reinterpret_cast<float4*>(arena + RAW_AT + line * RAW_ROW_STRIDE);
      for (int c = 0; c < RAW_CARRY / 4; c++) words[c] = words[c + TILE_K / 4];
    }
    // Online softmax (Milakov and Gimelshein 2018): the row's maximum so far, then weights relative to it.
    {
      float scores[SHARE][4];
      float highest = HIDDEN;
      if (owns) {
#pragma unroll
        for (int i = 0; i < SHARE; i++) {
          read_four(scores[i], own_scores + i * 4 * TEAM);
          highest = fmaxf(highest, fmaxf(fmaxf(scores[i][0], scores[i][1]), fmaxf(scores[i][2], scores[i][3])));
        }
      }
      highest = lanes_max<TEAM>(highest);
      if (owns) {
        highest = fmaxf(highest, row_max);
        const float factor = expf(row_max - highest);
        row_max = highest;
        row_sum *= factor;
#pragma unroll
        for (int i = 0; i < SHARE; i++) {
#pragma unroll
          for (int j = 0; j < 4; j++) {
            row_probe = fmaf(scores[i][j], 0.0f, row_probe);
            scores[i][j] = scores[i][j] == HIDDEN ? 0.0f : expf(scores[i][j] - highest);
            row_sum += scores[i][j];
          }
          write_four(own_scores + i * 4 * TEAM, scores[i]);
        }
        if (lane == 0) arena[FACTORS_AT + own_row] = factor;
      }
    }
    __syncthreads();
    // Weights times values.
    {
      const int step_key = step * TILE_K - AFTER_SCORES_CONV_LAG;
      const bool inside = interior(batch, tile_row, TILE_Q, step_key, TILE_K);
      each_result(results, thread, [&](float (&block)[4][4], int r, int) {
        scale_rows(block, arena + FACTORS_AT + r);
      });
      const int first_key = (max(0, step_key) - step_key) / 4 * 4;
      const int end_key = min(TILE_K, range.y - step_key);
      for (int column = first_key; column < end_key; column += 4) {
        float4 x[4];
        bool known = false;
        bool plain = inside;
        each_result(results, thread, [&](float (&block)[4][4], int r, int value) {
          const unsigned head = first_head + r / TILE_Q;
          if (!known || !SAME_VALUES) {
            load_values(x, batch, v, head, step_key + column, value);
            plain = inside || all_finite(x);
            known = true;
          }
          float weights[4][4];
#pragma unroll
          for (int i = 0; i < 4; i++)
            read_four(weights[i], arena + AFTER_SCORES_CONV_AT + (r + i) * AFTER_SCORES_CONV_ROW_STRIDE + column);
          if (plain) add_products(block, weights, x, 0xffffu);
          else add_products(block, weights, x, see_rarely(batch, tile_row + r % TILE_Q, step_key + column));
        });
      }
    }
    __syncthreads();
  }

  // The row's sum over its lanes; a row that sees no key has weights of zero and a log-sum-exp of minus infinity.
  row_sum = lanes_sum<TEAM>(row_sum + row_probe);
  if (owns && lane == 0) {
    const float factor = row_sum == 0.0f ? 0.0f : 1.0f / row_sum;
    arena[FACTORS_AT + own_row] = factor;
    const int row = tile_row + own_row % TILE_Q;
    const unsigned head = first_head + own_row / TILE_Q;
    if (row < launch.row_end) {
      const float log_sum = row_sum == 0.0f ? -INFINITE : row_max + logf(row_sum);
      if (row >= 0) lse[row_at(batch, head, row)] = log_sum;
    }
  }
  __syncthreads();
  each_result(results, thread, [&](float (&block)[4][4], int r, int) { scale_rows(block, arena + FACTORS_AT + r); });

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

}  // namespace attention

}  // namespace mtac_toy

// Launching the kernels from C and C++: what toy.h declares. Left out where the kernels alone are compiled.
#if !defined(__CUDACC_RTC__) && !defined(MTAC_KERNELS_ONLY)
#include "toy.h"
#include <algorithm>
#include <climits>
#include <cstdint>

namespace mtac_toy {

namespace {

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
  if (grid.x > INT_MAX || grid.y > 65535 || grid.z > 65535) return TOY_ERROR_TOO_LARGE;
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z));
  kernel<<<blocks, threads, shared_bytes, stream>>>(arguments...);
  return cudaPeekAtLastError();
}

/// Where things lie in the caller's workspace, in bytes.
struct Workspace {
  size_t lse;
  size_t bytes;
};

Workspace lay_out(const toy_call& call) {
  Workspace workspace{};
  const auto place = [&workspace](long long bytes) {
    const size_t at = workspace.bytes;
    workspace.bytes += (static_cast<size_t>(bytes) + 255) / 256 * 256;
    return at;
  };
  // The kernels write the log-sum-exp of the rows even where the caller does not want it.
  if (call.lse == nullptr) workspace.lse = place(4LL * call.batches * TOY_HEADS * call.query_rows);
  return workspace;
}

/// The strides of a contiguous tensor where the caller gives none.
inline toy_strides strides_of(const toy_strides& given, unsigned heads, int rows, unsigned size) {
  if (given.batch != 0 || given.head != 0 || given.row != 0) return given;
  const unsigned head = static_cast<unsigned>(rows) * size;
  return {heads * head, head, size};
}

/// The part of the launch block that all launches of a call share.
Launch describe(const toy_call& call) {
  Launch launch{};
  launch.query_rows = call.query_rows;
  launch.key_rows = call.key_rows;
  launch.history_rows = call.history_rows;
  const toy_strides q = strides_of(call.q_strides, TOY_HEADS, call.query_rows, TOY_HEAD_DIM);
  launch.q_stride_b = q.batch;
  launch.q_stride_h = q.head;
  launch.q_stride_l = q.row;
  const toy_strides k = strides_of(call.k_strides, TOY_KV_HEADS, call.key_rows, TOY_HEAD_DIM);
  launch.k_stride_b = k.batch;
  launch.k_stride_h = k.head;
  launch.k_stride_l = k.row;
  const toy_strides v = strides_of(call.v_strides, TOY_KV_HEADS, call.key_rows, TOY_VALUE_DIM);
  launch.v_stride_b = v.batch;
  launch.v_stride_h = v.head;
  launch.v_stride_l = v.row;
  const toy_strides q_history = strides_of(call.q_history_strides, TOY_HEADS, call.history_rows, TOY_HEAD_DIM);
  launch.q_history_stride_b = q_history.batch;
  launch.q_history_stride_h = q_history.head;
  launch.q_history_stride_l = q_history.row;
  const toy_strides o = strides_of(call.o_strides, TOY_HEADS, call.query_rows, TOY_VALUE_DIM);
  launch.o_stride_b = o.batch;
  launch.o_stride_h = o.head;
  launch.o_stride_l = o.row;
  launch.has_positions = call.positions != nullptr ? 1u : 0u;
  return launch;
}

}  // namespace

size_t workspace_bytes(const toy_call& call) {
  return lay_out(call).bytes;
}

/// The plan's loops and launches. The call has been checked, the workspace is large enough.
int launch_all(const toy_call& call, unsigned char* workspace_at, cudaStream_t stream) {
  const long long B = call.batches;
  const long long Lq = call.query_rows;
  const Workspace workspace = lay_out(call);
  const Element* const q = static_cast<const Element*>(call.q);
  const Element* const k = static_cast<const Element*>(call.k);
  const Element* const v = static_cast<const Element*>(call.v);
  const Element* const q_history = static_cast<const Element*>(call.q_history);
  Element* const o = static_cast<Element*>(call.o);
  float* const lse = call.lse != nullptr ? call.lse : reinterpret_cast<float*>(workspace_at + workspace.lse);
  const Launch common = describe(call);

  for (long long batch = 0; batch < B; batch += 65535) {
    Launch launch = common;
    launch.batch = static_cast<unsigned>(batch);
    launch.row_end = static_cast<int>(Lq);
    if (const int error = queue(attention::toy_attention, {ceil_div(Lq, 4), 2, std::min<long long>(65535, B - batch)},
      128, 3536, stream, launch, q, q_history, k, v, call.parameters, call.positions, o, lse))
      return error;
  }
  return 0;
}

}  // namespace mtac_toy

namespace mtac_toy {

namespace {

/// Strides are multiples of what one load takes, and so are the pointers.
bool aligned(const void* pointer, const toy_strides& strides, unsigned elements) {
  return reinterpret_cast<uintptr_t>(pointer) % (elements * 4) == 0 && strides.batch % elements == 0 &&
    strides.head % elements == 0 && strides.row % elements == 0;
}

int check(const toy_call* call) {
  if (call == nullptr) return TOY_ERROR_NULL_POINTER;
  if (call->batches < 1) return TOY_ERROR_SIZE - 100;
  if (call->key_rows < 1) return TOY_ERROR_SIZE - 300;
  if (call->query_rows < 1 || call->query_rows > call->key_rows) return TOY_ERROR_SIZE - 200;
  if (call->history_rows < 0) return TOY_ERROR_SIZE - 400;
  if (call->positions == nullptr && call->history_rows > 0 && call->history_rows > call->key_rows - call->query_rows)
    return TOY_ERROR_SIZE - 400;
  long long rows = call->query_rows > call->key_rows ? call->query_rows : call->key_rows;
  if (call->history_rows > rows) rows = call->history_rows;
  if (rows * call->batches * TOY_HEADS > INT_MAX) return TOY_ERROR_TOO_LARGE;
  // Offsets of rows within contiguous tensors are 32-bit strides.
  if (rows * TOY_HEADS * 128 > UINT_MAX) return TOY_ERROR_TOO_LARGE;
  if (call->q == nullptr) return TOY_ERROR_NULL_POINTER - 500;
  if (call->k == nullptr) return TOY_ERROR_NULL_POINTER - 700;
  if (call->v == nullptr) return TOY_ERROR_NULL_POINTER - 800;
  if (call->o == nullptr) return TOY_ERROR_NULL_POINTER - 900;
  if (call->parameters == nullptr) return TOY_ERROR_NULL_POINTER - 1000;
  if (call->history_rows > 0 && call->q_history == nullptr) return TOY_ERROR_NULL_POINTER - 600;
  if (!aligned(call->q, call->q_strides, 4)) return TOY_ERROR_ALIGNMENT - 500;
  if (!aligned(call->k, call->k_strides, 4)) return TOY_ERROR_ALIGNMENT - 700;
  if (!aligned(call->v, call->v_strides, 4)) return TOY_ERROR_ALIGNMENT - 800;
  if (!aligned(call->q_history, call->q_history_strides, 4)) return TOY_ERROR_ALIGNMENT - 600;
  if (!aligned(call->o, call->o_strides, 4)) return TOY_ERROR_ALIGNMENT - 900;
  return 0;
}

}  // namespace

}  // namespace mtac_toy

extern "C" size_t toy_workspace_bytes(const toy_call* call) {
  if (mtac_toy::check(call) != 0) return 0;
  return mtac_toy::workspace_bytes(*call);
}

extern "C" int toy_launch(const toy_call* call, void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (const int error = mtac_toy::check(call)) return error;
  const size_t needed = toy_workspace_bytes(call);
  if (workspace_bytes < needed || (needed > 0 && workspace == nullptr)) return TOY_ERROR_WORKSPACE;
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0) return TOY_ERROR_ALIGNMENT - 1500;
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
  if (capability >= 80 && shared_bytes >= 3536) return mtac_toy::launch_all(*call, memory, stream);
  return TOY_ERROR_DEVICE;
}

extern "C" const char* toy_error_string(int error) {
  switch (error) {
    case 0: return "no error";
    case TOY_ERROR_NULL_POINTER: return "the call is a null pointer";
    case TOY_ERROR_SIZE - 100:
      return "batches must be at least 1";
    case TOY_ERROR_SIZE - 300:
      return "key_rows must be at least 1";
    case TOY_ERROR_SIZE - 200:
      return "query_rows must be at least 1 and at most key_rows";
    case TOY_ERROR_SIZE - 400:
      return "history_rows must be at least 0 and, without positions, at most key_rows - query_rows";
    case TOY_ERROR_NULL_POINTER - 500:
      return "q is a null pointer";
    case TOY_ERROR_NULL_POINTER - 700:
      return "k is a null pointer";
    case TOY_ERROR_NULL_POINTER - 800:
      return "v is a null pointer";
    case TOY_ERROR_NULL_POINTER - 900:
      return "o is a null pointer";
    case TOY_ERROR_NULL_POINTER - 1000:
      return "parameters is a null pointer";
    case TOY_ERROR_NULL_POINTER - 600:
      return "q_history is a null pointer, and history_rows is not 0";
    case TOY_ERROR_ALIGNMENT - 500:
      return "q is not aligned to 16 bytes, or one of its strides is no multiple of 4 elements";
    case TOY_ERROR_ALIGNMENT - 700:
      return "k is not aligned to 16 bytes, or one of its strides is no multiple of 4 elements";
    case TOY_ERROR_ALIGNMENT - 800:
      return "v is not aligned to 16 bytes, or one of its strides is no multiple of 4 elements";
    case TOY_ERROR_ALIGNMENT - 600:
      return "q_history is not aligned to 16 bytes, or one of its strides is no multiple of 4 elements";
    case TOY_ERROR_ALIGNMENT - 900:
      return "o is not aligned to 16 bytes, or one of its strides is no multiple of 4 elements";
    case TOY_ERROR_ALIGNMENT - 1500:
      return "workspace is not aligned to 256 bytes";
    case TOY_ERROR_TOO_LARGE: return "the call is too large for one launch: split the batch";
    case TOY_ERROR_WORKSPACE: return "the workspace is smaller than toy_workspace_bytes says";
    case TOY_ERROR_DEVICE: return "the device is older than the architectures that the kernels were made for";
    default: return error > 0 ? cudaGetErrorString(static_cast<cudaError_t>(error)) : "unknown error";
  }
}

#endif
