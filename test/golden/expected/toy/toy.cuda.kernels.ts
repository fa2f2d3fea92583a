// attention toy, from toy.mta:3. Made by mtac 0.1.0: change the spec and compile it again, not this file.

import type { Artifact, Pipeline } from "mtac/runtime/cuda";

/** What the kernels compute, every default of the spec filled in. */
export const pipeline: Pipeline = {
  name: "toy",
  heads: 2,
  kvHeads: 2,
  headDim: 128,
  valueDim: 128,
  scale: 0.08838834764831843,
  storage: "f32",
  mask: [{ kind: "causal" }],
  normalize: "softmax",
  scores: [
    {
      kind: "conv",
      name: "scores.conv",
      kernel: { query: 2, key: 9 },
      origin: { query: 1, key: 4 },
      dilation: { query: 1, key: 1 },
      across: 1,
      shared: false,
      weight: "scores.conv.weight",
      bias: null,
      source: { file: "toy.mta", line: 8, column: 13 },
    },
  ],
  weights: [],
  output: [],
  parameters: [{ name: "scores.conv.weight", shape: [2, 1, 2, 9], init: { kind: "identity" } }],
  source: { file: "toy.mta", line: 3, column: 1 },
};

/** Plans, the most preferred first, and the kernels that they name. */
export const artifact: Artifact = {
  name: "toy",
  plans: [
    {
      pipeline,
      format: 2,
      target: "cuda",
      schedule: "single_pass",
      storage: "f32",
      knobs: { lowering: "direct", tile_q: 4, tile_k: 64, workgroup: 128 },
      requires: { workgroupBytes: 3536, invocations: 128, storageBuffers: 8, features: [], computeCapability: 80 },
      parameters: [{ name: "scores.conv.weight", offset: 0, length: 36 }],
      parameterWords: 36,
      alignment: { q: 4, k: 4, v: 4, o: 4 },
      workspace: [],
      definitions: [],
      kernels: [
        {
          name: "attention",
          file: "toy.cu",
          entryPoint: "toy_attention",
          workgroupSize: 128,
          workgroupBytes: 3536,
          bindings: [
            { binding: 0, access: "uniform", resource: "launch" },
            { binding: 1, access: "read", resource: "q" },
            { binding: 2, access: "read", resource: "q_history" },
            { binding: 3, access: "read", resource: "k" },
            { binding: 4, access: "read", resource: "v" },
            { binding: 5, access: "read", resource: "parameters" },
            { binding: 6, access: "read", resource: "positions" },
            { binding: 7, access: "read_write", resource: "o" },
            { binding: 8, access: "read_write", resource: "lse" },
          ],
          overrides: {},
          source: { file: "toy.mta", line: 3, column: 1 },
          launch: [
            "query_rows",
            "key_rows",
            "history_rows",
            "q_stride_b",
            "q_stride_h",
            "q_stride_l",
            "q_history_stride_b",
            "q_history_stride_h",
            "q_history_stride_l",
            "k_stride_b",
            "k_stride_h",
            "k_stride_l",
            "v_stride_b",
            "v_stride_h",
            "v_stride_l",
            "o_stride_b",
            "o_stride_h",
            "o_stride_l",
            "has_positions",
            "batch",
            "row_begin",
            "row_end",
          ],
        },
      ],
      steps: [
        {
          kind: "loop",
          variable: "batch",
          from: 0,
          to: "B",
          by: 65535,
          body: [
            {
              kind: "dispatch",
              kernel: "attention",
              grid: [["ceilDiv", ["sub", "Lq", 0], 4], 2, ["min", 65535, ["sub", "B", "batch"]]],
              launch: { batch: "batch", row_begin: 0, row_end: "Lq" },
              multiplyAdds: [
                "mul",
                ["mul", 3717, "Lk"],
                ["ceilDiv", ["sub", "Lq", 0], 4],
                ["min", 65535, ["sub", "B", "batch"]],
              ],
            },
          ],
        },
      ],
      nominal: { B: 1, Lq: 1024, Lk: 1024, R: 0 },
      cost: {
        multiplyAdds: 487079936,
        floorMultiplyAdds: 287590400,
        bytes: 296288256,
        barriers: 21920,
        time: 149525.23974609375,
      },
    },
  ],
  sources: {
    "toy.cu": `// toy (toy.mta:3): kernels of the schedule single_pass.
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
constexpr float SCALE = 0.08838834764831843f;
/// Score of a pair that is not visible: finite so that differences of two are 0. No visible one has it.
constexpr float HIDDEN = -3.40282346e38f;
constexpr float INFINITE = __builtin_huge_valf();
/// Positions beyond it count as this one: no key is there, and what windows and kernels add stays within 32 bits.
constexpr int LARGEST_POSITION = 0x7dffffff;

/// What one batch entry changes: where its rows stand and how many of its keys are filled.
struct Batch {
  unsigned index;
  /// Absolute position of row 0.
  int first_position;
  int keys;
};

__device__ __forceinline__ Batch open_batch(const Launch& launch, const int* positions, unsigned index) {
  Batch batch;
  batch.index = index;
  batch.first_position = launch.has_positions != 0u
    ? min(positions[index], LARGEST_POSITION - launch.query_rows)
    : launch.key_rows - launch.query_rows;
  batch.keys = launch.key_rows;
  return batch;
}

/// Keys [x, y) outside of which rows \`first\` to \`last\` see nothing; [0, 0) where they see nothing at all.
__device__ __forceinline__ int2 key_range(const Batch& batch, int last) {
  const int low = 0;
  const int high = min(batch.keys, batch.first_position + last + 1);
  return low < high ? make_int2(low, high) : make_int2(0, 0);
}

/// Whether all rows [row, row + rows) exist and see all keys [key, key + keys): there nothing needs testing.
__device__ __forceinline__ bool interior(const Launch& launch, const Batch& batch, int row, int rows, int key,
    int keys) {
  const int first = batch.first_position + row;
  return row >= -launch.history_rows && row + rows <= launch.query_rows && key >= 0 && key + keys <= batch.keys
    && key + keys - 1 <= first;
}

/// Whether a row sees a key. Rows and keys that do not exist see nothing and are not seen.
__device__ __forceinline__ bool visible(const Launch& launch, const Batch& batch, int row, int key) {
  bool seen = row >= -launch.history_rows && row < launch.query_rows && key >= 0 && key < batch.keys;
  const int position = batch.first_position + row;
  seen = seen && key <= position;
  return seen;
}

/// An element of q, k, v and o.
using Element = float;

/// Four neighbouring elements of a row of queries or keys.
__device__ __forceinline__ float4 load_head(const Element* from) {
  return *reinterpret_cast<const float4*>(from);
}

__device__ __forceinline__ float4 load_head_at(const Element* row, int first) {
  return load_head(row + first);
}

/// Four neighbouring elements of a row of values.
__device__ __forceinline__ float4 load_value(const Element* from) {
  return *reinterpret_cast<const float4*>(from);
}

__device__ __forceinline__ float4 load_value_at(const Element* row, int first) {
  return load_value(row + first);
}

/// Stores four values of a row of results from \`first\` on, as far as the row goes.
__device__ __forceinline__ void store_results(Element* row, int first, const float (&x)[4]) {
  *reinterpret_cast<float4*>(row + first) = make_float4(x[0], x[1], x[2], x[3]);
}

/// Four neighbouring words at a 16-byte boundary.
__device__ __forceinline__ void read_four(float (&x)[4], const float* from) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  x[0] = four.x;
  x[1] = four.y;
  x[2] = four.z;
  x[3] = four.w;
}

__device__ __forceinline__ void write_four(float* to, const float (&x)[4]) {
  *reinterpret_cast<float4*>(to) = make_float4(x[0], x[1], x[2], x[3]);
}

__device__ __forceinline__ void clear_block(float (&block)[4][4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) block[i][j] = 0.0f;
  }
}

/// Four rows, each times a factor of its own.
__device__ __forceinline__ void scale_rows(float (&block)[4][4], const float* factors) {
  float own[4];
  read_four(own, factors);
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) block[i][j] *= own[i];
  }
}

/// Which of the rows row .. row + 3 see which of the keys key .. key + 3: bit 4 i + j for row i and key j.
__device__ __forceinline__ unsigned see(const Launch& launch, const Batch& batch, int row, int key, bool inside) {
  if (inside) return 0xffffu;
  unsigned seen = 0u;
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      if (visible(launch, batch, row + i, key + j)) seen |= 1u << (4 * i + j);
    }
  }
  return seen;
}

/// Where a query row lies, in the history where it is before row 0.
__device__ __forceinline__ const Element* query_row(const Launch& launch, const Element* q, const Element* q_history,
    unsigned batch, unsigned head, int row) {
  if (row < 0) {
    return q_history + size_t(batch) * launch.q_history_stride_b + size_t(head) * launch.q_history_stride_h
      + size_t(row + launch.history_rows) * launch.q_history_stride_l;
  }
  return q + size_t(batch) * launch.q_stride_b + size_t(head) * launch.q_stride_h + size_t(row) * launch.q_stride_l;
}

/// Query rows row .. row + 3 times keys key .. key + 3, scaled; rows and keys that do not exist repeat their
/// neighbours.
__device__ __forceinline__ void dot_block(float (&block)[4][4], const Launch& launch, const Batch& batch,
    const Element* q, const Element* q_history, const Element* k, unsigned head, int row, int key) {
  const Element* const keys_of_head = k + size_t(batch.index) * launch.k_stride_b
    + size_t(head / HEADS_PER_KEY) * launch.k_stride_h;
  const Element* queries[4];
  const Element* keys[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    queries[i] = query_row(launch, q, q_history, batch.index, head,
      max(-launch.history_rows, min(row + i, launch.query_rows - 1)));
    keys[i] = keys_of_head + size_t(max(0, min(key + i, launch.key_rows - 1))) * launch.k_stride_l;
  }
  clear_block(block);
#pragma unroll 1
  for (int d = 0; d < HEAD_DIM; d += 4) {
    float4 y[4];
#pragma unroll
    for (int j = 0; j < 4; j++) y[j] = load_head_at(keys[j], d);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float4 x = load_head_at(queries[i], d);
#pragma unroll
      for (int j = 0; j < 4; j++) {
        block[i][j] = fmaf(x.x, y[j].x, fmaf(x.y, y[j].y, fmaf(x.z, y[j].z, fmaf(x.w, y[j].w, block[i][j]))));
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) block[i][j] *= SCALE;
  }
}

/// y[j] += sum over b of w[b] * x[SHIFT + b + j] for four neighbouring outputs; x lies at a 16-byte boundary.
template <int TAPS, int SHIFT>
__device__ __forceinline__ void convolve(float (&y)[4], const float (&w)[TAPS], const float* x) {
  constexpr int FOURS = (SHIFT + TAPS + 3 + 3) / 4;
  float window[FOURS * 4];
#pragma unroll
  for (int i = 0; i < FOURS; i++) {
    const float4 four = *reinterpret_cast<const float4*>(x + 4 * i);
    window[4 * i] = four.x;
    window[4 * i + 1] = four.y;
    window[4 * i + 2] = four.z;
    window[4 * i + 3] = four.w;
  }
#pragma unroll
  for (int b = 0; b < TAPS; b++) {
#pragma unroll
    for (int j = 0; j < 4; j++) y[j] = fmaf(w[b], window[SHIFT + b + j], y[j]);
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

/// Adds weights of four rows times values of four keys to results; \`weights[i]\` are row i's.
__device__ __forceinline__ void add_products(float (&results)[4][4], const float (&weights)[4][4],
    const float4 (&x)[4]) {
#pragma unroll
  for (int key = 0; key < 4; key++) {
#pragma unroll
    for (int i = 0; i < 4; i++) add_product(results[i], weights[i][key], x[key]);
  }
}

/// The same for the pairs that are \`seen\`: values that a row does not see, which may be anything, must not reach it.
__device__ __forceinline__ void add_seen_products(float (&results)[4][4], const float (&weights)[4][4],
    const float4 (&x)[4], unsigned seen) {
#pragma unroll
  for (int key = 0; key < 4; key++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (seen >> (4 * i + key) & 1u) add_product(results[i], weights[i][key], x[key]);
    }
  }
}

/// Sum over TEAM neighbouring lanes, and the largest of them; all lanes of a warp take part.
template <int TEAM>
__device__ __forceinline__ float sum_of_team(float x) {
#pragma unroll
  for (int i = TEAM / 2; i > 0; i /= 2) x += __shfl_xor_sync(~0u, x, i);
  return x;
}

template <int TEAM>
__device__ __forceinline__ float largest_of_team(float x) {
#pragma unroll
  for (int i = TEAM / 2; i > 0; i /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, i));
  return x;
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

/// An entry: 0 where not visible.
__device__ __forceinline__ float finish_scores(float value, bool seen) {
  if (!seen) return 0.0f;
  return value;
}

/// An entry: HIDDEN where not visible, so that the softmax leaves it out.
__device__ __forceinline__ float finish_scores_conv(float value, bool seen) {
  if (!seen) return HIDDEN;
  return value;
}

/// The kernel with which \`head\` reads its own entries.
__device__ __forceinline__ const float* scores_conv_kernel(const float* parameters, unsigned head) {
  return parameters + SCORES_CONV_WEIGHT_AT + size_t(head) * (SCORES_CONV_QUERY * SCORES_CONV_KEY);
}

/// scores.conv (line 8), conv 2x9 (reads 1 row before, 4 keys left, 4 keys right).
/// Adds what one head contributes to four rows by four keys. \`x\` is the tile's entry SCORES_CONV_SHIFT words before
/// the first tap of the first of them.
__device__ __forceinline__ void scores_conv(float (&y)[4][4], const float* kernel, const float* x) {
#pragma unroll 1
  for (int a = 0; a < SCORES_CONV_QUERY; a++) {
    const float* const taps = kernel + a * SCORES_CONV_KEY;
    const float* const line = x + a * SCORES_CONV_DILATION_QUERY * RAW_ROW_STRIDE;
    convolve_rows<SCORES_CONV_KEY, SCORES_CONV_SHIFT, RAW_ROW_STRIDE>(y, taps, line);
  }
}

/// Makes rows that NaN or infinities have reached NaN as a whole, so that none looks half right.
__device__ __forceinline__ void poison_rows(float (&results)[BLOCKS][4][4], int* row_flags, int thread) {
  // 0 times a number is 0, times anything else NaN.
  float probes[BLOCKS][4];
  float probe = 0.0f;
#pragma unroll
  for (int b = 0; b < BLOCKS; b++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      probes[b][i] = 0.0f;
#pragma unroll
      for (int j = 0; j < 4; j++) probes[b][i] = fmaf(results[b][i][j], 0.0f, probes[b][i]);
      probe += probes[b][i];
    }
  }
  // Almost always that is all.
  if (!__syncthreads_or(probe != 0.0f)) return;
  for (int r = thread; r < ROWS; r += THREADS) row_flags[r] = 0;
  __syncthreads();
#pragma unroll
  for (int b = 0; b < BLOCKS; b++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (probes[b][i] != 0.0f) atomicOr(row_flags + (thread + b * THREADS) / VALUE_BLOCKS * 4 + i, 1);
    }
  }
  __syncthreads();
#pragma unroll
  for (int b = 0; b < BLOCKS; b++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int r = (thread + b * THREADS) / VALUE_BLOCKS * 4 + i;
      if (r < ROWS && row_flags[r] != 0) {
#pragma unroll
        for (int j = 0; j < 4; j++) results[b][i][j] = __int_as_float(0x7fffffff);
      }
    }
  }
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
  const Batch batch = open_batch(launch, positions, launch.batch + blockIdx.z);
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
  float results[BLOCKS][4][4];
#pragma unroll
  for (int b = 0; b < BLOCKS; b++) clear_block(results[b]);

  for (int step = first_step; step < last_step; step++) {
    // Scores of the step's new keys.
    {
      const int first_key = step * TILE_K;
      const bool inside = interior(launch, batch, tile_row - RAW_ABOVE, RAW_ROWS, first_key, TILE_K);
      for (int unit = thread; unit < (RAW_ROWS / 4) * (TILE_K / 4); unit += THREADS) {
        const int column = unit % (TILE_K / 4) * 4;
        const int r = unit / (TILE_K / 4) * 4;
        const unsigned head = first_head;
        const int row = tile_row - RAW_ABOVE + r;
        const int key = first_key + column;
        const unsigned seen = see(launch, batch, row, key, inside);
        float block[4][4];
        clear_block(block);
        if (seen != 0u) dot_block(block, launch, batch, q, q_history, k, head, row, key);
        float* const to = arena + RAW_AT + RAW_CARRY + r * RAW_ROW_STRIDE + column;
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
          for (int j = 0; j < 4; j++) {
            block[i][j] = finish_scores(block[i][j], seen >> (4 * i + j) & 1u);
          }
          write_four(to + i * RAW_ROW_STRIDE, block[i]);
        }
      }
    }
    __syncthreads();
    // scores.conv (line 8), conv 2x9 (reads 1 row before, 4 keys left, 4 keys right).
    {
      const int first_key = step * TILE_K - AFTER_SCORES_CONV_LAG;
      const bool inside = interior(launch, batch, tile_row, AFTER_SCORES_CONV_ROWS, first_key, TILE_K);
      for (int unit = thread; unit < (AFTER_SCORES_CONV_ROWS / 4) * (TILE_K / 4); unit += THREADS) {
        const int column = unit % (TILE_K / 4) * 4;
        const int r = unit / (TILE_K / 4) * 4;
        const unsigned head = first_head;
        const int row = tile_row + r;
        const int key = first_key + column;
        const unsigned seen = see(launch, batch, row, key, inside);
        float block[4][4];
        clear_block(block);
        if (seen != 0u) {
          const float* const from = arena + RAW_AT + r * RAW_ROW_STRIDE + column;
          scores_conv(block, scores_conv_kernel(parameters, head), from);
        }
        float* const to = arena + AFTER_SCORES_CONV_AT + AFTER_SCORES_CONV_CARRY + r * AFTER_SCORES_CONV_ROW_STRIDE
          + column;
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
          for (int j = 0; j < 4; j++) {
            block[i][j] = finish_scores_conv(block[i][j], seen >> (4 * i + j) & 1u);
          }
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
      highest = largest_of_team<TEAM>(highest);
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
      const bool inside = interior(launch, batch, tile_row, TILE_Q, step_key, TILE_K);
#pragma unroll
      for (int b = 0; b < BLOCKS; b++) {
        if (THREADS * (b + 1) <= OUTPUT_BLOCKS || thread + b * THREADS < OUTPUT_BLOCKS) {
          scale_rows(results[b], arena + FACTORS_AT + (thread + b * THREADS) / VALUE_BLOCKS * 4);
        }
      }
      const int first_key = (max(0, step_key) - step_key) / 4 * 4;
      const int end_key = min(TILE_K, range.y - step_key);
      for (int column = first_key; column < end_key; column += 4) {
        float4 x[4];
        bool plain = inside;
#pragma unroll
        for (int b = 0; b < BLOCKS; b++) {
          const int unit = thread + b * THREADS;
          if (THREADS * (b + 1) > OUTPUT_BLOCKS && unit >= OUTPUT_BLOCKS) break;
          const int r = unit / VALUE_BLOCKS * 4;
          if (b == 0 || !SAME_VALUES) {
            const Element* const values = v + size_t(batch.index) * launch.v_stride_b
              + size_t((first_head + r / TILE_Q) / HEADS_PER_KEY) * launch.v_stride_h;
#pragma unroll
            for (int i = 0; i < 4; i++) {
              // Keys that do not exist repeat their neighbours; nobody sees them.
              const int key = max(0, min(step_key + column + i, launch.key_rows - 1));
              x[i] = load_value_at(values + size_t(key) * launch.v_stride_l, unit % VALUE_BLOCKS * 4);
            }
            plain = inside || all_finite(x);
          }
          float weights[4][4];
#pragma unroll
          for (int i = 0; i < 4; i++)
            read_four(weights[i], arena + AFTER_SCORES_CONV_AT + (r + i) * AFTER_SCORES_CONV_ROW_STRIDE + column);
          if (plain) {
            add_products(results[b], weights, x);
          } else {
            const unsigned seen = see(launch, batch, tile_row + r % TILE_Q, step_key + column, false);
            add_seen_products(results[b], weights, x, seen);
          }
        }
      }
    }
    __syncthreads();
  }

  // The row's sum over its lanes; a row that sees no key has weights of zero and a log-sum-exp of minus infinity.
  row_sum = sum_of_team<TEAM>(row_sum + row_probe);
  if (owns && lane == 0) {
    const float factor = row_sum == 0.0f ? 0.0f : 1.0f / row_sum;
    arena[FACTORS_AT + own_row] = factor;
    const int row = tile_row + own_row % TILE_Q;
    const unsigned head = first_head + own_row / TILE_Q;
    if (row < launch.row_end) {
      const float log_sum = row_sum == 0.0f ? -INFINITE : row_max + logf(row_sum);
      lse[size_t(batch.index * HEADS + head) * launch.query_rows + row] = log_sum;
    }
  }
  __syncthreads();
#pragma unroll
  for (int b = 0; b < BLOCKS; b++) {
    if (THREADS * (b + 1) <= OUTPUT_BLOCKS || thread + b * THREADS < OUTPUT_BLOCKS) {
      scale_rows(results[b], arena + FACTORS_AT + (thread + b * THREADS) / VALUE_BLOCKS * 4);
    }
  }

  poison_rows(results, reinterpret_cast<int*>(arena), thread);

#pragma unroll
  for (int b = 0; b < BLOCKS; b++) {
    const int unit = thread + b * THREADS;
    if (THREADS * (b + 1) > OUTPUT_BLOCKS && unit >= OUTPUT_BLOCKS) break;
    const int r = unit / VALUE_BLOCKS * 4;
    const int row = tile_row + r % TILE_Q;
    Element* const lines = o + size_t(batch.index) * launch.o_stride_b
      + size_t(first_head + r / TILE_Q) * launch.o_stride_h;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (row + i < launch.row_end)
        store_results(lines + size_t(row + i) * launch.o_stride_l, unit % VALUE_BLOCKS * 4, results[b][i]);
    }
  }
}

}  // namespace attention

}  // namespace mtac_toy
`,
  },
};
