// full (full.mta:3): kernels of the schedule staged.
//
// spec: heads 4, head_dim 32, value_dim 32, mask causal, storage f16-native
// plan: staged, lowering toeplitz, tile_q 64, tile_k 64, taps registers, product_tile_q 64
// Made by mtac: change the spec and compile it again, not this file.
//
// Needs nothing but the CUDA toolkit; no headers for the kernels, so that NVRTC compiles them too.

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "mtac's kernels need sm_80 or newer: nvcc -arch=sm_80, or set(CMAKE_CUDA_ARCHITECTURES 80) before project()"
#endif

namespace mtac_full {

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
  int statistics_history;
};

constexpr int HEADS = 4;
/// Consecutive query heads that share a key/value head.
constexpr int HEADS_PER_KEY = 1;
constexpr int HEAD_DIM = 32;
constexpr int VALUE_DIM = 32;
constexpr float SCALE = 0.17677669529663687f;
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

/// An element of q, k, v and o: the bits of an f16.
using Element = unsigned short;

constexpr float LOG2_E = 1.44269504088896340736f;

/// 2^x.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

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

/// Where a row lies among the rows of the call; where its statistics lie, which rows of the history have, too.
__device__ __forceinline__ size_t row_at(const Batch& batch, unsigned head, int row) {
  return size_t(batch.index * HEADS + head) * batch.launch.query_rows + row;
}

__device__ __forceinline__ size_t statistic_at(const Batch& batch, unsigned head, int row) {
  const int history = batch.launch.statistics_history;
  return size_t(batch.index * HEADS + head) * (history + batch.launch.query_rows) + history + row;
}

/// The same of what maps' rows are relative to.
__device__ __forceinline__ size_t reference_row(const Batch& batch, unsigned head, int row) {
  const int history = batch.launch.history_rows;
  return size_t(batch.index * HEADS + head) * (history + batch.launch.query_rows) + history + row;
}

/// A row's statistics; those of a row that does not exist make all weights 0.
__device__ __forceinline__ float2 row_statistic(const Batch& batch, const float2* statistics, unsigned head, int row,
    bool exists) {
  return exists ? statistics[statistic_at(batch, head, row)] : make_float2(0.0f, 0.0f);
}

/// Two f32 as f16, `low` in the low half.
__device__ __forceinline__ unsigned pack_f16(float low, float high) {
  unsigned pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

/// Both of a pair as f32.
__device__ __forceinline__ float2 unpack_f16(unsigned pair) {
  float2 values;
  asm("{ .reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high; }"
    : "=f"(values.x), "=f"(values.y) : "r"(pair));
  return values;
}

__device__ __forceinline__ float low_f16(unsigned pair) {
  float value;
  asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, low; }" : "=f"(value) : "r"(pair));
  return value;
}

__device__ __forceinline__ float high_f16(unsigned pair) {
  float value;
  asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, high; }" : "=f"(value) : "r"(pair));
  return value;
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

constexpr float LN_2 = 0.69314718055994530942f;
constexpr float LARGEST_F16 = 65504.0f;
/// The signs of a pair of 16-bit numbers.
constexpr unsigned SIGNS = 0x80008000u;

/// A thread's place in its block, and in the fragments of mma: rows `group` and `group` + 8, columns 2 * quad and the
/// next.
struct Lane {
  int thread;
  int warp;
  int index;
  int group;
  int quad;
};

__device__ __forceinline__ Lane own_lane() {
  const int thread = threadIdx.x;
  const int index = thread & 31;
  // The warp is the same for all its lanes, and known to be: branches on it stay uniform.
  return {thread, __shfl_sync(~0u, thread >> 5, 0), index, index >> 2, index & 3};
}

/// Address of shared memory as ldmatrix and cp.async want it.
__device__ __forceinline__ unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

/// Four 8x8 matrices of 16-bit elements; lane 8i + r addresses row r of matrix i (PTX ISA, "ldmatrix").
__device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
    : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

/// The same, each matrix transposed.
__device__ __forceinline__ void ldmatrix_x4_trans(unsigned (&r)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
    : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

/// Two 8x8 matrices, addressed by lanes 0 to 15.
__device__ __forceinline__ void ldmatrix_x2(unsigned (&r)[2], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
    : "=r"(r[0]), "=r"(r[1]) : "r"(address) : "memory");
}

/// d = a b + c on 16x16 by 16x8 tiles, f32 accumulation (PTX ISA, "Matrix Fragments for mma.m16n8k16").
__device__ __forceinline__ void mma_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1,
    const float (&c)[4]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
    "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
    : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
    : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

/// d += a b; d = a b where it is the first product of a sum.
__device__ __forceinline__ void mma_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, bool first) {
  const float c[4] = {first ? 0.0f : d[0], first ? 0.0f : d[1], first ? 0.0f : d[2], first ? 0.0f : d[3]};
  mma_f16(d, a, b0, b1, c);
}

/// d += a b on 16x8 by 8x8 tiles.
__device__ __forceinline__ void mma_f16_k8(float (&d)[4], unsigned a0, unsigned a1, unsigned b) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
    "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"
    : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
    : "r"(a0), "r"(a1), "r"(b), "f"(d[0]), "f"(d[1]), "f"(d[2]), "f"(d[3]));
}

/// KEYS neighbouring keys of a row of a map from global memory, and to it.
template <int KEYS>
__device__ __forceinline__ void load_keys(unsigned (&keys)[KEYS / 2], size_t from) {
  if constexpr (KEYS == 8) {
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(keys[0]), "=r"(keys[1]), "=r"(keys[2]), "=r"(keys[3]) : "l"(from) : "memory");
  } else if constexpr (KEYS == 4) {
    asm volatile("ld.global.v2.u32 {%0, %1}, [%2];" : "=r"(keys[0]), "=r"(keys[1]) : "l"(from) : "memory");
  } else {
    asm volatile("ld.global.u32 %0, [%1];" : "=r"(keys[0]) : "l"(from) : "memory");
  }
}

template <int KEYS, int OFFSET>
__device__ __forceinline__ void store_keys(size_t to, const unsigned (&keys)[KEYS / 2]) {
  if constexpr (KEYS == 8) {
    asm volatile("st.global.v4.u32 [%4 + %5], {%0, %1, %2, %3};"
      ::"r"(keys[0]), "r"(keys[1]), "r"(keys[2]), "r"(keys[3]), "l"(to), "n"(OFFSET) : "memory");
  } else if constexpr (KEYS == 4) {
    asm volatile("st.global.v2.u32 [%2 + %3], {%0, %1};" ::"r"(keys[0]), "r"(keys[1]), "l"(to), "n"(OFFSET) : "memory");
  } else {
    asm volatile("st.global.u32 [%1 + %2], %0;" ::"r"(keys[0]), "l"(to), "n"(OFFSET) : "memory");
  }
}

/// Copies 16 bytes to shared memory in the background, or writes zeros there.
__device__ __forceinline__ void cp_async(unsigned to, const void* from, bool exists) {
  const int bytes = exists ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

__device__ __forceinline__ void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits until at most N of this thread's groups of copies are under way.
template <int N>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/// The larger one; NaN if one of them is.
__device__ __forceinline__ float max_or_nan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
}

/// What f16 holds of a number without a bound: the largest it has; NaN stays.
__device__ __forceinline__ float within_f16(float value) {
  float within;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(within) : "f"(value), "f"(LARGEST_F16));
  return max_or_nan(within, -LARGEST_F16);
}

/// The same of two, as a pair.
__device__ __forceinline__ unsigned pack_within_f16(float low, float high) {
  unsigned pair = pack_f16(low, high);
  asm("min.NaN.f16x2 %0, %0, %1;" : "+r"(pair) : "r"(0x7bff7bffu));
  asm("max.NaN.f16x2 %0, %0, %1;" : "+r"(pair) : "r"(0xfbfffbffu));
  return pair;
}

/// What rounding two f32 to f16 leaves over, in f16: pairs of the two hold 22 bits.
__device__ __forceinline__ unsigned rest_f16(unsigned rounded, float low, float high) {
  return pack_f16(low - low_f16(rounded), high - high_f16(rounded));
}

__device__ __forceinline__ void store_f16(void* to, float value) {
  unsigned short half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
  *static_cast<unsigned short*>(to) = half;
}

/// Exponents of a f16 pair plus one: all ones, which mean infinity or NaN, carry into the sign bits.
__device__ __forceinline__ unsigned carry_exponents(unsigned pair) {
  return (pair & 0x7c007c00u) + 0x04000400u;
}

/// Leaves 0 in both halves of `probe` while all eight elements are finite: 0 times what is not is NaN.
__device__ __forceinline__ void probe_128(unsigned& probe, const uint4& eight) {
  const unsigned pairs[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
  for (int i = 0; i < 4; i++) asm("fma.rn.f16x2 %0, %1, %2, %0;" : "+r"(probe) : "r"(pairs[i]), "r"(0u));
}

/// Calls `take` with each of a thread's units of eight elements in ROWS rows of CHUNKS units.
template <int ROWS, int CHUNKS, int ROW_BYTES, int THREADS, typename Take>
__device__ __forceinline__ void each_tile_unit(unsigned char* rows, int thread, const Take& take) {
  constexpr int UNITS = ROWS * CHUNKS;
  constexpr int ROUNDS = (UNITS + THREADS - 1) / THREADS;
#pragma unroll
  for (int i = 0; i < ROUNDS; i++) {
    // Where the number of units in a row divides that of threads, a thread's units lie below each other.
    const bool below = THREADS % CHUNKS == 0;
    const int id = thread + (below ? 0 : i * THREADS);
    const int down = below ? i * (THREADS / CHUNKS) : 0;
    if (UNITS % THREADS != 0 && thread + i * THREADS >= UNITS) return;
    take(rows + (id / CHUNKS + down) * ROW_BYTES + id % CHUNKS * 16);
  }
}

/// A f16 pair without what is infinite or NaN.
__device__ __forceinline__ unsigned only_finite(unsigned pair) {
  const unsigned bad = carry_exponents(pair) & SIGNS;
  return pair & ~((bad >> 15) * 0xffffu);
}

__device__ __forceinline__ uint4 only_finite_128(const uint4& eight) {
  return make_uint4(only_finite(eight.x), only_finite(eight.y), only_finite(eight.z), only_finite(eight.w));
}

/// Fragments of N blocks of eight columns: entry [n][2 * h + i] lies in row 8 * h + group, column 8 * n + 2 * quad + i.
template <int COUNT, int N, typename Apply>
__device__ __forceinline__ void each_entry(float (&y)[N][4], const Apply& apply) {
#pragma unroll
  for (int n = 0; n < COUNT; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) apply(y[n][i], n, i);
  }
}

/// The same of all of a warp's blocks of rows.
template <int COUNT, int X, int N, typename Apply>
__device__ __forceinline__ void each_entry(float (&y)[X][N][4], const Apply& apply) {
#pragma unroll
  for (int x = 0; x < X; x++) each_entry<COUNT>(y[x], [&](float& entry, int n, int i) { apply(entry, x, n, i); });
}

template <int X, int N>
__device__ __forceinline__ void fill(float (&y)[X][N][4], float value) {
  each_entry<N>(y, [&](float& entry, int, int, int) { entry = value; });
}

/// A lane's entries of one of its two rows, in order.
template <int COUNT, int N>
__device__ __forceinline__ void read_row(const float (&y)[N][4], int h, float (&row)[COUNT]) {
#pragma unroll
  for (int i = 0; i < COUNT; i++) row[i] = y[i / 2][2 * h + i % 2];
}

/// What weights are relative to: the maximum, or anything finite for a row that has seen nothing: its weights are 0.
__device__ __forceinline__ float reference_of(float highest) {
  return highest == HIDDEN ? 0.0f : highest;
}

/// The binary logarithm of a sum of weights, to 22 bits (PTX ISA, "lg2").
__device__ __forceinline__ float log2_approx(float x) {
  float y;
  asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// The log-sum-exp of a row: of its maximum, and the sum of its weights beside that.
__device__ __forceinline__ float log_sum_exp(float highest, float exponent, float sum) {
  if (sum == 0.0f) return -INFINITE;
  return (highest * exponent + log2_approx(sum)) * LN_2;
}

/// What a row's softmax leaves for later kernels: the maximum, and the sum's reciprocal. Not one log-sum-exp: where the
/// maximum is large, rounding would take the sum away.
__device__ __forceinline__ float2 statistic_of(float highest, float sum) {
  return make_float2(highest, sum == 0.0f ? 0.0f : 1.0f / sum);
}

/// A pair of exponentials divided by their row's sum.
__device__ __forceinline__ unsigned quotients_of(unsigned pair, float2 statistic) {
  const float2 values = unpack_f16(pair);
  return pack_f16(values.x * statistic.y, values.y * statistic.y);
}

__device__ __forceinline__ uint4 quotients_of_128(const uint4& eight, float2 statistic) {
  return make_uint4(
    quotients_of(eight.x, statistic), quotients_of(eight.y, statistic), quotients_of(eight.z, statistic),
    quotients_of(eight.w, statistic));
}

/// The same key, the first or the second of two, of two heads.
__device__ __forceinline__ unsigned pair_heads(unsigned first, unsigned second, int which) {
  return __byte_perm(first, second, which == 0 ? 0x5410u : 0x7632u);
}

/// The keys that a row sees at most: the first one, and how many.
__device__ __forceinline__ int2 row_keys(const Batch& batch, int row) {
  const int2 range = key_range(batch, row);
  const bool exists = row >= -batch.launch.history_rows && row < batch.launch.query_rows;
  return make_int2(range.x, exists ? range.y - range.x : 0);
}

/// Whether keys [range.x, range.y) are among [key, key + count).
__device__ __forceinline__ bool overlaps(int2 range, int key, int count) {
  return key + count > range.x && key < range.y;
}

/// Whether a row sees any of the keys [key, key + count) at most. Units of which it sees none are written by nobody in
/// a map.
__device__ __forceinline__ bool holds_seen(const Batch& batch, int row, int key, int count) {
  return overlaps(key_range(batch, row), key, count);
}

/// Hides a score where its row, which sees `keys` at most, does not see its key. In place: the value of a choice would
/// cost registers.
__device__ __forceinline__ void show(
    float& score, int2 keys, int key, float hidden) {
  const bool seen = unsigned(key - keys.x) < unsigned(keys.y);
  if (!seen) score = hidden;
}

namespace scores_conv {

// Queries times keys on tensor cores, then
// scores.conv (line 9), conv 6x11, as products with banded Toeplitz matrices,
// to the strip's other map.

constexpr int WARPS = 4;
constexpr int THREADS = 128;
/// Blocks of sixteen rows of a warp.
constexpr int ROW_BLOCKS = 1;
/// Rows of a block.
constexpr int TILE_Q = 64;
/// Keys of a step.
constexpr int TILE_K = 64;
/// Blocks of eight keys of a step.
constexpr int GRANULES = 8;
/// Blocks of eight keys that later steps finish.
constexpr int CARRIED = 2;
/// The last ones of them.
constexpr int TAIL = 1;
/// Keys by which results trail the scores that they are made of.
constexpr int LAG = 8;
/// Keys around an entry that the convolution reads.
constexpr int REACH_LEFT = 5;
constexpr int REACH_RIGHT = 5;
/// Rows around an entry that the convolution reads.
constexpr int REACH_PAST = 5;
constexpr int REACH_FUTURE = 0;
/// Steps of sixteen along head_dim.
constexpr int D_STEPS = 2;
/// Keys whose scores are made at a time.
constexpr int COLUMNS = 32;
/// 16-byte units of a query row.
constexpr int Q_CHUNKS = 4;
/// Rows in shared memory: an odd number of 16-byte units, against bank conflicts.
constexpr int Q_ROW_BYTES = 80;
constexpr int K_ROW_BYTES = 80;
/// Bytes of shared memory where things lie.
constexpr int K_AT = 0;
constexpr int Q_AT = 0;
constexpr int HALO_AT = 5120;
/// Rows around the tile that the convolution reads.
constexpr int HALO_PAST = 8;
constexpr int HALO_FUTURE = 0;
constexpr int HALO_ROWS = 8;
constexpr int S_ROW_BYTES = 144;
constexpr int S_AT = 5760;
/// scores.conv (line 9), conv 6x11
constexpr int KERNEL_QUERY = 6;
constexpr int KERNEL_KEY = 11;
/// The tap that meets the current key.
constexpr int ORIGIN_KEY = 5;
constexpr int DILATION_KEY = 1;
/// The tap that meets the current row.
constexpr int ORIGIN_QUERY = 5;
constexpr int DILATION_QUERY = 1;
/// Blocks of eight keys in reach to the right.
constexpr int GRANULES_RIGHT = 1;
/// Blocks of eight keys in reach.
constexpr int DISTANCES = CARRIED + 1;
/// Pairs of kernel rows.
constexpr int TAP_PAIRS = 3;
/// scores.conv.weight in parameters.
constexpr int WEIGHT_AT = 0;
/// What the rows' scores are relative to.
constexpr int REFERENCES_AT = 16128;
constexpr int REFERENCE_ROWS = TILE_Q + HALO_ROWS;
constexpr int CONSTANTS_AT = REFERENCES_AT + REFERENCE_ROWS * 4;
constexpr int TAP_SUMS_AT = CONSTANTS_AT + TILE_Q * 4;
/// Keys around an entry for which taps are summed up.
constexpr int TAP_SUMS = REACH_LEFT + REACH_RIGHT + REACH_PAST + REACH_FUTURE + 16;
constexpr int KEY_MEANS_AT = CONSTANTS_AT + TILE_Q * 4 + (KERNEL_QUERY * TAP_SUMS + 3) / 4 * 16;
/// Rows in shared memory: an odd number of 16-byte units, against bank conflicts.
constexpr int MEAN_BYTES = D_STEPS * 32 + 16;
/// Blocks of sixteen keys whose means rows meet.
constexpr int KEY_MEANS = 1;
/// Keys of the map that a block writes.
constexpr int CHUNK = 512;
/// Keys to which the map's rows are padded.
constexpr int MAP_ALIGNMENT = 64;

/// Calls `apply` with the place and the number of each row that a lane has entries of.
template <typename Apply>
__device__ __forceinline__ void each_row(int own_row, const Lane& lane, const Apply& apply) {
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int h = 0; h < 2; h++) apply(x, h, own_row + 16 * x + 8 * h + lane.group);
  }
}

/// Calls `apply` with the place and the first row of each block of sixteen rows of a warp.
template <typename Apply>
__device__ __forceinline__ void each_block(int own_row, const Apply& apply) {
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) apply(x, own_row + 16 * x);
}

/// Whether all keys [key, key + count) are in the range of each of them.
__device__ __forceinline__ bool all_within(const int2 (&ranges)[ROW_BLOCKS], int key, int count) {
  bool within = true;
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) within = within && key >= ranges[x].x && key + count <= ranges[x].y;
  return within;
}

/// The tap of kernel row a that an output reads `offset` keys to its right, as f32; 0 where the kernel has none.
__device__ __forceinline__ float tap(const float* kernel, int a, int offset) {
  const int b = offset / DILATION_KEY + ORIGIN_KEY;
  if (a < 0 || a >= KERNEL_QUERY || b < 0 || b >= KERNEL_KEY) return 0.0f;
  return kernel[a * KERNEL_KEY + b];
}

/// Fragments of the convolution: kernel rows in pairs, distances in blocks of eight keys from right to left.
struct Taps {
  unsigned pairs[TAP_PAIRS][DISTANCES][2];
};

/// Pairs of neighbouring taps of each kernel row, in order, in shared memory: fragments of banded matrices are made of
/// them. `RESTS`: then what rounding them leaves over, too. The whole block calls this.
template <int ROWS, int OFFSETS, bool RESTS, typename Tap>
__device__ __forceinline__ void store_tap_pairs(unsigned* pairs, int thread, const Tap& tap) {
  for (int id = thread; id < ROWS * OFFSETS; id += THREADS) {
    const float low = tap(id / OFFSETS, id % OFFSETS);
    const float high = tap(id / OFFSETS, id % OFFSETS + 1);
    const unsigned pair = pack_f16(low, high);
    pairs[id] = pair;
    if (RESTS) pairs[ROWS * OFFSETS + id] = rest_f16(pair, low, high);
  }
  __syncthreads();
}

/// Makes them, by way of shared memory. The whole block calls this.
__device__ __forceinline__ void make_taps(const float* kernel, const Lane& lane, unsigned char* shared_memory,
    Taps& taps) {
  // From what the last of eight keys has to its left on.
  constexpr int FIRST = 8 * (GRANULES_RIGHT + 1 - DISTANCES) - 7;
  constexpr int OFFSETS = 8 * DISTANCES + 6;
  unsigned* const pairs = reinterpret_cast<unsigned*>(shared_memory);
  store_tap_pairs<2 * TAP_PAIRS, OFFSETS, false>(
    pairs, lane.thread, [&](int a, int i) { return tap(kernel, a, FIRST + i); });
  const unsigned* const own = pairs + 7 + 2 * lane.quad - lane.group;
#pragma unroll
  for (int pair = 0; pair < TAP_PAIRS; pair++) {
#pragma unroll
    for (int j = 0; j < DISTANCES; j++) {
#pragma unroll
      for (int a = 0; a < 2; a++) {
        const unsigned* const from = own + (2 * pair + a) * OFFSETS + 8 * (DISTANCES - 1 - j);
        taps.pairs[pair][j][a] = from[0];
      }
    }
  }
}

/// Fragments of one or two kernel rows: sixteen rows by eight keys each.
template <int SIZE>
__device__ __forceinline__ void load_fragment(unsigned (&a)[SIZE], unsigned address) {
  if constexpr (SIZE == 4) ldmatrix_x4(a, address);
  else ldmatrix_x2(a, address);
}

/// y += scores * taps; y = the product where it is the first.
template <int SIZE>
__device__ __forceinline__ void multiply_taps(
    float (&y)[4], const unsigned (&scores)[SIZE], unsigned taps0, unsigned taps1, bool first) {
  if constexpr (SIZE == 4) {
    mma_f16(y, scores, taps0, taps1, first);
  } else {
    if (first) y[0] = y[1] = y[2] = y[3] = 0.0f;
    mma_f16_k8(y, scores[0], scores[1], taps0);
  }
}

/// What a block of eight source keys adds to the blocks of results in reach, through ROWS kernel rows from 2 * pair on.
template <int ROWS>
__device__ __forceinline__ void convolve_rows(
    float (*y)[4], unsigned scores, int pair, const Taps& taps) {
  const unsigned from = scores + 2 * pair * DILATION_QUERY * S_ROW_BYTES;
  unsigned a[2 * ROWS];
  load_fragment(a, from);
#pragma unroll
  for (int j = 0; j < DISTANCES; j++) {
    // The block farthest to the left is new.
    const bool first = pair == 0 && j == CARRIED;
    multiply_taps(y[j], a, taps.pairs[pair][j][0], taps.pairs[pair][j][1], first);
  }
}

/// Convolves the scores of a step. Each block of eight source keys feeds all blocks of results in reach; finished ones
/// move on, the others are carried.
/// Where not ALL are needed, only those that `needed` says, of each block of rows.
template <bool ALL>
__device__ __forceinline__ void convolve(
    float (&y)[ROW_BLOCKS][GRANULES + CARRIED][4], unsigned scores, const Taps& taps, const int2 (&needed)[ROW_BLOCKS],
    int key) {
#pragma unroll
  for (int s = 0; s < GRANULES; s++) {
#pragma unroll
    for (int x = 0; x < ROW_BLOCKS; x++) {
      if (!ALL && !overlaps(needed[x], key + 8 * s, 8)) {
        y[x][s + CARRIED][0] = y[x][s + CARRIED][1] = y[x][s + CARRIED][2] = y[x][s + CARRIED][3] = 0.0f;
        continue;
      }
      const unsigned block = scores + x * 16 * S_ROW_BYTES + s * 16;
#pragma unroll
      for (int pair = 0; pair < KERNEL_QUERY / 2; pair++) {
        convolve_rows<2>(y[x] + s, block, pair, taps);
      }
      // The last one of an odd number of kernel rows stands alone.
      if (KERNEL_QUERY % 2 == 1) {
        convolve_rows<1>(y[x] + s, block, TAP_PAIRS - 1, taps);
      }
    }
  }
}

/// Clears the warp's scores of COLUMNS keys: nothing is seen of them, but the rows below read these zeros.
__device__ __forceinline__ void clear_scores(unsigned char* scores, const Lane& lane) {
#pragma unroll
  for (int i = 0; i < 16 * ROW_BLOCKS * COLUMNS / 8 / 32; i++) {
    const int id = lane.index + i * 32;
    const int r = HALO_PAST + lane.warp * ROW_BLOCKS * 16 + id / (COLUMNS / 8);
    unsigned char* const to = scores + r * S_ROW_BYTES + id % (COLUMNS / 8) * 16;
    store(to, make_uint4(0u, 0u, 0u, 0u));
  }
}

/// Writes the warp's scores of COLUMNS keys to where the convolution reads them.
__device__ __forceinline__ void store_scores(unsigned char* own, const float (&s)[ROW_BLOCKS][COLUMNS / 8][4]) {
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        unsigned char* const to = own + (x * 16 + 8 * h) * S_ROW_BYTES + n * 16;
        const unsigned pair = pack_within_f16(s[x][n][2 * h], s[x][n][2 * h + 1]);
        store(to, pair);
      }
    }
  }
}

/// Rows lie in their order.
__device__ __forceinline__ constexpr int place_of(int row) {
  return row;
}

__device__ __forceinline__ constexpr int key_at(int place) {
  return place;
}

/// Rows [first, first + ROWS) of a tensor of `rows` rows to shared memory; rows outside of it and elements past SIZE
/// become 0.
template <int ROWS, int SIZE, int ROW_BYTES>
__device__ __forceinline__ void load_rows(
    unsigned to, const Element* from, size_t stride, int first, int rows, int thread) {
  constexpr int CHUNKS = (SIZE + 15) / 16 * 2;
  // Most tiles lie inside the tensor: no tests. Eight lanes write at a time, four units of two rows four places apart:
  // no two of them meet in a bank.
  if (SIZE % 32 == 0 && ROWS % 8 == 0 && first >= 0 && first + ROWS <= rows) {
    constexpr int STEP = THREADS / 4;
    const int place = thread / 32 * 8 + thread / 8 % 4 + (thread / 4 & 1) * 4;
    const Element* unit = from + size_t(first + key_at(place)) * stride + thread % 4 * 8;
    to += place * ROW_BYTES + thread % 4 * 16;
#pragma unroll
    for (int i = 0; i < (ROWS + STEP - 1) / STEP; i++) {
      if (ROWS % STEP != 0 && place + i * STEP >= ROWS) break;
      // Only whole groups of 32 places lie like the first ones.
      if (STEP % 32 != 0) unit = from + size_t(first + key_at(place + i * STEP)) * stride + thread % 4 * 8;
#pragma unroll
      for (int c = 0; c < CHUNKS / 4; c++) cp_async(to + i * STEP * ROW_BYTES + c * 64, unit + c * 32, true);
      unit += STEP * stride;
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < (ROWS * CHUNKS + THREADS - 1) / THREADS; i++) {
    const int id = thread + i * THREADS;
    const int r = id / CHUNKS;
    const int c = id % CHUNKS;
    const int row = first + r;
    const bool exists = unsigned(row) < unsigned(rows) && c * 8 < SIZE;
    if (ROWS * CHUNKS % THREADS == 0 || id < ROWS * CHUNKS) {
      cp_async(to + place_of(r) * ROW_BYTES + c * 16, from + (exists ? size_t(row) * stride + c * 8 : 0), exists);
    }
  }
}

/// Copies the tile's queries to shared memory, with the rows around it.
__device__ __forceinline__ void load_queries(
    unsigned shared, const Batch& batch, const Element* q, const Element* q_history, unsigned head, int tile_row,
    int thread) {
  // Tiles without rows of the history, or past the last one, are copied as they lie.
  const Launch& launch = batch.launch;
  const bool whole = tile_row >= 0 && tile_row + TILE_Q <= launch.query_rows;
  if (whole) {
    const Element* const rows = query_row(batch, q, q_history, head, 0);
    load_rows<TILE_Q, HEAD_DIM, Q_ROW_BYTES>(shared + Q_AT, rows, launch.q_stride_l, tile_row, launch.query_rows,
      thread);
  }
  for (int id = thread + (whole ? TILE_Q * Q_CHUNKS : 0); id < (TILE_Q + HALO_ROWS) * Q_CHUNKS; id += THREADS) {
    const int r = id / Q_CHUNKS;
    const int c = id % Q_CHUNKS;
    // The halo's rows lie behind the tile's: those before it first.
    const int row = tile_row + (r < TILE_Q ? r : r < TILE_Q + HALO_PAST ? r - TILE_Q - HALO_PAST : r - HALO_PAST);
    const unsigned to = shared + (r < TILE_Q ? Q_AT + r * Q_ROW_BYTES : HALO_AT + (r - TILE_Q) * Q_ROW_BYTES);
    const bool exists = row >= -batch.launch.history_rows && row < batch.launch.query_rows && c * 8 < HEAD_DIM;
    cp_async(to + c * 16, exists ? query_row(batch, q, q_history, head, row) + c * 8 : q, exists);
  }
  cp_async_commit();
}

/// Copies a step's keys.
__device__ __forceinline__ void load_keys(
    unsigned to, const Element* keys, const Launch& launch, int first, int rows, int thread) {
  load_rows<TILE_K, HEAD_DIM, K_ROW_BYTES>(to, keys, launch.k_stride_l, first, rows, thread);
}

/// s = queries * keys where rows see any of sixteen keys, else 0.
__device__ __forceinline__ void multiply_seen(
    const unsigned (&queries)[ROW_BLOCKS][D_STEPS][4], unsigned keys, float (&s)[ROW_BLOCKS][COLUMNS / 8][4],
    const int2 (&seen)[ROW_BLOCKS], int key) {
#pragma unroll
  for (int n = 0; n < COLUMNS / 8; n += 2) {
#pragma unroll
    for (int x = 0; x < ROW_BLOCKS; x++) {
      if (!overlaps(seen[x], key + 8 * n, 16)) {
#pragma unroll
        for (int i = 0; i < 8; i++) s[x][n + i / 4][i % 4] = 0.0f;
        continue;
      }
#pragma unroll
      for (int d = 0; d < D_STEPS; d++) {
        const unsigned (&a)[4] = queries[x][d];
        unsigned b[4];
        ldmatrix_x4(b, keys + n * 8 * K_ROW_BYTES + d * 32);
        mma_f16(s[x][n], a, b[0], b[1], d == 0);
        mma_f16(s[x][n + 1], a, b[2], b[3], d == 0);
      }
    }
  }
}

/// s += queries * keys, of the first KEYS of them; s = the product where it is the first.
template <bool FIRST, int KEYS = COLUMNS>
__device__ __forceinline__ void multiply_keys(
    const unsigned (&queries)[ROW_BLOCKS][D_STEPS][4], unsigned keys, float (&s)[ROW_BLOCKS][COLUMNS / 8][4]) {
#pragma unroll
  for (int d = 0; d < D_STEPS; d++) {
#pragma unroll
    for (int n = 0; n < KEYS / 8; n += 2) {
      unsigned b[4];
      ldmatrix_x4(b, keys + n * 8 * K_ROW_BYTES + d * 32);
#pragma unroll
      for (int x = 0; x < ROW_BLOCKS; x++) {
        const unsigned (&a_x)[4] = queries[x][d];
        mma_f16(s[x][n], a_x, b[0], b[1], FIRST && d == 0);
        mma_f16(s[x][n + 1], a_x, b[2], b[3], FIRST && d == 0);
      }
    }
  }
}

/// A row's reference: what is taken off its scores before they are rounded to f16, so that what they have in common
/// costs no accuracy. Rows lie from the first one of the halo on.
__device__ __forceinline__ float& reference_at(unsigned char* shared_memory, int place) {
  return reinterpret_cast<float*>(shared_memory + REFERENCES_AT)[place];
}

/// What the convolution makes of the references for a row of the tile where all its taps are visible.
__device__ __forceinline__ float& constant_at(unsigned char* shared_memory, int row) {
  return reinterpret_cast<float*>(shared_memory + CONSTANTS_AT)[row];
}

/// Means of blocks of sixteen keys, from block `first` on; nobody asks for those that are not whole.
__device__ __forceinline__ void make_key_means(
    unsigned char* shared_memory, const Batch& batch, const Element* keys, int first, int thread) {
  for (int id = thread; id < KEY_MEANS * (HEAD_DIM / 2); id += THREADS) {
    const int key = (first + id / (HEAD_DIM / 2)) * 16;
    unsigned char* const to =
      shared_memory + KEY_MEANS_AT + id / (HEAD_DIM / 2) * MEAN_BYTES + id % (HEAD_DIM / 2) * 4;
    float2 sum = make_float2(0.0f, 0.0f);
    if (key + 16 <= batch.keys) {
      const Element* const from = keys + size_t(key) * batch.launch.k_stride_l + id % (HEAD_DIM / 2) * 2;
#pragma unroll
      for (int i = 0; i < 16; i++) {
        const unsigned pair = load_as<unsigned>(from + i * size_t(batch.launch.k_stride_l));
        sum.x += low_f16(pair);
        sum.y += high_f16(pair);
      }
    }
    store(to, pack_f16(sum.x / 16, sum.y / 16));
    if (HEAD_DIM % 16 != 0 && id % (HEAD_DIM / 2) < 4) store(to + HEAD_DIM * 2, 0u);
  }
}

/// Where a row of the tile, or of the halo around it, has its query.
__device__ __forceinline__ int query_place(int place) {
  // The halo's rows lie behind the tile's: those before it first.
  const int row = place - HALO_PAST;
  if (row < 0) return HALO_AT + place * Q_ROW_BYTES;
  return row < TILE_Q ? Q_AT + row * Q_ROW_BYTES : HALO_AT + (place - TILE_Q) * Q_ROW_BYTES;
}

/// The mean of a query's products with the last few keys that its row sees; the four lanes of a quad share it.
__device__ __forceinline__ float last_scores(
    const unsigned char* query, const Batch& batch, const Element* keys, int2 range, const Lane& lane) {
  const int end = range.y;
  float score = 0.0f;
  int count = 0;
#pragma unroll 1
  for (int key = max(range.x, end - 4); key < end; key++) {
    count++;
    const Element* const from = keys + size_t(key) * batch.launch.k_stride_l;
#pragma unroll
    for (int d = 2 * lane.quad; d < HEAD_DIM; d += 8) {
      const unsigned pair = load_as<unsigned>(from + d);
      const unsigned own = load_as<unsigned>(query + d * 2);
      score = fmaf(low_f16(own), low_f16(pair), score);
      score = fmaf(high_f16(own), high_f16(pair), score);
    }
  }
  return lanes_sum<4>(score) / float(max(1, count));
}

/// References of the tile's rows and of those around it; whether any is not 0. A query times what its row's keys have
/// in common: the mean of the first whole block of sixteen that it sees; where it sees none, that of the last few keys.
/// Keys that a row does not see must not matter to it. The queries must have arrived.
__device__ __forceinline__ bool make_references(
    unsigned char* shared_memory, const Batch& batch, const Element* keys, int tile_row, const Lane& lane) {
  bool any = false;
#pragma unroll 1
  for (int block = lane.warp; block < (REFERENCE_ROWS + 15) / 16; block += WARPS) {
    // Queries by means: all columns of a product are one where there is one mean.
    float scores[(KEY_MEANS + 7) / 8][4];
    const unsigned queries = shared_address(shared_memory)
      + query_place(min(block * 16 + (lane.index & 15), REFERENCE_ROWS - 1)) + (lane.index >> 4) * 16;
#pragma unroll
    for (int d = 0; d < D_STEPS; d++) {
      unsigned a[4];
      ldmatrix_x4(a, queries + d * 32);
#pragma unroll
      for (int n = 0; n < (KEY_MEANS + 7) / 8; n++) {
        const unsigned char* const mean =
          shared_memory + KEY_MEANS_AT + min(8 * n + lane.group, KEY_MEANS - 1) * MEAN_BYTES + d * 32 + lane.quad * 4;
        mma_f16(scores[n], a, load_as<unsigned>(mean), load_as<unsigned>(mean + 16), d == 0);
      }
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int place = block * 16 + 8 * h + lane.group;
      const bool exists = place < REFERENCE_ROWS;
      const int row = tile_row - HALO_PAST + place;
      const int2 seen = row_keys(batch, row);
      const int2 range = make_int2(seen.x, exists ? seen.x + seen.y : seen.x);
      float score = scores[0][2 * h];
      const bool whole = range.x + 16 <= range.y;
      if (__any_sync(~0u, !whole && range.y > range.x)) {
        const unsigned char* const query = shared_memory + query_place(min(place, REFERENCE_ROWS - 1));
        const float last = last_scores(query, batch, keys, range, lane);
        if (!whole) score = last;
      }
      score *= SCALE;
      // Any number will do: a coarse one leaves scores as they are that have little in common. What is not finite must
      // not spread.
      score = rintf(score * 0.25f) * 4.0f;
      if (range.y <= range.x || !(fabsf(score) < INFINITE)) score = 0.0f;
      if (lane.quad == 0 && exists) reference_at(shared_memory, place) = score;
      any = any || score != 0.0f;
    }
  }
  return __syncthreads_or(any);
}

__device__ __forceinline__ void read_references(
    unsigned char* shared_memory, const Lane& lane, float (&references)[ROW_BLOCKS][2]) {
  each_row(HALO_PAST + lane.warp * ROW_BLOCKS * 16, lane, [&](int x, int h, int place) {
    references[x][h] = reference_at(shared_memory, place);
  });
}

/// What a row of the map is relative to.
__device__ __forceinline__ float left_reference(const unsigned char* shared_memory, int row) {
  float constant = load_as<float>(shared_memory + CONSTANTS_AT + row * 4);
  return constant;
}

/// Leaves that to the kernels that read the map; one of the blocks that write a tile's rows does.
__device__ __forceinline__ void leave_references(
    unsigned char* shared_memory, const Batch& batch, float* references, unsigned head, int tile_row, int thread) {
  for (int row = thread; row < TILE_Q && tile_row + row < batch.launch.row_end; row += THREADS) {
    references[reference_row(batch, head, tile_row + row)] =
      left_reference(shared_memory, row);
  }
}

/// Sums of taps of one kernel row: of those that lie left of where the tap's row ends, if the row of the result ends
/// `keys` keys right of the result.
__device__ __forceinline__ float* tap_sums(unsigned char* shared_memory, int a, int keys) {
  return reinterpret_cast<float*>(shared_memory + TAP_SUMS_AT) + a * TAP_SUMS + REACH_LEFT + REACH_FUTURE + 7 + keys;
}

/// Rows by which kernel row a lies below the row of a result.
__device__ __forceinline__ int rows_below(int a) {
  return (a - ORIGIN_QUERY) * DILATION_QUERY;
}

/// Makes these sums, and of them what the convolution makes of the references where nothing is hidden: 0 where there
/// are none.
__device__ __forceinline__ void make_constants(
    unsigned char* shared_memory, const float* kernel, bool referenced, int thread) {
  if (!referenced) {
    for (int row = thread; row < TILE_Q; row += THREADS) constant_at(shared_memory, row) = 0.0f;
    return;
  }
  for (int id = thread; id < KERNEL_QUERY * TAP_SUMS; id += THREADS) {
    const int a = id / TAP_SUMS;
    const int keys = id % TAP_SUMS - (REACH_LEFT + REACH_FUTURE + 7);
    float sum = 0.0f;
#pragma unroll 4
    for (int b = 0; b < KERNEL_KEY; b++) {
      if ((b - ORIGIN_KEY) * DILATION_KEY < keys + rows_below(a)) sum += kernel[a * KERNEL_KEY + b];
    }
    *tap_sums(shared_memory, a, keys) = sum;
  }
  __syncthreads();
  for (int row = thread; row < TILE_Q; row += THREADS) {
    float sum = 0.0f;
#pragma unroll
    for (int a = 0; a < KERNEL_QUERY; a++) {
      const float all = *tap_sums(shared_memory, a, REACH_RIGHT + REACH_PAST + 8);
      sum = fmaf(reference_at(shared_memory, HALO_PAST + row + rows_below(a)), all, sum);
    }
    constant_at(shared_memory, row) = sum;
  }
}

/// Adds what the convolution makes of the references to a block of eight results, some of whose taps are hidden: those
/// from the `bounds` of the lane's two rows on, which lie one key further right in each row, or are the same for all.
template <bool SLANTED>
__device__ __forceinline__ void add_border(
    float (&y)[4], unsigned char* shared_memory, int place, const int (&bounds)[2], int key, float sign,
    const Lane& lane) {
  // Beyond these all taps are on one side, whatever the row.
  constexpr int FIRST = -REACH_LEFT - (SLANTED ? REACH_FUTURE : 0);
  constexpr int LAST = REACH_RIGHT + (SLANTED ? REACH_PAST : 0) + 8;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int keys = min(max(bounds[h] - key, FIRST), LAST);
    const float* const sums = tap_sums(shared_memory, 0, keys - 2 * lane.quad);
#pragma unroll
    for (int a = 0; a < KERNEL_QUERY; a++) {
      const float reference = sign * reference_at(shared_memory, place + 8 * h + rows_below(a));
      const int at = a * TAP_SUMS - (SLANTED ? 0 : rows_below(a));
      y[2 * h] = fmaf(reference, sums[at], y[2 * h]);
      y[2 * h + 1] = fmaf(reference, sums[at - 1], y[2 * h + 1]);
    }
  }
}

/// The same whatever the bounds: of each row its own.
__device__ __forceinline__ void add_corner(
    float (&y)[4], unsigned char* shared_memory, const Batch& batch, int place, int row, int key, const Lane& lane) {
#pragma unroll 1
  for (int i = 0; i < 2 * KERNEL_QUERY; i++) {
    const int h = i % 2;
    const int below = rows_below(i / 2);
    const int2 range = key_range(batch, row + 8 * h + below);
    const float reference = reference_at(shared_memory, place + 8 * h + below);
    const int end = min(max(range.y - key, -REACH_LEFT), REACH_RIGHT + 8) - below - 2 * lane.quad;
    const int first = min(max(range.x - key, -REACH_LEFT), REACH_RIGHT + 8) - below - 2 * lane.quad;
    const float* const seen = tap_sums(shared_memory, i / 2, end);
    const float* const hidden = tap_sums(shared_memory, i / 2, first);
    const float low = reference * (seen[0] - hidden[0]);
    const float high = reference * (seen[-1] - hidden[-1]);
    y[0] += h == 0 ? low : 0.0f;
    y[1] += h == 0 ? high : 0.0f;
    y[2] += h == 1 ? low : 0.0f;
    y[3] += h == 1 ? high : 0.0f;
  }
}

/// Adds what the convolution makes of the references to COUNT blocks of eight results, as far as it differs from the
/// rows' constants.
template <int COUNT, int N>
__device__ __forceinline__ void add_references(
    float (&y)[ROW_BLOCKS][N][4], unsigned char* shared_memory, const Batch& batch, int own_row, int key,
    const Lane& lane) {
  const auto all_visible = [&](int row, int rows, int first_key, int keys) {
    return interior(
      batch, row - REACH_PAST, rows + REACH_PAST + REACH_FUTURE, first_key - REACH_LEFT,
      keys + REACH_LEFT + REACH_RIGHT);
  };
  const bool inside = all_visible(own_row, 16 * ROW_BLOCKS, key, 8 * COUNT);
  if (inside) return;
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
    const int place = lane.warp * ROW_BLOCKS * 16 + 16 * x + lane.group;
    const float constants[2] = {constant_at(shared_memory, place), constant_at(shared_memory, place + 8)};
    // Whether what the rows of the taps see ends one key later in each.
    const int row = own_row + 16 * x;
    const int2 above = key_range(batch, row - REACH_PAST);
    const int2 below = key_range(batch, row + 15 + REACH_FUTURE);
    const bool slanted = below.y - above.y == 15 + REACH_PAST + REACH_FUTURE;
    int ends[2] = {above.y + REACH_PAST + lane.group, above.y + REACH_PAST + lane.group + 8};
#pragma unroll
    for (int n = 0; n < COUNT; n++) {
      const int first_key = key + 8 * n;
      // Nobody sees these.
      if (below.y > 0 && first_key >= below.y) break;
      if (all_visible(row, 16, first_key, 8)) continue;
#pragma unroll
      for (int i = 0; i < 4; i++) y[x][n][i] -= constants[i / 2];
      if (slanted) {
        add_border<true>(y[x][n], shared_memory, HALO_PAST + place, ends, first_key, 1.0f, lane);
        // Key 0 is the first that any row sees.
        if (first_key < REACH_LEFT) {
          add_border<false>(y[x][n], shared_memory, HALO_PAST + place, {0, 0}, first_key, -1.0f, lane);
        }
      } else {
        add_corner(y[x][n], shared_memory, batch, HALO_PAST + place, row + lane.group, first_key, lane);
      }
    }
  }
}

/// Writes an entry that the convolution reads.
__device__ __forceinline__ void store_score(unsigned char* scores, int place, int key, float score) {
  unsigned char* const to = scores + place * S_ROW_BYTES + key * 2;
  store_f16(to, within_f16(score));
}

/// Scores of the rows around the tile, transposed (keys times queries): eight rows at a time rather than sixteen.
__device__ __forceinline__ void make_halo(
    unsigned char* shared_memory, const Batch& batch, int tile_row, int step_key, const Lane& lane) {
  const unsigned shared = shared_address(shared_memory);
  constexpr int UNITS = HALO_ROWS / 8 * (TILE_K / 16);
#pragma unroll
  for (int u = 0; u < UNITS; u += WARPS) {
    const int unit = u + lane.warp;
    if (UNITS % WARPS != 0 && unit >= UNITS) continue;
    const int block = unit / (TILE_K / 16);
    const int keys_at = unit % (TILE_K / 16) * 16;
    const unsigned keys = shared + K_AT + (keys_at + (lane.index & 15)) * K_ROW_BYTES + (lane.index >> 4) * 16;
    const unsigned queries =
      shared + HALO_AT + (block * 8 + (lane.index & 7)) * Q_ROW_BYTES + (lane.index >> 3 & 1) * 16;
    float s[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    // Rows before the tile come first.
    const int first_row = tile_row - HALO_PAST + (block * 8 < HALO_PAST ? block * 8 : block * 8 + TILE_Q);
    if (overlaps(key_range(batch, min(first_row + 7, batch.launch.query_rows - 1)), step_key + keys_at, 16)) {
#pragma unroll
      for (int d = 0; d < D_STEPS; d++) {
        unsigned a[4];
        unsigned b[2];
        ldmatrix_x4(a, keys + d * 32);
        ldmatrix_x2(b, queries + d * 32);
        mma_f16(s, a, b[0], b[1], false);
      }
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int row = first_row + 2 * lane.quad + i;
      const int place = row - tile_row + HALO_PAST;
      const int2 row_seen = row_keys(batch, row);
      const float reference = reference_at(shared_memory, place);
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const int key = keys_at + 8 * h + lane.group;
        float score = s[2 * h + i] * SCALE;
        score -= reference;
        show(score, row_seen, step_key + key, 0.0f);
        store_score(shared_memory + S_AT, place, key, score);
      }
    }
  }
}

/// Hides the scores of COUNT blocks of eight keys that the warp's rows do not see.
template <int COUNT, int N>
__device__ __forceinline__ void hide(
    float (&y)[ROW_BLOCKS][N][4], const Batch& batch, int own_row,
    int first_key, const Lane& lane, float hidden) {
  each_row(own_row, lane, [&](int x, int h, int row) {
    const int2 keys = row_keys(batch, row);
    each_entry<COUNT>(y[x], [&](float& entry, int n, int i) {
      if (i / 2 == h) show(entry, keys, first_key + 8 * n + 2 * lane.quad + i % 2, hidden);
    });
  });
}

/// Writes COUNT blocks of eight keys of the warp's rows, from `key` on: those that the block is to write.
template <int COUNT, int N>
__device__ __forceinline__ void store_blocks(
    const float (&y)[ROW_BLOCKS][N][4], unsigned short* own, const Launch& launch, int own_row, int key, int keys_begin,
    int keys_end, const Lane& lane) {
  each_row(own_row, lane, [&](int x, int h, int row) {
    if (row >= launch.row_end) return;
    unsigned short* const to = own + size_t(16 * x + 8 * h) * launch.map_row_stride + key + 2 * lane.quad;
#pragma unroll
    for (int n = 0; n < COUNT; n++) {
      if (key + 8 * n >= keys_begin && key + 8 * n < keys_end) {
        store(to + 8 * n, pack_within_f16(y[x][n][2 * h], y[x][n][2 * h + 1]));
      }
    }
  });
}

/// The same where the block writes them all: in sectors of 32 bytes, which two neighbouring blocks share from the FIRST
/// on.
template <int FIRST, int COUNT, int N>
__device__ __forceinline__ void store_sectors(
    const float (&y)[ROW_BLOCKS][N][4], unsigned short* own, const Launch& launch, int own_row, int key,
    const Lane& lane) {
  constexpr int PAIRS = (COUNT - FIRST) / 2;
  const bool odd = lane.quad & 1;
  unsigned short* const own_key = own + key + 2 * lane.quad;
  // Of four lanes even ones write four keys of a pair's first block, odd ones of its second.
  unsigned short* const own_keys = own + key + 8 * FIRST + 8 * (lane.quad & 1) + 4 * (lane.quad >> 1);
  each_row(own_row, lane, [&](int x, int h, int row) {
    const size_t at = size_t(16 * x + 8 * h) * launch.map_row_stride;
    const auto packed = [&](int n) { return pack_within_f16(y[x][n][2 * h], y[x][n][2 * h + 1]); };
    uint2 keys[PAIRS];
#pragma unroll
    for (int pair = 0; pair < PAIRS; pair++) {
      const unsigned first = packed(FIRST + 2 * pair);
      const unsigned second = packed(FIRST + 2 * pair + 1);
      const unsigned other = __shfl_xor_sync(~0u, odd ? first : second, 1);
      keys[pair] = odd ? make_uint2(other, second) : make_uint2(first, other);
    }
    if (row >= launch.row_end) return;
    if (FIRST == 1) store(own_key + at, packed(0));
#pragma unroll
    for (int pair = 0; pair < PAIRS; pair++) store(own_keys + at + 16 * pair, keys[pair]);
    if ((COUNT - FIRST) % 2 == 1) store(own_key + at + 8 * (COUNT - 1), packed(COUNT - 1));
  });
}

/// In whole sectors, wherever `key` lies, but at the ends of what the block writes.
template <int COUNT, int N>
__device__ __forceinline__ void store_map(
    const float (&y)[ROW_BLOCKS][N][4], unsigned short* own, const Launch& launch, int own_row, int key, int keys_begin,
    int keys_end, const Lane& lane) {
  if constexpr (COUNT > 2) {
    if (key >= keys_begin && key + COUNT * 8 <= keys_end) {
      if (key % 16 == 0) store_sectors<0, COUNT>(y, own, launch, own_row, key, lane);
      else store_sectors<1, COUNT>(y, own, launch, own_row, key, lane);
      return;
    }
  }
  store_blocks<COUNT>(y, own, launch, own_row, key, keys_begin, keys_end, lane);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) full_scores_conv(
    const Launch launch,
    const Element* __restrict__ q,
    const Element* __restrict__ q_history,
    const Element* __restrict__ k,
    const float* __restrict__ parameters,
    const int* __restrict__ positions,
    unsigned short* __restrict__ result,
    float* __restrict__ result_references
) {
  extern __shared__ __align__(128) unsigned char shared_memory[];
  const unsigned shared = shared_address(shared_memory);
  const Lane lane = own_lane();
  const Batch batch = open_batch(launch, positions);
  const unsigned head = blockIdx.y;
  const int tiles = (launch.row_end - launch.row_begin + TILE_Q - 1) / TILE_Q;
  const int tile_row = launch.row_begin + int(blockIdx.x % tiles) * TILE_Q;
  const int own_row = tile_row + lane.warp * 16 * ROW_BLOCKS;
  const int2 range = key_range(batch, min(tile_row + TILE_Q, launch.row_end) - 1);
  // Keys of the map that this block writes; those that none of its rows sees are cleared.
  const int chunk_begin = launch.key_begin / 8 * 8 + int(blockIdx.x / tiles) * CHUNK;
  const int map_end = (launch.key_end + MAP_ALIGNMENT - 1) / MAP_ALIGNMENT * MAP_ALIGNMENT;
  const int2 chunk = make_int2(chunk_begin, min(chunk_begin + CHUNK, map_end));
  const int keys_begin = max(chunk.x, range.x / 8 * 8);
  const int keys_end = min(chunk.y, (range.y + 7) / 8 * 8);
  // Source keys that they are made of.
  const int source_begin = max(0, keys_begin - REACH_LEFT) / 8 * 8;
  const int source_end = min(keys_end + REACH_RIGHT, range.y);
  const int steps = keys_end > keys_begin ? max(0, source_end - source_begin + TILE_K - 1) / TILE_K : 0;
  if (steps == 0) return;

  load_queries(shared, batch, q, q_history, head, tile_row, lane.thread);
  const Element* const keys = keys_of(batch, k, head);
  const float* const kernel = parameters + WEIGHT_AT + head * (KERNEL_QUERY * KERNEL_KEY);
  Taps taps;
  make_taps(kernel, lane, shared_memory + S_AT, taps);
  const unsigned query_fragments =
    shared + Q_AT + (lane.warp * ROW_BLOCKS * 16 + (lane.index & 15)) * Q_ROW_BYTES + (lane.index >> 4) * 16;
  const unsigned key_fragments =
    shared + K_AT + ((lane.index & 7) + (lane.index >> 4 << 3)) * K_ROW_BYTES + (lane.index >> 3 & 1) * 16;

  const int first_block = (key_range(batch, tile_row + TILE_Q + HALO_FUTURE - 1).x + 15) / 16;
  make_key_means(shared_memory, batch, keys, first_block, lane.thread);
  cp_async_wait<0>();
  __syncthreads();
  const bool referenced = make_references(shared_memory, batch, keys, tile_row, lane);
  make_constants(shared_memory, kernel, referenced, lane.thread);
  cp_async_wait<0>();
  __syncthreads();
  unsigned queries[ROW_BLOCKS][D_STEPS][4];
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int d = 0; d < D_STEPS; d++) ldmatrix_x4(queries[x][d], query_fragments + x * 16 * Q_ROW_BYTES + d * 32);
  }
  // The queries' place is that of keys and values from here on.
  __syncthreads();
  load_keys(shared + K_AT, keys, launch, source_begin, source_end, lane.thread);
  cp_async_commit();
  // Of the blocks that share the tile's rows, the one whose keys are the first.
  if (range.x >= chunk.x && range.x < chunk.y) {
    leave_references(shared_memory, batch, result_references, head, tile_row, lane.thread);
  }

  // Scores of the step, then what is left of the last ones: their outputs lag by the convolution's right reach.
  float y[ROW_BLOCKS][GRANULES + CARRIED][4];
  fill(y, 0.0f);
  // The keys that the warp's rows see at most.
  int2 own_range = key_range(batch, min(own_row + 16 * ROW_BLOCKS, launch.row_end) - 1);
  // The same for rows that are only read: those past the last one that the block writes.
  const int2 made_range = key_range(batch, own_row + 16 * ROW_BLOCKS - 1);
  unsigned char* const own_scores =
    shared_memory + S_AT + (HALO_PAST + lane.warp * ROW_BLOCKS * 16 + lane.group) * S_ROW_BYTES + lane.quad * 4;
  unsigned short* const own_result = map_row(result, launch, head, own_row + lane.group);
  // Fragments of the tile's scores: lanes 16 to 31 address the second kernel row of a pair.
  const int fragment_row =
    HALO_PAST + lane.warp * ROW_BLOCKS * 16 + (lane.index & 15) + ((lane.index >> 4) - ORIGIN_QUERY) * DILATION_QUERY;
  const unsigned score_fragments = shared + S_AT + fragment_row * S_ROW_BYTES;

  for (int step = 0; step < steps; step++) {
    const int step_key = source_begin + step * TILE_K;
    cp_async_wait<0>();
    __syncthreads();
    // Queries times keys.
    const bool inside = interior(batch, own_row, 16 * ROW_BLOCKS, step_key, TILE_K);
    // Nobody needs rows that are not the block's, nor in its rows' reach.
    const int rows_end = min(launch.row_end + REACH_FUTURE, launch.query_rows);
    int2 seen[ROW_BLOCKS];
    each_block(own_row, [&](int x, int row) {
      seen[x] = key_range(batch, min(row + 15, rows_end - 1));
      seen[x].y = row < rows_end ? min(seen[x].y, source_end) : 0;
    });
#pragma unroll
    for (int c = 0; c < TILE_K; c += COLUMNS) {
      // Those that nobody reads either, not even for the rest of sixteen rows, are left as they are.
      if (own_row >= tile_row + (launch.row_end - tile_row + 15) / 16 * 16 + REACH_FUTURE) break;
      if (step_key + TILE_K <= made_range.x || step_key + c >= made_range.y) {
        clear_scores(shared_memory + S_AT + c * 2, lane);
        continue;
      }
      float s[ROW_BLOCKS][COLUMNS / 8][4];
      if (all_within(seen, step_key + c, COLUMNS)) multiply_keys<true>(queries, key_fragments + c * K_ROW_BYTES, s);
      else multiply_seen(queries, key_fragments + c * K_ROW_BYTES, s, seen, step_key + c);
      float references[ROW_BLOCKS][2];
      read_references(shared_memory, lane, references);
      each_entry<COLUMNS / 8>(s, [&](float& entry, int x, int, int i) {
        entry = fmaf(entry, SCALE, -references[x][i / 2]);
      });
      if (!inside) {
        hide<COLUMNS / 8>(s, batch, own_row, step_key + c, lane, 0.0f);
      }
      store_scores(own_scores + c * 2, s);
    }
    make_halo(shared_memory, batch, tile_row, step_key, lane);
    __syncthreads();
    // Everybody is done with these keys, and with the values of the step before.
    if (step + 1 < steps) load_keys(shared + K_AT, keys, launch, step_key + TILE_K, source_end, lane.thread);
    cp_async_commit();
    // Keys of this step's results.
    const int key = step_key - LAG;
    // The warp's rows see nothing from here on.
    if (key >= own_range.y || own_row >= launch.row_end) continue;
    // Sources that no row in reach sees are 0, and those beyond the block's last ones are another's.
    int2 needed[ROW_BLOCKS];
    each_block(own_row, [&](int x, int row) {
      const int last = min(min(row + 15, launch.row_end - 1) + REACH_FUTURE, launch.query_rows - 1);
      needed[x] = key_range(batch, last);
      needed[x].y = row < launch.row_end ? min(needed[x].y, source_end) : 0;
    });
    if (all_within(needed, step_key, TILE_K)) {
      convolve<true>(y, score_fragments, taps, needed, step_key);
    } else {
      convolve<false>(y, score_fragments, taps, needed, step_key);
    }
    if (referenced) add_references<GRANULES>(y, shared_memory, batch, own_row, key, lane);
    if (!interior(batch, own_row, 16 * ROW_BLOCKS, key, GRANULES * 8)) {
      hide<GRANULES>(y, batch, own_row, key, lane, 0.0f);
    }
    store_map<GRANULES>(y, own_result, launch, own_row, key, keys_begin, keys_end, lane);
    each_entry<CARRIED>(y, [&](float& entry, int x, int n, int i) { entry = y[x][GRANULES + n][i]; });
  }

  // The last blocks of keys: all that their taps read to the right is hidden.
  if (steps > 0) {
    const int key = source_begin + steps * TILE_K - LAG;
    if (referenced) add_references<TAIL>(y, shared_memory, batch, own_row, key, lane);
    if (!interior(batch, own_row, 16 * ROW_BLOCKS, key, TAIL * 8)) {
      hide<TAIL>(y, batch, own_row, key, lane, 0.0f);
    }
    store_map<TAIL>(y, own_result, launch, own_row, key, keys_begin, keys_end, lane);
  }
}

}  // namespace scores_conv

namespace scores_mix {

// scores.mix (line 9), mix 4, on tensor cores, and the softmax of every row.
// A warp takes one row after the other: sixteen heads by all its keys.

constexpr int WARPS = 4;
constexpr int THREADS = 128;
constexpr int ROWS_PER_WARP = 4;
/// Heads that are mixed together.
constexpr int GROUP = 4;
/// Blocks of sixteen heads that sixteen results read.
constexpr int INPUT_CHUNKS = 1;
/// Whether blocks of sixteen heads are whole.
constexpr bool ALL_HEADS = false;
/// scores.mix.weight in parameters.
constexpr int WEIGHT_AT = 264;

/// Entry [output, input] of the mix as one matrix over all heads: 0 between heads of different groups.
__device__ __forceinline__ float mix_weight(const float* parameters, int output, int input, float factor) {
  if (output >= HEADS || input >= HEADS || output / GROUP != input / GROUP) return 0.0f;
  return parameters[WEIGHT_AT + output * GROUP + input % GROUP] * factor;
}

/// Fragments of the mix: rows are output heads, columns input heads. What rounding to f16 leaves over is a second
/// fragment: products are cheap here, and exact weights are worth it.
struct Mix {
  unsigned rounded[INPUT_CHUNKS][4];
  unsigned rest[INPUT_CHUNKS][4];
};

/// A lane's input heads in a fragment of sixteen: the h-th of four.
__device__ __forceinline__ int input_of(int h, const Lane& lane) {
  return 2 * lane.quad + h % 2 + h / 2 * 8;
}

/// The mix, its columns times factors of the lane's input heads.
__device__ __forceinline__ void load_mix(
    const float* parameters, int first_output, int first_input, const float (&factors)[INPUT_CHUNKS][4],
    const Lane& lane, Mix& mix) {
#pragma unroll
  for (int c = 0; c < INPUT_CHUNKS; c++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int output = first_output + lane.group + 8 * (i & 1);
      const int h = i & 2;
      const int input = first_input + 16 * c + input_of(h, lane);
      const float first = mix_weight(parameters, output, input, factors[c][h]);
      const float second = mix_weight(parameters, output, input + 1, factors[c][h + 1]);
      mix.rounded[c][i] = pack_f16(first, second);
      mix.rest[c][i] = rest_f16(mix.rounded[c][i], first, second);
    }
  }
}

/// Where a lane reads and writes a row of the maps: bytes of key 0 in its first input head and its first output head,
/// and from one head to the next.
struct Lines {
  size_t input;
  size_t output;
  size_t next_head;
};

/// A piece of a row: a lane reads SIZE neighbouring keys of each of its input heads, which are columns of as many
/// products, and gets SIZE neighbouring keys of an output head, twice: no fragment passes through shared memory. All
/// lanes together take 8 * SIZE keys.
template <int SIZE, bool WHOLE>
struct Piece {
  static constexpr int KEYS = 8 * SIZE;
  /// The first key, and the end of those that the row sees: before it where WHOLE.
  int key;
  int end;

  /// The first key that a lane reads. They are dealt so that the four lanes of a result write neighbouring units.
  __device__ __forceinline__ int read_by(const Lane& lane) const {
    return key + SIZE * (lane.group / 2 + 4 * (lane.group & 1));
  }

  /// The first key of a lane's results, once and again.
  __device__ __forceinline__ int made_by(const Lane& lane, int c) const {
    return key + SIZE * (lane.quad + 4 * c);
  }
};

/// Calls `apply` with pieces of a row, which together are all units of eight keys of which the row sees any.
template <typename Apply>
__device__ __forceinline__ void each_piece(int2 range, const Apply& apply) {
  int key = range.x / 8 * 8;
#pragma unroll 1
  for (; key + 64 <= range.y; key += 64) apply(Piece<8, true>{key, range.y});
  if (range.y - key > 48) {
    apply(Piece<8, false>{key, range.y});
    return;
  }
  if (range.y - key > 16) {
    apply(Piece<4, false>{key, range.y});
    key += 32;
  }
  if (range.y - key > 0) apply(Piece<2, false>{key, range.y});
}

/// A lane's keys of sixteen input heads.
template <int SIZE, bool WHOLE>
__device__ __forceinline__ void load_heads(
    unsigned (&keys)[4][SIZE / 2], Piece<SIZE, WHOLE> piece, const Lines& lines, int first_input, int c,
    const Lane& lane) {
  const size_t first = lines.input + 2 * static_cast<long long>(piece.read_by(lane)) + 16 * c * lines.next_head;
#pragma unroll
  for (int h = 0; h < 4; h++) {
    const size_t from = first + (h % 2 + h / 2 * 8) * lines.next_head;
    if (WHOLE && ALL_HEADS) {
      load_keys<SIZE>(keys[h], from);
    } else {
      const bool is_head = ALL_HEADS || first_input + 16 * c + input_of(h, lane) < HEADS;
      const bool exists = piece.read_by(lane) < piece.end && is_head;
#pragma unroll
      for (int i = 0; i < SIZE / 2; i++) keys[h][i] = 0u;
      if (exists) load_keys<SIZE>(keys[h], from);
    }
  }
}

/// y = the mix of a piece, and `added` to it.
template <int SIZE, bool WHOLE>
__device__ __forceinline__ void mix_heads(
    float (&y)[SIZE][4], Piece<SIZE, WHOLE> piece, const Mix& mix, const float (&added)[4],
    const Lines& lines,
    int first_input, const Lane& lane) {
#pragma unroll
  for (int c = 0; c < INPUT_CHUNKS; c++) {
    unsigned keys[4][SIZE / 2];
    load_heads(keys, piece, lines, first_input, c, lane);
#pragma unroll
    for (int j = 0; j < SIZE; j++) {
      const unsigned low = pair_heads(keys[0][j / 2], keys[1][j / 2], j % 2);
      const unsigned high = pair_heads(keys[2][j / 2], keys[3][j / 2], j % 2);
      if (c == 0) mma_f16(y[j], mix.rest[c], low, high, added);
      else mma_f16(y[j], mix.rest[c], low, high, false);
      mma_f16(y[j], mix.rounded[c], low, high, false);
    }
  }
}

/// Keeps those of a fragment's two heads that belong to a group.
__device__ __forceinline__ unsigned only_group(unsigned pair, int input, int chosen) {
  return (input / GROUP == chosen ? pair & 0xffffu : 0u) | ((input + 1) / GROUP == chosen ? pair & 0xffff0000u : 0u);
}

/// The same, group by group: slow, for inputs that are not finite.
template <int SIZE, bool WHOLE>
__device__ __forceinline__ void mix_apart(
    float (&y)[SIZE][4], Piece<SIZE, WHOLE> piece, const Mix& mix, const float (&added)[4],
    const Lines& lines,
    int first_output, int first_input, const Lane& lane) {
#pragma unroll 1
  for (int chosen = first_output / GROUP; chosen <= (first_output + 15) / GROUP; chosen++) {
    float z[SIZE][4];
#pragma unroll
    for (int c = 0; c < INPUT_CHUNKS; c++) {
      unsigned keys[4][SIZE / 2];
      load_heads(keys, piece, lines, first_input, c, lane);
      const int input = first_input + 16 * c + 2 * lane.quad;
#pragma unroll
      for (int j = 0; j < SIZE; j++) {
        const unsigned first = pair_heads(keys[0][j / 2], keys[1][j / 2], j % 2);
        const unsigned second = pair_heads(keys[2][j / 2], keys[3][j / 2], j % 2);
        const unsigned low = only_group(first, input, chosen);
        const unsigned high = only_group(second, input + 8, chosen);
        if (c == 0) mma_f16(z[j], mix.rest[c], low, high, added);
        else mma_f16(z[j], mix.rest[c], low, high, false);
        mma_f16(z[j], mix.rounded[c], low, high, false);
      }
    }
    each_entry<SIZE>(y, [&](float& entry, int j, int i) {
      if ((first_output + lane.group + 8 * (i / 2)) / GROUP == chosen) entry = z[j][i];
    });
  }
}

/// Packs a lane's results of an output head, of a piece's first half and of its second.
template <int SIZE>
__device__ __forceinline__ void pack_head(const float (&y)[SIZE][4], int h, unsigned (&packed)[2][SIZE / 2]) {
#pragma unroll
  for (int c = 0; c < 2; c++) {
#pragma unroll
    for (int t = 0; t < SIZE / 2; t++) packed[c][t] = pack_f16(y[2 * t][2 * h + c], y[2 * t + 1][2 * h + c]);
  }
}

/// l += the sums of weights, as f16: products with ones, on tensor cores.
template <int SIZE>
__device__ __forceinline__ void add_sums(
    float (&l)[4], const unsigned (&packed)[2][2][SIZE / 2]) {
#pragma unroll
  for (int t = 0; t < SIZE / 2; t++) {
    unsigned weights[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      weights[i] = packed[i % 2][i / 2][t];
    }
    mma_f16(l, weights, 0x3c003c00u, 0x3c003c00u, false);
  }
}

/// Writes a lane's results of a piece to an output head: whole units of eight keys of which the row sees any.
template <int SIZE, bool WHOLE>
__device__ __forceinline__ void store_head(
    const unsigned (&packed)[2][SIZE / 2], Piece<SIZE, WHOLE> piece, size_t line, const Lane& lane) {
  const size_t to = line + 2 * static_cast<long long>(piece.made_by(lane, 0));
  if (WHOLE || piece.made_by(lane, 0) / 8 * 8 < piece.end) store_keys<SIZE, 0>(to, packed[0]);
  if (WHOLE || piece.made_by(lane, 1) / 8 * 8 < piece.end) store_keys<SIZE, 8 * SIZE>(to, packed[1]);
}

/// What the mix makes of the source's references of a row, in the lane's two output heads.
__device__ __forceinline__ void mix_references(
    const Mix& mix, const float* references, const Batch& batch, int row, int first_input, const Lane& lane,
    float (&mixed)[2]) {
  mixed[0] = mixed[1] = 0.0f;
  const int input = first_input + 2 * lane.quad;
  const size_t rows = batch.launch.history_rows + batch.launch.query_rows;
  const float* const from = references + reference_row(batch, input, row);
#pragma unroll
  for (int c = 0; c < INPUT_CHUNKS; c++) {
    // Two heads, then the two that lie eight further on: as the fragments have them.
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int at = 16 * c + 8 * i;
      const float low = ALL_HEADS || input + at < HEADS ? from[at * rows] : 0.0f;
      const float high = ALL_HEADS || input + at + 1 < HEADS ? from[(at + 1) * rows] : 0.0f;
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const unsigned rounded = mix.rounded[c][2 * i + h];
        const unsigned rest = mix.rest[c][2 * i + h];
        mixed[h] = fmaf(low_f16(rounded) + low_f16(rest), low, mixed[h]);
        mixed[h] = fmaf(high_f16(rounded) + high_f16(rest), high, mixed[h]);
      }
    }
  }
#pragma unroll
  for (int h = 0; h < 2; h++) mixed[h] = lanes_sum<4>(mixed[h]);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) full_scores_mix(
    const Launch launch,
    const unsigned short* __restrict__ source,
    const float* __restrict__ source_references,
    const float* __restrict__ parameters,
    const int* __restrict__ positions,
    unsigned short* __restrict__ result,
    float2* __restrict__ statistics,
    float* __restrict__ lse
) {
  const Lane lane = own_lane();
  const Batch batch = open_batch(launch, positions);
  const int first_output = blockIdx.y * 16;
  // Whole groups, from the one that the first output head belongs to.
  const int first_input = first_output / GROUP * GROUP;
  Mix mix;
  float factors[INPUT_CHUNKS][4];
#pragma unroll
  for (int c = 0; c < INPUT_CHUNKS; c++) factors[c][0] = factors[c][1] = factors[c][2] = factors[c][3] = LOG2_E;
  load_mix(parameters, first_output, first_input, factors, lane, mix);

  for (int i = 0; i < ROWS_PER_WARP; i++) {
    const int row = launch.row_begin + (int(blockIdx.x) * ROWS_PER_WARP + i) * WARPS + lane.warp;
    if (row >= launch.row_end) break;
    const int2 range = key_range(batch, row);
    const Lines lines = {
      __cvta_generic_to_global(map_row(source, launch, first_input + 2 * lane.quad, row)),
      __cvta_generic_to_global(map_row(result, launch, first_output + lane.group, row)),
      2 * size_t(launch.map_head_stride)};
    // What the row's scores are relative to.
    float references[2] = {0.0f, 0.0f};
    if (range.y > range.x) {
      mix_references(mix, source_references, batch, row, first_input, lane, references);
    }
    // Mixed scores of a piece, finished, for the lane's two output heads.
    const auto mixed = [&](auto piece, auto& y, const float (&added)[4]) {
      mix_heads(y, piece, mix, added, lines, first_input, lane);
      // 0 times NaN is NaN: what is not finite must not reach other groups of heads through the zeros between them.
      float finite = 0.0f;
      each_entry<piece.KEYS / 8>(y, [&](float entry, int, int) { finite = fmaf(entry, 0.0f, finite); });
      if (__any_sync(~0u, finite != 0.0f)) {
        mix_apart(y, piece, mix, added, lines, first_output, first_input, lane);
      }
      if (piece.key >= range.x && piece.key + piece.KEYS <= range.y) return;
      const int2 keys = make_int2(range.x, range.y - range.x);
      each_entry<piece.KEYS / 8>(y, [&](float& entry, int j, int i) {
        const int key = piece.made_by(lane, i % 2) + j;
        show(entry, keys, key, -INFINITE);
      });
    };
    const float before[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    // First the maximum of the row in two output heads.
    float m[2] = {HIDDEN, HIDDEN};
    each_piece(range, [&](auto piece) {
      float y[piece.KEYS / 8][4];
      mixed(piece, y, before);
      each_entry<piece.KEYS / 8>(y, [&](float entry, int, int i) { m[i / 2] = fmaxf(m[i / 2], entry); });
    });
    const float reference[2] = {reference_of(lanes_max<4>(m[0])), reference_of(lanes_max<4>(m[1]))};
    // Then the scores again, as weights beside it, and their sum: whoever reads them divides.
    float l[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    const float added[4] = {-reference[0], -reference[0], -reference[1], -reference[1]};
    each_piece(range, [&](auto piece) {
      float y[piece.KEYS / 8][4];
      mixed(piece, y, added);
      each_entry<piece.KEYS / 8>(y, [&](float& entry, int, int) { entry = exp2_approx(entry); });
      unsigned packed[2][2][piece.KEYS / 16];
      pack_head(y, 0, packed[0]);
      pack_head(y, 1, packed[1]);
      add_sums<piece.KEYS / 8>(l, packed);
      if (ALL_HEADS || first_output + lane.group < HEADS) store_head(packed[0], piece, lines.output, lane);
      if (ALL_HEADS || first_output + lane.group + 8 < HEADS) {
        store_head(packed[1], piece, lines.output + 8 * lines.next_head, lane);
      }
    });
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int head = first_output + lane.group + 8 * h;
      if (lane.quad != 0 || (!ALL_HEADS && head >= HEADS)) continue;
      const float total = l[2 * h];
      statistics[statistic_at(batch, head, row)] = statistic_of(reference[h], total);
      if (row >= 0) lse[row_at(batch, head, row)] = log_sum_exp(reference[h] + references[h], 1.0f, total);
    }
  }
}

}  // namespace scores_mix

namespace weights_conv {

// The softmax's weights, from the map of exponentials, then
// weights.conv (line 10), conv 6x11, as products with banded Toeplitz matrices,
// to the strip's other map.

constexpr int THREADS = 128;
/// Blocks of sixteen rows of a warp.
constexpr int ROW_BLOCKS = 1;
/// Rows of a block.
constexpr int TILE_Q = 64;
/// Keys of a step.
constexpr int TILE_K = 64;
/// Blocks of eight keys of a step.
constexpr int GRANULES = 8;
/// Blocks of eight keys that later steps finish.
constexpr int CARRIED = 2;
/// The last ones of them.
constexpr int TAIL = 1;
/// Keys by which results trail the scores that they are made of.
constexpr int LAG = 8;
/// Keys around an entry that the convolution reads.
constexpr int REACH_LEFT = 5;
constexpr int REACH_RIGHT = 5;
/// Rows around an entry that the convolution reads.
constexpr int REACH_PAST = 5;
constexpr int REACH_FUTURE = 0;
/// Rows around the tile that the convolution reads.
constexpr int HALO_PAST = 8;
constexpr int HALO_ROWS = 8;
/// Rows of the tile of scores.
constexpr int S_ROWS = TILE_Q + HALO_ROWS;
constexpr int S_ROW_BYTES = 144;
constexpr int S_AT = 0;
/// weights.conv (line 10), conv 6x11
constexpr int KERNEL_QUERY = 6;
constexpr int KERNEL_KEY = 11;
/// The tap that meets the current key.
constexpr int ORIGIN_KEY = 5;
constexpr int DILATION_KEY = 1;
/// The tap that meets the current row.
constexpr int ORIGIN_QUERY = 5;
constexpr int DILATION_QUERY = 1;
/// Blocks of eight keys in reach to the right.
constexpr int GRANULES_RIGHT = 1;
/// Blocks of eight keys in reach.
constexpr int DISTANCES = CARRIED + 1;
/// Pairs of kernel rows.
constexpr int TAP_PAIRS = 3;
/// weights.conv.weight in parameters.
constexpr int WEIGHT_AT = 280;
/// Keys of the map that a block writes.
constexpr int CHUNK = 512;
/// Keys to which the map's rows are padded.
constexpr int MAP_ALIGNMENT = 64;

/// Calls `apply` with the place and the number of each row that a lane has entries of.
template <typename Apply>
__device__ __forceinline__ void each_row(int own_row, const Lane& lane, const Apply& apply) {
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int h = 0; h < 2; h++) apply(x, h, own_row + 16 * x + 8 * h + lane.group);
  }
}

/// Calls `apply` with the place and the first row of each block of sixteen rows of a warp.
template <typename Apply>
__device__ __forceinline__ void each_block(int own_row, const Apply& apply) {
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) apply(x, own_row + 16 * x);
}

/// Whether all keys [key, key + count) are in the range of each of them.
__device__ __forceinline__ bool all_within(const int2 (&ranges)[ROW_BLOCKS], int key, int count) {
  bool within = true;
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) within = within && key >= ranges[x].x && key + count <= ranges[x].y;
  return within;
}

/// The tap of kernel row a that an output reads `offset` keys to its right, as f32; 0 where the kernel has none.
__device__ __forceinline__ float tap(const float* kernel, int a, int offset) {
  const int b = offset / DILATION_KEY + ORIGIN_KEY;
  if (a < 0 || a >= KERNEL_QUERY || b < 0 || b >= KERNEL_KEY) return 0.0f;
  return kernel[a * KERNEL_KEY + b];
}

/// Fragments of the convolution: kernel rows in pairs, distances in blocks of eight keys from right to left.
struct Taps {
  unsigned pairs[TAP_PAIRS][DISTANCES][2];
};

/// Pairs of neighbouring taps of each kernel row, in order, in shared memory: fragments of banded matrices are made of
/// them. `RESTS`: then what rounding them leaves over, too. The whole block calls this.
template <int ROWS, int OFFSETS, bool RESTS, typename Tap>
__device__ __forceinline__ void store_tap_pairs(unsigned* pairs, int thread, const Tap& tap) {
  for (int id = thread; id < ROWS * OFFSETS; id += THREADS) {
    const float low = tap(id / OFFSETS, id % OFFSETS);
    const float high = tap(id / OFFSETS, id % OFFSETS + 1);
    const unsigned pair = pack_f16(low, high);
    pairs[id] = pair;
    if (RESTS) pairs[ROWS * OFFSETS + id] = rest_f16(pair, low, high);
  }
  __syncthreads();
}

/// Makes them, by way of shared memory. The whole block calls this.
__device__ __forceinline__ void make_taps(const float* kernel, const Lane& lane, unsigned char* shared_memory,
    Taps& taps) {
  // From what the last of eight keys has to its left on.
  constexpr int FIRST = 8 * (GRANULES_RIGHT + 1 - DISTANCES) - 7;
  constexpr int OFFSETS = 8 * DISTANCES + 6;
  unsigned* const pairs = reinterpret_cast<unsigned*>(shared_memory);
  store_tap_pairs<2 * TAP_PAIRS, OFFSETS, false>(
    pairs, lane.thread, [&](int a, int i) { return tap(kernel, a, FIRST + i); });
  const unsigned* const own = pairs + 7 + 2 * lane.quad - lane.group;
#pragma unroll
  for (int pair = 0; pair < TAP_PAIRS; pair++) {
#pragma unroll
    for (int j = 0; j < DISTANCES; j++) {
#pragma unroll
      for (int a = 0; a < 2; a++) {
        const unsigned* const from = own + (2 * pair + a) * OFFSETS + 8 * (DISTANCES - 1 - j);
        taps.pairs[pair][j][a] = from[0];
      }
    }
  }
}

/// Fragments of one or two kernel rows: sixteen rows by eight keys each.
template <int SIZE>
__device__ __forceinline__ void load_fragment(unsigned (&a)[SIZE], unsigned address) {
  if constexpr (SIZE == 4) ldmatrix_x4(a, address);
  else ldmatrix_x2(a, address);
}

/// y += scores * taps; y = the product where it is the first.
template <int SIZE>
__device__ __forceinline__ void multiply_taps(
    float (&y)[4], const unsigned (&scores)[SIZE], unsigned taps0, unsigned taps1, bool first) {
  if constexpr (SIZE == 4) {
    mma_f16(y, scores, taps0, taps1, first);
  } else {
    if (first) y[0] = y[1] = y[2] = y[3] = 0.0f;
    mma_f16_k8(y, scores[0], scores[1], taps0);
  }
}

/// What a block of eight source keys adds to the blocks of results in reach, through ROWS kernel rows from 2 * pair on.
template <int ROWS>
__device__ __forceinline__ void convolve_rows(
    float (*y)[4], unsigned scores, int pair, const Taps& taps) {
  const unsigned from = scores + 2 * pair * DILATION_QUERY * S_ROW_BYTES;
  unsigned a[2 * ROWS];
  load_fragment(a, from);
#pragma unroll
  for (int j = 0; j < DISTANCES; j++) {
    // The block farthest to the left is new.
    const bool first = pair == 0 && j == CARRIED;
    multiply_taps(y[j], a, taps.pairs[pair][j][0], taps.pairs[pair][j][1], first);
  }
}

/// Convolves the scores of a step. Each block of eight source keys feeds all blocks of results in reach; finished ones
/// move on, the others are carried.
/// Where not ALL are needed, only those that `needed` says, of each block of rows.
template <bool ALL>
__device__ __forceinline__ void convolve(
    float (&y)[ROW_BLOCKS][GRANULES + CARRIED][4], unsigned scores, const Taps& taps, const int2 (&needed)[ROW_BLOCKS],
    int key) {
#pragma unroll
  for (int s = 0; s < GRANULES; s++) {
#pragma unroll
    for (int x = 0; x < ROW_BLOCKS; x++) {
      if (!ALL && !overlaps(needed[x], key + 8 * s, 8)) {
        y[x][s + CARRIED][0] = y[x][s + CARRIED][1] = y[x][s + CARRIED][2] = y[x][s + CARRIED][3] = 0.0f;
        continue;
      }
      const unsigned block = scores + x * 16 * S_ROW_BYTES + s * 16;
#pragma unroll
      for (int pair = 0; pair < KERNEL_QUERY / 2; pair++) {
        convolve_rows<2>(y[x] + s, block, pair, taps);
      }
      // The last one of an odd number of kernel rows stands alone.
      if (KERNEL_QUERY % 2 == 1) {
        convolve_rows<1>(y[x] + s, block, TAP_PAIRS - 1, taps);
      }
    }
  }
}

/// A thread's part of ROWS rows of a head's map, TILE_K keys at a time: one unit of eight keys of every STEP-th row.
template <int ROWS>
struct MapTile {
  static constexpr int STEP = THREADS / (TILE_K / 8);
  static constexpr int COUNT = (ROWS + STEP - 1) / STEP;
  const unsigned short* from;
  int first;
  int row;
  int key;
  /// Which of the rows exist; whether all of the tile's do.
  unsigned rows;
  bool complete;
};

/// Of the rows from `first` on those from `begin` to `end` exist.
template <int ROWS>
__device__ __forceinline__ MapTile<ROWS> open_map_tile(
    const unsigned short* map, const Launch& launch, unsigned head, int first, int begin, int end, int thread) {
  MapTile<ROWS> tile;
  tile.first = first;
  tile.row = thread / (TILE_K / 8);
  tile.key = thread % (TILE_K / 8) * 8;
  tile.from = map_row(map, launch, head, first + tile.row) + tile.key;
  tile.rows = 0u;
  tile.complete = first >= begin && first + ROWS <= end;
#pragma unroll
  for (int i = 0; i < tile.COUNT; i++) {
    const int row = first + tile.row + i * tile.STEP;
    if (row >= begin && row < end) tile.rows |= 1u << i;
  }
  return tile;
}

/// Whether all of the tile from `key` on was written.
template <int ROWS>
__device__ __forceinline__ bool all_exists(const MapTile<ROWS>& tile, const Batch& batch, int key) {
  return tile.complete && interior(batch, tile.first, ROWS, key, TILE_K);
}

/// Whether the thread's unit of its i-th row was.
template <int ROWS>
__device__ __forceinline__ bool unit_exists(const MapTile<ROWS>& tile, const Batch& batch, int i, int key) {
  return (tile.rows & 1u << i) != 0u && holds_seen(batch, tile.first + tile.row + i * tile.STEP, key + tile.key, 8);
}

/// What the softmax of a tile's rows keeps.
template <int ROWS>
__device__ __forceinline__ void read_statistics(
    const MapTile<ROWS>& tile, int first, const Batch& batch, const float2* statistics,
    unsigned head, float2 (&kept)[MapTile<ROWS>::COUNT]) {
#pragma unroll
  for (int i = 0; i < tile.COUNT; i++) {
    const int row = first + tile.row + i * tile.STEP;
    kept[i] = row_statistic(batch, statistics, head, row, tile.rows & 1u << i);
  }
}

/// The same as `load_map_tile` for a map of exponentials: their weights in the softmax.
template <int ROWS, int ROW_BYTES>
__device__ __forceinline__ void load_map_weights(
    const MapTile<ROWS>& tile, unsigned char* to, const float2 (&kept)[MapTile<ROWS>::COUNT], const Batch& batch,
    int key) {
  const bool all = all_exists(tile, batch, key);
#pragma unroll
  for (int i = 0; i < tile.COUNT; i++) {
    if (ROWS % tile.STEP != 0 && tile.row + i * tile.STEP >= ROWS) continue;
    uint4 eight = make_uint4(0u, 0u, 0u, 0u);
    if (all || unit_exists(tile, batch, i, key)) {
      const unsigned short* const from = tile.from + size_t(i * tile.STEP) * batch.launch.map_row_stride + key;
      eight = quotients_of_128(load_as<uint4>(from), kept[i]);
    }
    store(to + (tile.row + i * tile.STEP) * ROW_BYTES + tile.key * 2, eight);
  }
}

/// Hides the scores of COUNT blocks of eight keys that the warp's rows do not see.
template <int COUNT, int N>
__device__ __forceinline__ void hide(
    float (&y)[ROW_BLOCKS][N][4], const Batch& batch, int own_row,
    int first_key, const Lane& lane, float hidden) {
  each_row(own_row, lane, [&](int x, int h, int row) {
    const int2 keys = row_keys(batch, row);
    each_entry<COUNT>(y[x], [&](float& entry, int n, int i) {
      if (i / 2 == h) show(entry, keys, first_key + 8 * n + 2 * lane.quad + i % 2, hidden);
    });
  });
}

/// Writes COUNT blocks of eight keys of the warp's rows, from `key` on: those that the block is to write.
template <int COUNT, int N>
__device__ __forceinline__ void store_blocks(
    const float (&y)[ROW_BLOCKS][N][4], unsigned short* own, const Launch& launch, int own_row, int key, int keys_begin,
    int keys_end, const Lane& lane) {
  each_row(own_row, lane, [&](int x, int h, int row) {
    if (row >= launch.row_end) return;
    unsigned short* const to = own + size_t(16 * x + 8 * h) * launch.map_row_stride + key + 2 * lane.quad;
#pragma unroll
    for (int n = 0; n < COUNT; n++) {
      if (key + 8 * n >= keys_begin && key + 8 * n < keys_end) {
        store(to + 8 * n, pack_f16(y[x][n][2 * h], y[x][n][2 * h + 1]));
      }
    }
  });
}

/// The same where the block writes them all: in sectors of 32 bytes, which two neighbouring blocks share from the FIRST
/// on.
template <int FIRST, int COUNT, int N>
__device__ __forceinline__ void store_sectors(
    const float (&y)[ROW_BLOCKS][N][4], unsigned short* own, const Launch& launch, int own_row, int key,
    const Lane& lane) {
  constexpr int PAIRS = (COUNT - FIRST) / 2;
  const bool odd = lane.quad & 1;
  unsigned short* const own_key = own + key + 2 * lane.quad;
  // Of four lanes even ones write four keys of a pair's first block, odd ones of its second.
  unsigned short* const own_keys = own + key + 8 * FIRST + 8 * (lane.quad & 1) + 4 * (lane.quad >> 1);
  each_row(own_row, lane, [&](int x, int h, int row) {
    const size_t at = size_t(16 * x + 8 * h) * launch.map_row_stride;
    const auto packed = [&](int n) { return pack_f16(y[x][n][2 * h], y[x][n][2 * h + 1]); };
    uint2 keys[PAIRS];
#pragma unroll
    for (int pair = 0; pair < PAIRS; pair++) {
      const unsigned first = packed(FIRST + 2 * pair);
      const unsigned second = packed(FIRST + 2 * pair + 1);
      const unsigned other = __shfl_xor_sync(~0u, odd ? first : second, 1);
      keys[pair] = odd ? make_uint2(other, second) : make_uint2(first, other);
    }
    if (row >= launch.row_end) return;
    if (FIRST == 1) store(own_key + at, packed(0));
#pragma unroll
    for (int pair = 0; pair < PAIRS; pair++) store(own_keys + at + 16 * pair, keys[pair]);
    if ((COUNT - FIRST) % 2 == 1) store(own_key + at + 8 * (COUNT - 1), packed(COUNT - 1));
  });
}

/// In whole sectors, wherever `key` lies, but at the ends of what the block writes.
template <int COUNT, int N>
__device__ __forceinline__ void store_map(
    const float (&y)[ROW_BLOCKS][N][4], unsigned short* own, const Launch& launch, int own_row, int key, int keys_begin,
    int keys_end, const Lane& lane) {
  if constexpr (COUNT > 2) {
    if (key >= keys_begin && key + COUNT * 8 <= keys_end) {
      if (key % 16 == 0) store_sectors<0, COUNT>(y, own, launch, own_row, key, lane);
      else store_sectors<1, COUNT>(y, own, launch, own_row, key, lane);
      return;
    }
  }
  store_blocks<COUNT>(y, own, launch, own_row, key, keys_begin, keys_end, lane);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) full_weights_conv(
    const Launch launch,
    const unsigned short* __restrict__ source,
    const float2* __restrict__ statistics,
    const float* __restrict__ parameters,
    const int* __restrict__ positions,
    unsigned short* __restrict__ result
) {
  extern __shared__ __align__(128) unsigned char shared_memory[];
  const unsigned shared = shared_address(shared_memory);
  const Lane lane = own_lane();
  const Batch batch = open_batch(launch, positions);
  const unsigned head = blockIdx.y;
  const int tiles = (launch.row_end - launch.row_begin + TILE_Q - 1) / TILE_Q;
  const int tile_row = launch.row_begin + int(blockIdx.x % tiles) * TILE_Q;
  const int own_row = tile_row + lane.warp * 16 * ROW_BLOCKS;
  const int2 range = key_range(batch, min(tile_row + TILE_Q, launch.row_end) - 1);
  // Keys of the map that this block writes; those that none of its rows sees are cleared.
  const int chunk_begin = launch.key_begin / 8 * 8 + int(blockIdx.x / tiles) * CHUNK;
  const int map_end = (launch.key_end + MAP_ALIGNMENT - 1) / MAP_ALIGNMENT * MAP_ALIGNMENT;
  const int2 chunk = make_int2(chunk_begin, min(chunk_begin + CHUNK, map_end));
  const int keys_begin = max(chunk.x, range.x / 8 * 8);
  const int keys_end = min(chunk.y, (range.y + 7) / 8 * 8);
  // Source keys that they are made of.
  const int source_begin = max(0, keys_begin - REACH_LEFT) / 8 * 8;
  const int source_end = min(keys_end + REACH_RIGHT, range.y);
  const int steps = keys_end > keys_begin ? max(0, source_end - source_begin + TILE_K - 1) / TILE_K : 0;
  if (steps == 0) return;
  const float* const kernel = parameters + WEIGHT_AT + head * (KERNEL_QUERY * KERNEL_KEY);
  Taps taps;
  make_taps(kernel, lane, shared_memory + S_AT, taps);
  // Rows of the map that the stage before has written.
  const MapTile<S_ROWS> map_tile = open_map_tile<S_ROWS>(
    source, launch, head, tile_row - HALO_PAST, max(-launch.history_rows, launch.row_begin - REACH_PAST),
    min(launch.query_rows, launch.row_end + REACH_FUTURE), lane.thread);
  float2 map_statistics[MapTile<S_ROWS>::COUNT];
  read_statistics(map_tile, tile_row - HALO_PAST, batch, statistics, head, map_statistics);

  // Scores of the step, then what is left of the last ones: their outputs lag by the convolution's right reach.
  float y[ROW_BLOCKS][GRANULES + CARRIED][4];
  fill(y, 0.0f);
  // The keys that the warp's rows see at most.
  int2 own_range = key_range(batch, min(own_row + 16 * ROW_BLOCKS, launch.row_end) - 1);
  unsigned short* const own_result = map_row(result, launch, head, own_row + lane.group);
  // Fragments of the tile's scores: lanes 16 to 31 address the second kernel row of a pair.
  const int fragment_row =
    HALO_PAST + lane.warp * ROW_BLOCKS * 16 + (lane.index & 15) + ((lane.index >> 4) - ORIGIN_QUERY) * DILATION_QUERY;
  const unsigned score_fragments = shared + S_AT + fragment_row * S_ROW_BYTES;

  for (int step = 0; step < steps; step++) {
    const int step_key = source_begin + step * TILE_K;
    cp_async_wait<0>();
    __syncthreads();
    load_map_weights<S_ROWS, S_ROW_BYTES>(map_tile, shared_memory + S_AT, map_statistics, batch, step_key);
    __syncthreads();
    // Keys of this step's results.
    const int key = step_key - LAG;
    // The warp's rows see nothing from here on.
    if (key >= own_range.y || own_row >= launch.row_end) continue;
    // Sources that no row in reach sees are 0, and those beyond the block's last ones are another's.
    int2 needed[ROW_BLOCKS];
    each_block(own_row, [&](int x, int row) {
      const int last = min(min(row + 15, launch.row_end - 1) + REACH_FUTURE, launch.query_rows - 1);
      needed[x] = key_range(batch, last);
      needed[x].y = row < launch.row_end ? min(needed[x].y, source_end) : 0;
    });
    if (all_within(needed, step_key, TILE_K)) {
      convolve<true>(y, score_fragments, taps, needed, step_key);
    } else {
      convolve<false>(y, score_fragments, taps, needed, step_key);
    }
    if (!interior(batch, own_row, 16 * ROW_BLOCKS, key, GRANULES * 8)) {
      hide<GRANULES>(y, batch, own_row, key, lane, 0.0f);
    }
    store_map<GRANULES>(y, own_result, launch, own_row, key, keys_begin, keys_end, lane);
    each_entry<CARRIED>(y, [&](float& entry, int x, int n, int i) { entry = y[x][GRANULES + n][i]; });
  }

  // The last blocks of keys: all that their taps read to the right is hidden.
  if (steps > 0) {
    const int key = source_begin + steps * TILE_K - LAG;
    if (!interior(batch, own_row, 16 * ROW_BLOCKS, key, TAIL * 8)) {
      hide<TAIL>(y, batch, own_row, key, lane, 0.0f);
    }
    store_map<TAIL>(y, own_result, launch, own_row, key, keys_begin, keys_end, lane);
  }
}

}  // namespace weights_conv

namespace weights_mix {

// weights.mix (line 10), mix 4, on tensor cores.
// A warp takes one row after the other: sixteen heads by all its keys.

constexpr int WARPS = 4;
constexpr int THREADS = 128;
constexpr int ROWS_PER_WARP = 4;
/// Heads that are mixed together.
constexpr int GROUP = 4;
/// Blocks of sixteen heads that sixteen results read.
constexpr int INPUT_CHUNKS = 1;
/// Whether blocks of sixteen heads are whole.
constexpr bool ALL_HEADS = false;
/// weights.mix.weight in parameters.
constexpr int WEIGHT_AT = 544;

/// Entry [output, input] of the mix as one matrix over all heads: 0 between heads of different groups.
__device__ __forceinline__ float mix_weight(const float* parameters, int output, int input, float factor) {
  if (output >= HEADS || input >= HEADS || output / GROUP != input / GROUP) return 0.0f;
  return parameters[WEIGHT_AT + output * GROUP + input % GROUP] * factor;
}

/// Fragments of the mix: rows are output heads, columns input heads. What rounding to f16 leaves over is a second
/// fragment: products are cheap here, and exact weights are worth it.
struct Mix {
  unsigned rounded[INPUT_CHUNKS][4];
  unsigned rest[INPUT_CHUNKS][4];
};

/// A lane's input heads in a fragment of sixteen: the h-th of four.
__device__ __forceinline__ int input_of(int h, const Lane& lane) {
  return 2 * lane.quad + h % 2 + h / 2 * 8;
}

/// The mix, its columns times factors of the lane's input heads.
__device__ __forceinline__ void load_mix(
    const float* parameters, int first_output, int first_input, const float (&factors)[INPUT_CHUNKS][4],
    const Lane& lane, Mix& mix) {
#pragma unroll
  for (int c = 0; c < INPUT_CHUNKS; c++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int output = first_output + lane.group + 8 * (i & 1);
      const int h = i & 2;
      const int input = first_input + 16 * c + input_of(h, lane);
      const float first = mix_weight(parameters, output, input, factors[c][h]);
      const float second = mix_weight(parameters, output, input + 1, factors[c][h + 1]);
      mix.rounded[c][i] = pack_f16(first, second);
      mix.rest[c][i] = rest_f16(mix.rounded[c][i], first, second);
    }
  }
}

/// Where a lane reads and writes a row of the maps: bytes of key 0 in its first input head and its first output head,
/// and from one head to the next.
struct Lines {
  size_t input;
  size_t output;
  size_t next_head;
};

/// A piece of a row: a lane reads SIZE neighbouring keys of each of its input heads, which are columns of as many
/// products, and gets SIZE neighbouring keys of an output head, twice: no fragment passes through shared memory. All
/// lanes together take 8 * SIZE keys.
template <int SIZE, bool WHOLE>
struct Piece {
  static constexpr int KEYS = 8 * SIZE;
  /// The first key, and the end of those that the row sees: before it where WHOLE.
  int key;
  int end;

  /// The first key that a lane reads. They are dealt so that the four lanes of a result write neighbouring units.
  __device__ __forceinline__ int read_by(const Lane& lane) const {
    return key + SIZE * (lane.group / 2 + 4 * (lane.group & 1));
  }

  /// The first key of a lane's results, once and again.
  __device__ __forceinline__ int made_by(const Lane& lane, int c) const {
    return key + SIZE * (lane.quad + 4 * c);
  }
};

/// Calls `apply` with pieces of a row, which together are all units of eight keys of which the row sees any.
template <typename Apply>
__device__ __forceinline__ void each_piece(int2 range, const Apply& apply) {
  int key = range.x / 8 * 8;
#pragma unroll 1
  for (; key + 64 <= range.y; key += 64) apply(Piece<8, true>{key, range.y});
  if (range.y - key > 48) {
    apply(Piece<8, false>{key, range.y});
    return;
  }
  if (range.y - key > 16) {
    apply(Piece<4, false>{key, range.y});
    key += 32;
  }
  if (range.y - key > 0) apply(Piece<2, false>{key, range.y});
}

/// A lane's keys of sixteen input heads.
template <int SIZE, bool WHOLE>
__device__ __forceinline__ void load_heads(
    unsigned (&keys)[4][SIZE / 2], Piece<SIZE, WHOLE> piece, const Lines& lines, int first_input, int c,
    const Lane& lane) {
  const size_t first = lines.input + 2 * static_cast<long long>(piece.read_by(lane)) + 16 * c * lines.next_head;
#pragma unroll
  for (int h = 0; h < 4; h++) {
    const size_t from = first + (h % 2 + h / 2 * 8) * lines.next_head;
    if (WHOLE && ALL_HEADS) {
      load_keys<SIZE>(keys[h], from);
    } else {
      const bool is_head = ALL_HEADS || first_input + 16 * c + input_of(h, lane) < HEADS;
      const bool exists = piece.read_by(lane) < piece.end && is_head;
#pragma unroll
      for (int i = 0; i < SIZE / 2; i++) keys[h][i] = 0u;
      if (exists) load_keys<SIZE>(keys[h], from);
    }
  }
}

/// y = the mix of a piece, and `added` to it.
template <int SIZE, bool WHOLE>
__device__ __forceinline__ void mix_heads(
    float (&y)[SIZE][4], Piece<SIZE, WHOLE> piece, const Mix& mix, const float (&added)[4],
    const Lines& lines,
    int first_input, const Lane& lane) {
#pragma unroll
  for (int c = 0; c < INPUT_CHUNKS; c++) {
    unsigned keys[4][SIZE / 2];
    load_heads(keys, piece, lines, first_input, c, lane);
#pragma unroll
    for (int j = 0; j < SIZE; j++) {
      const unsigned low = pair_heads(keys[0][j / 2], keys[1][j / 2], j % 2);
      const unsigned high = pair_heads(keys[2][j / 2], keys[3][j / 2], j % 2);
      if (c == 0) mma_f16(y[j], mix.rest[c], low, high, added);
      else mma_f16(y[j], mix.rest[c], low, high, false);
      mma_f16(y[j], mix.rounded[c], low, high, false);
    }
  }
}

/// Keeps those of a fragment's two heads that belong to a group.
__device__ __forceinline__ unsigned only_group(unsigned pair, int input, int chosen) {
  return (input / GROUP == chosen ? pair & 0xffffu : 0u) | ((input + 1) / GROUP == chosen ? pair & 0xffff0000u : 0u);
}

/// The same, group by group: slow, for inputs that are not finite.
template <int SIZE, bool WHOLE>
__device__ __forceinline__ void mix_apart(
    float (&y)[SIZE][4], Piece<SIZE, WHOLE> piece, const Mix& mix, const float (&added)[4],
    const Lines& lines,
    int first_output, int first_input, const Lane& lane) {
#pragma unroll 1
  for (int chosen = first_output / GROUP; chosen <= (first_output + 15) / GROUP; chosen++) {
    float z[SIZE][4];
#pragma unroll
    for (int c = 0; c < INPUT_CHUNKS; c++) {
      unsigned keys[4][SIZE / 2];
      load_heads(keys, piece, lines, first_input, c, lane);
      const int input = first_input + 16 * c + 2 * lane.quad;
#pragma unroll
      for (int j = 0; j < SIZE; j++) {
        const unsigned first = pair_heads(keys[0][j / 2], keys[1][j / 2], j % 2);
        const unsigned second = pair_heads(keys[2][j / 2], keys[3][j / 2], j % 2);
        const unsigned low = only_group(first, input, chosen);
        const unsigned high = only_group(second, input + 8, chosen);
        if (c == 0) mma_f16(z[j], mix.rest[c], low, high, added);
        else mma_f16(z[j], mix.rest[c], low, high, false);
        mma_f16(z[j], mix.rounded[c], low, high, false);
      }
    }
    each_entry<SIZE>(y, [&](float& entry, int j, int i) {
      if ((first_output + lane.group + 8 * (i / 2)) / GROUP == chosen) entry = z[j][i];
    });
  }
}

/// Packs a lane's results of an output head, of a piece's first half and of its second.
template <int SIZE>
__device__ __forceinline__ void pack_head(const float (&y)[SIZE][4], int h, unsigned (&packed)[2][SIZE / 2]) {
#pragma unroll
  for (int c = 0; c < 2; c++) {
#pragma unroll
    for (int t = 0; t < SIZE / 2; t++) packed[c][t] = pack_f16(y[2 * t][2 * h + c], y[2 * t + 1][2 * h + c]);
  }
}

/// Writes a lane's results of a piece to an output head: whole units of eight keys of which the row sees any.
template <int SIZE, bool WHOLE>
__device__ __forceinline__ void store_head(
    const unsigned (&packed)[2][SIZE / 2], Piece<SIZE, WHOLE> piece, size_t line, const Lane& lane) {
  const size_t to = line + 2 * static_cast<long long>(piece.made_by(lane, 0));
  if (WHOLE || piece.made_by(lane, 0) / 8 * 8 < piece.end) store_keys<SIZE, 0>(to, packed[0]);
  if (WHOLE || piece.made_by(lane, 1) / 8 * 8 < piece.end) store_keys<SIZE, 8 * SIZE>(to, packed[1]);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) full_weights_mix(
    const Launch launch,
    const unsigned short* __restrict__ source,
    const float* __restrict__ parameters,
    const int* __restrict__ positions,
    unsigned short* __restrict__ result
) {
  const Lane lane = own_lane();
  const Batch batch = open_batch(launch, positions);
  const int first_output = blockIdx.y * 16;
  // Whole groups, from the one that the first output head belongs to.
  const int first_input = first_output / GROUP * GROUP;
  Mix mix;
  float factors[INPUT_CHUNKS][4];
#pragma unroll
  for (int c = 0; c < INPUT_CHUNKS; c++) factors[c][0] = factors[c][1] = factors[c][2] = factors[c][3] = 1.0f;
  load_mix(parameters, first_output, first_input, factors, lane, mix);

  for (int i = 0; i < ROWS_PER_WARP; i++) {
    const int row = launch.row_begin + (int(blockIdx.x) * ROWS_PER_WARP + i) * WARPS + lane.warp;
    if (row >= launch.row_end) break;
    const int2 range = key_range(batch, row);
    const Lines lines = {
      __cvta_generic_to_global(map_row(source, launch, first_input + 2 * lane.quad, row)),
      __cvta_generic_to_global(map_row(result, launch, first_output + lane.group, row)),
      2 * size_t(launch.map_head_stride)};
    // Mixed scores of a piece, finished, for the lane's two output heads.
    const auto mixed = [&](auto piece, auto& y, const float (&added)[4]) {
      mix_heads(y, piece, mix, added, lines, first_input, lane);
      // 0 times NaN is NaN: what is not finite must not reach other groups of heads through the zeros between them.
      float finite = 0.0f;
      each_entry<piece.KEYS / 8>(y, [&](float entry, int, int) { finite = fmaf(entry, 0.0f, finite); });
      if (__any_sync(~0u, finite != 0.0f)) {
        mix_apart(y, piece, mix, added, lines, first_output, first_input, lane);
      }
      if (piece.key >= range.x && piece.key + piece.KEYS <= range.y) return;
      const int2 keys = make_int2(range.x, range.y - range.x);
      each_entry<piece.KEYS / 8>(y, [&](float& entry, int j, int i) {
        const int key = piece.made_by(lane, i % 2) + j;
        show(entry, keys, key, 0.0f);
      });
    };
    const float before[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    each_piece(range, [&](auto piece) {
      float y[piece.KEYS / 8][4];
      mixed(piece, y, before);
      unsigned packed[2][2][piece.KEYS / 16];
      pack_head(y, 0, packed[0]);
      pack_head(y, 1, packed[1]);
      if (ALL_HEADS || first_output + lane.group < HEADS) store_head(packed[0], piece, lines.output, lane);
      if (ALL_HEADS || first_output + lane.group + 8 < HEADS) {
        store_head(packed[1], piece, lines.output + 8 * lines.next_head, lane);
      }
    });
  }
}

}  // namespace weights_mix

namespace product {

// The strip's weights times the values, and the stages of the output.

constexpr int THREADS = 128;
/// Blocks of sixteen rows of a warp.
constexpr int ROW_BLOCKS = 1;
/// Rows of a block.
constexpr int TILE_Q = 64;
/// Keys of a step.
constexpr int TILE_K = 64;
/// Blocks of eight values.
constexpr int VALUE_GRANULES = 4;
/// Rows in shared memory: an odd number of 16-byte units, against bank conflicts.
constexpr int V_ROW_BYTES = 80;
constexpr int STAGE_BYTES = TILE_K * V_ROW_BYTES;
/// output.norm.weight in parameters.
constexpr int OUTPUT_NORM_WEIGHT_AT = 560;
/// output.gate.weight in parameters.
constexpr int OUTPUT_GATE_WEIGHT_AT = 592;
constexpr int OUTPUT_GATE_BIAS_AT = 624;

/// Calls `apply` with the place and the number of each row that a lane has entries of.
template <typename Apply>
__device__ __forceinline__ void each_row(int own_row, const Lane& lane, const Apply& apply) {
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int h = 0; h < 2; h++) apply(x, h, own_row + 16 * x + 8 * h + lane.group);
  }
}

/// Where the values of a key lie: each lane of a fragment reads eight neighbouring keys of 32, which are columns 2 *
/// quad, 2 * quad + 1 and those 8 to the right in two products.
__device__ __forceinline__ constexpr int place_of(int key) {
  return (key & ~31) | (key >> 2 & 1) << 4 | (key >> 1 & 1) << 3 | (key >> 3 & 3) << 1 | (key & 1);
}

__device__ __forceinline__ constexpr int key_at(int place) {
  return (place & ~31) | (place >> 1 & 3) << 3 | (place >> 4 & 1) << 2 | (place >> 3 & 1) << 1 | (place & 1);
}

/// Rows [first, first + ROWS) of a tensor of `rows` rows to shared memory; rows outside of it and elements past SIZE
/// become 0.
template <int ROWS, int SIZE, int ROW_BYTES>
__device__ __forceinline__ void load_rows(
    unsigned to, const Element* from, size_t stride, int first, int rows, int thread) {
  constexpr int CHUNKS = (SIZE + 15) / 16 * 2;
  // Most tiles lie inside the tensor: no tests. Eight lanes write at a time, four units of two rows four places apart:
  // no two of them meet in a bank.
  if (SIZE % 32 == 0 && ROWS % 8 == 0 && first >= 0 && first + ROWS <= rows) {
    constexpr int STEP = THREADS / 4;
    const int place = thread / 32 * 8 + thread / 8 % 4 + (thread / 4 & 1) * 4;
    const Element* unit = from + size_t(first + key_at(place)) * stride + thread % 4 * 8;
    to += place * ROW_BYTES + thread % 4 * 16;
#pragma unroll
    for (int i = 0; i < (ROWS + STEP - 1) / STEP; i++) {
      if (ROWS % STEP != 0 && place + i * STEP >= ROWS) break;
      // Only whole groups of 32 places lie like the first ones.
      if (STEP % 32 != 0) unit = from + size_t(first + key_at(place + i * STEP)) * stride + thread % 4 * 8;
#pragma unroll
      for (int c = 0; c < CHUNKS / 4; c++) cp_async(to + i * STEP * ROW_BYTES + c * 64, unit + c * 32, true);
      unit += STEP * stride;
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < (ROWS * CHUNKS + THREADS - 1) / THREADS; i++) {
    const int id = thread + i * THREADS;
    const int r = id / CHUNKS;
    const int c = id % CHUNKS;
    const int row = first + r;
    const bool exists = unsigned(row) < unsigned(rows) && c * 8 < SIZE;
    if (ROWS * CHUNKS % THREADS == 0 || id < ROWS * CHUNKS) {
      cp_async(to + place_of(r) * ROW_BYTES + c * 16, from + (exists ? size_t(row) * stride + c * 8 : 0), exists);
    }
  }
}

/// o += weights * values, of sixteen keys, for the warp's blocks of rows from the FIRST on.
template <int FIRST = 0>
__device__ __forceinline__ void add_values(
    const unsigned (&weights)[ROW_BLOCKS][4], unsigned values, float (&o)[ROW_BLOCKS][VALUE_GRANULES][4]) {
#pragma unroll
  for (int n = 0; n < VALUE_GRANULES; n += 2) {
    unsigned b[4];
    ldmatrix_x4_trans(b, values + n * 16);
#pragma unroll
    for (int x = FIRST; x < ROW_BLOCKS; x++) {
      mma_f16(o[x][n], weights[x], b[0], b[1], false);
      mma_f16(o[x][n + 1], weights[x], b[2], b[3], false);
    }
  }
}

/// 0 times NaN is NaN: where some row of the tile does not see some key, values that are not finite are taken out of
/// the tile, and added to the results of the rows that do see their keys. The whole block calls this, for one tile of
/// values.
__device__ __forceinline__ void isolate_values(
    unsigned char* tile, const Batch& batch, int own_row, int first_key,
    const Lane& lane, float (&o)[ROW_BLOCKS][VALUE_GRANULES][4]) {
  unsigned probe = 0u;
  each_tile_unit<TILE_K, VALUE_GRANULES, V_ROW_BYTES, THREADS>(tile, lane.thread, [&](unsigned char* unit) {
    probe_128(probe, load_as<uint4>(unit));
  });
  if (!__syncthreads_or(probe)) return;
#pragma unroll 1
  for (int i = 0; i < TILE_K; i++) {
    each_row(own_row, lane, [&](int x, int h, int row) {
      if (!visible(batch, row, first_key + i)) return;
#pragma unroll
      for (int n = 0; n < VALUE_GRANULES; n++) {
        const unsigned pair = load_as<unsigned>(tile + place_of(i) * V_ROW_BYTES + n * 16 + lane.quad * 4);
        const unsigned bad = carry_exponents(pair);
        if (bad & 0x8000u) o[x][n][2 * h] += low_f16(pair);
        if (bad & 0x80000000u) o[x][n][2 * h + 1] += high_f16(pair);
      }
    });
  }
  __syncthreads();
  each_tile_unit<TILE_K, VALUE_GRANULES, V_ROW_BYTES, THREADS>(tile, lane.thread, [&](unsigned char* unit) {
    store(unit, only_finite_128(load_as<uint4>(unit)));
  });
  __syncthreads();
}

/// The column of a lane's i-th entry of a row that LANES lanes share: pairs as in fragments, or every 32nd.
template <int LANES>
__device__ __forceinline__ int column_of(int i, int lane) {
  return LANES == 4 ? 8 * (i / 2) + 2 * (lane & 3) + i % 2 : 32 * i + lane;
}

/// A row divided by its root mean square, times weights and a factor. Entries past the last column are 0.
template <int LANES, int COUNT>
__device__ __forceinline__ void normalize_row(
    float (&row)[COUNT], const float* weights, float epsilon, float factor, int lane) {
  float squares = 0.0f;
#pragma unroll
  for (int i = 0; i < COUNT; i++) squares += row[i] * row[i];
  factor *= rsqrtf(lanes_sum<LANES>(squares) / float(VALUE_DIM) + epsilon);
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    const int column = column_of<LANES>(i, lane);
    if (column < VALUE_DIM) row[i] *= factor * weights[column];
  }
}

__device__ __forceinline__ float sigmoid(float logit) {
  return 1.0f / (1.0f + exp2_approx(-LOG2_E * logit));
}

/// A row times one gate.
template <int LANES, int COUNT>
__device__ __forceinline__ void gate_row(float (&row)[COUNT], const float* weights, float bias, int lane) {
  float logit = 0.0f;
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    const int column = column_of<LANES>(i, lane);
    if (column < VALUE_DIM) logit += row[i] * weights[column];
  }
  const float gate = sigmoid(lanes_sum<LANES>(logit) + bias);
#pragma unroll
  for (int i = 0; i < COUNT; i++) row[i] *= gate;
}

/// Changes each row that the lane has a part of.
template <typename Apply>
__device__ __forceinline__ void change_rows(float (&o)[ROW_BLOCKS][VALUE_GRANULES][4], const Apply& apply) {
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float row[2 * VALUE_GRANULES];
      read_row(o[x], h, row);
      apply(row);
#pragma unroll
      for (int i = 0; i < 2 * VALUE_GRANULES; i++) o[x][i / 2][2 * h + i % 2] = row[i];
    }
  }
}

/// Writes the results of the warp's rows.
__device__ __forceinline__ void store_results(
    const float (&o)[ROW_BLOCKS][VALUE_GRANULES][4], Element* o_rows, const Batch& batch, unsigned head, int own_row,
    const Lane& lane) {
  each_row(own_row, lane, [&](int x, int h, int row) {
    if (row >= batch.launch.row_end) return;
    Element* const to = result_row(batch.launch, o_rows, batch.index, head, row) + 2 * lane.quad;
#pragma unroll
    for (int n = 0; n < VALUE_DIM / 8; n++) {
      store(to + 8 * n, pack_f16(o[x][n][2 * h], o[x][n][2 * h + 1]));
    }
  });
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) full_product(
    const Launch launch,
    const unsigned short* __restrict__ source,
    const Element* __restrict__ v,
    const float* __restrict__ parameters,
    const int* __restrict__ positions,
    Element* __restrict__ o_rows
) {
  extern __shared__ __align__(128) unsigned char shared_memory[];
  const unsigned shared = shared_address(shared_memory);
  const Lane lane = own_lane();
  const Batch batch = open_batch(launch, positions);
  const unsigned head = blockIdx.y;
  const int tiles = (launch.row_end - launch.row_begin + TILE_Q - 1) / TILE_Q;
  // The tiles with the most keys first: the short ones fill the gaps at the end.
  const int tile_row = launch.row_begin + (tiles - 1 - int(blockIdx.x)) * TILE_Q;
  const int own_row = tile_row + lane.warp * 16 * ROW_BLOCKS;
  const int2 range = key_range(batch, min(tile_row + TILE_Q, launch.row_end) - 1);
  const int2 own_range = key_range(batch, min(own_row + 16 * ROW_BLOCKS, launch.row_end) - 1);
  const int keys_begin = max(range.x, launch.key_begin) / 8 * 8;
  const int keys_end = min(range.y, launch.key_end);
  const int steps = max(0, keys_end - keys_begin + TILE_K - 1) / TILE_K;
  const Element* const values = values_of(batch, v, head);

  const auto load_values = [&](int step) {
    load_rows<TILE_K, VALUE_DIM, V_ROW_BYTES>(
      shared + (step & 1) * STAGE_BYTES, values, launch.v_stride_l, keys_begin + step * TILE_K, keys_end, lane.thread);
    cp_async_commit();
  };
  // A lane reads eight neighbouring keys of its rows from the map, in every 32: quarters of two fragments.
  size_t lines[ROW_BLOCKS][2];
  each_row(own_row, lane, [&](int x, int h, int row) {
    lines[x][h] = __cvta_generic_to_global(map_row(source, launch, head, row) + keys_begin + 8 * lane.quad);
  });
  unsigned weights[TILE_K / 32][ROW_BLOCKS][2][4];
  const auto load_weights = [&](int step, int part) {
    const int step_key = keys_begin + step * TILE_K;
    const int key = step_key + 32 * part + 8 * lane.quad;
    const bool whole =
      own_row + 16 * ROW_BLOCKS <= launch.row_end && interior(batch, own_row, 16 * ROW_BLOCKS, step_key, TILE_K);
    each_row(own_row, lane, [&](int x, int h, int row) {
      unsigned (&eight)[4] = weights[part][x][h];
      const size_t from = lines[x][h] + 2 * (step * TILE_K + 32 * part);
      if (whole) {
        load_keys<8>(eight, from);
      } else {
        eight[0] = eight[1] = eight[2] = eight[3] = 0u;
        if (row < launch.row_end && holds_seen(batch, row, key, 8)) load_keys<8>(eight, from);
      }
    });
  };
  if (steps > 0) {
    load_values(0);
#pragma unroll
    for (int part = 0; part < TILE_K / 32; part++) load_weights(0, part);
  }

  float o[ROW_BLOCKS][VALUE_GRANULES][4];
  fill(o, 0.0f);
  const unsigned value_fragments = shared + (lane.index & 15) * V_ROW_BYTES + (lane.index >> 4) * 16;

  for (int step = 0; step < steps; step++) {
    // The other stage was read before the last barrier.
    if (step + 1 < steps) {
      load_values(step + 1);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    __syncthreads();
    const int step_key = keys_begin + step * TILE_K;
    const unsigned stage = (step & 1) * STAGE_BYTES;
    if (!interior(batch, tile_row, TILE_Q, step_key, TILE_K)) {
      isolate_values(shared_memory + stage, batch, own_row, step_key, lane, o);
    }
#pragma unroll
    for (int part = 0; part < TILE_K / 32; part++) {
      if (step_key + part * 32 < own_range.y) {
#pragma unroll
        for (int s = 0; s < 2; s++) {
          unsigned fragments[ROW_BLOCKS][4];
#pragma unroll
          for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
              const unsigned pair = weights[part][x][i % 2][2 * s + i / 2];
              fragments[x][i] = pair;
            }
          }
          add_values(fragments, value_fragments + stage + (part * 32 + s * 16) * V_ROW_BYTES, o);
        }
      }
      // The registers are free for the next step's.
      if (step + 1 < steps) load_weights(step + 1, part);
    }
    // Everybody is done with this stage.
    __syncthreads();
  }

  // output.norm (line 11)
  change_rows(o, [&](float (&row)[2 * VALUE_GRANULES]) {
    normalize_row<4>(row, parameters + OUTPUT_NORM_WEIGHT_AT, 0.00001f, 1.0f, lane.index);
  });

  // output.gate (line 11)
  change_rows(o, [&](float (&row)[2 * VALUE_GRANULES]) {
    gate_row<4>(row, parameters + OUTPUT_GATE_WEIGHT_AT, parameters[OUTPUT_GATE_BIAS_AT], lane.index);
  });

  store_results(o, o_rows, batch, head, own_row, lane);
}

}  // namespace product

}  // namespace mtac_full

// Launching the kernels from C and C++: what full.h declares. Left out where the kernels alone are compiled.
#if !defined(__CUDACC_RTC__) && !defined(MTAC_KERNELS_ONLY)
#include "full.h"
#include <algorithm>
#include <climits>
#include <cstdint>

namespace mtac_full {

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
  if (grid.x > INT_MAX || grid.y > 65535 || grid.z > 65535) return FULL_ERROR_TOO_LARGE;
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z));
  kernel<<<blocks, threads, shared_bytes, stream>>>(arguments...);
  return cudaPeekAtLastError();
}

/// Where things lie in the caller's workspace, in bytes.
struct Workspace {
  size_t map_0;
  size_t map_1;
  size_t references_map_0;
  size_t statistics;
  size_t lse;
  size_t bytes;
};

Workspace lay_out(const full_call& call) {
  const long long B = call.batches;
  const long long Lq = call.query_rows;
  const long long Lk = call.key_rows;
  const long long R = call.history_rows;
  const long long halo_past = std::min<long long>(10, Lq + R);
  const long long halo_future = 0;
  const long long map_row_stride = 64 * ceil_div(Lk, 64);
  const long long batch_step = std::max<long long>(1,
    std::min<long long>({B, 16383, floor_div(41943040, 16 * map_row_stride * (Lq + halo_past + halo_future))}));
  const long long most_rows = std::max<long long>(64,
    std::min<long long>(512, floor_div(41943040, 16 * map_row_stride * batch_step) - (halo_past + halo_future)));
  const long long strip = std::min<long long>(Lq, 64 * ceil_div(ceil_div(Lq, ceil_div(Lq, most_rows)), 64));
  const long long map_rows = strip + halo_past + halo_future;
  const long long map_head_stride = map_rows * map_row_stride;
  const long long weight_history = std::min<long long>(R, 5);
  Workspace workspace{};
  const auto place = [&workspace](long long bytes) {
    const size_t at = workspace.bytes;
    workspace.bytes += (static_cast<size_t>(bytes) + 255) / 256 * 256;
    return at;
  };
  workspace.map_0 = place(2 * batch_step * 4 * map_head_stride);
  workspace.map_1 = place(2 * batch_step * 4 * map_head_stride);
  workspace.references_map_0 = place(4 * B * 4 * (R + Lq));
  workspace.statistics = place(8 * B * 4 * (weight_history + Lq));
  // The kernels write the log-sum-exp of the rows even where the caller does not want it.
  if (call.lse == nullptr) workspace.lse = place(4LL * call.batches * FULL_HEADS * call.query_rows);
  return workspace;
}

/// The strides of a contiguous tensor where the caller gives none.
inline full_strides strides_of(const full_strides& given, unsigned heads, int rows, unsigned size) {
  if (given.batch != 0 || given.head != 0 || given.row != 0) return given;
  const unsigned head = static_cast<unsigned>(rows) * size;
  return {heads * head, head, size};
}

/// The part of the launch block that all launches of a call share.
Launch describe(const full_call& call) {
  Launch launch{};
  launch.query_rows = call.query_rows;
  launch.key_rows = call.key_rows;
  launch.history_rows = call.history_rows;
  const full_strides q = strides_of(call.q_strides, FULL_HEADS, call.query_rows, FULL_HEAD_DIM);
  launch.q_stride_b = q.batch;
  launch.q_stride_h = q.head;
  launch.q_stride_l = q.row;
  const full_strides k = strides_of(call.k_strides, FULL_KV_HEADS, call.key_rows, FULL_HEAD_DIM);
  launch.k_stride_b = k.batch;
  launch.k_stride_h = k.head;
  launch.k_stride_l = k.row;
  const full_strides v = strides_of(call.v_strides, FULL_KV_HEADS, call.key_rows, FULL_VALUE_DIM);
  launch.v_stride_b = v.batch;
  launch.v_stride_h = v.head;
  launch.v_stride_l = v.row;
  const full_strides q_history = strides_of(call.q_history_strides, FULL_HEADS, call.history_rows, FULL_HEAD_DIM);
  launch.q_history_stride_b = q_history.batch;
  launch.q_history_stride_h = q_history.head;
  launch.q_history_stride_l = q_history.row;
  const full_strides o = strides_of(call.o_strides, FULL_HEADS, call.query_rows, FULL_VALUE_DIM);
  launch.o_stride_b = o.batch;
  launch.o_stride_h = o.head;
  launch.o_stride_l = o.row;
  launch.has_positions = call.positions != nullptr ? 1u : 0u;
  return launch;
}

}  // namespace

size_t workspace_bytes(const full_call& call) {
  return lay_out(call).bytes;
}

/// The plan's loops and launches. The call has been checked, the workspace is large enough.
int launch_all(const full_call& call, unsigned char* workspace_at, cudaStream_t stream) {
  const long long B = call.batches;
  const long long Lq = call.query_rows;
  const long long Lk = call.key_rows;
  const long long R = call.history_rows;
  const long long positions = call.positions != nullptr ? 1 : 0;
  const long long halo_past = std::min<long long>(10, Lq + R);
  const long long halo_future = 0;
  const long long map_row_stride = 64 * ceil_div(Lk, 64);
  const long long batch_step = std::max<long long>(1,
    std::min<long long>({B, 16383, floor_div(41943040, 16 * map_row_stride * (Lq + halo_past + halo_future))}));
  const long long most_rows = std::max<long long>(64,
    std::min<long long>(512, floor_div(41943040, 16 * map_row_stride * batch_step) - (halo_past + halo_future)));
  const long long strip = std::min<long long>(Lq, 64 * ceil_div(ceil_div(Lq, ceil_div(Lq, most_rows)), 64));
  const long long map_rows = strip + halo_past + halo_future;
  const long long map_head_stride = map_rows * map_row_stride;
  const long long weight_history = std::min<long long>(R, 5);
  const Workspace workspace = lay_out(call);
  const Element* const q = static_cast<const Element*>(call.q);
  const Element* const k = static_cast<const Element*>(call.k);
  const Element* const v = static_cast<const Element*>(call.v);
  const Element* const q_history = static_cast<const Element*>(call.q_history);
  Element* const o = static_cast<Element*>(call.o);
  float* const lse = call.lse != nullptr ? call.lse : reinterpret_cast<float*>(workspace_at + workspace.lse);
  unsigned short* const map_0 = reinterpret_cast<unsigned short*>(workspace_at + workspace.map_0);
  unsigned short* const map_1 = reinterpret_cast<unsigned short*>(workspace_at + workspace.map_1);
  float* const references_map_0 = reinterpret_cast<float*>(workspace_at + workspace.references_map_0);
  float2* const statistics = reinterpret_cast<float2*>(workspace_at + workspace.statistics);
  const Launch common = describe(call);

  for (long long batch = 0; batch < B; batch += batch_step) {
    const long long batches = std::min<long long>(batch_step, B - batch);
    for (long long row = 0; row < Lq; row += strip) {
      const long long key_begin = 0;
      const long long key_end = std::max<long long>(key_begin,
        positions != 0 ? Lk : std::min<long long>(Lk, Lk - Lq + row + strip));
      Launch launch = common;
      launch.batch = static_cast<unsigned>(batch);
      launch.row_begin = static_cast<int>(std::max<long long>(-R, row - 5));
      launch.row_end = static_cast<int>(std::min<long long>(Lq, row + strip));
      launch.strip_row = static_cast<int>(row - halo_past);
      launch.key_begin = static_cast<int>(key_begin);
      launch.key_end = static_cast<int>(key_end);
      launch.map_row_stride = static_cast<unsigned>(map_row_stride);
      launch.map_head_stride = static_cast<unsigned>(map_head_stride);
      launch.statistics_history = static_cast<int>(weight_history);
      if (const int error = queue(scores_conv::full_scores_conv,
        {ceil_div(launch.row_end - launch.row_begin, 64) * ceil_div(64 * ceil_div(key_end, 64) - key_begin, 512), 4,
        batches}, 128, 17504, stream, launch, q, q_history, k, call.parameters, call.positions, map_0,
        references_map_0))
          return error;
      if (const int error = queue(scores_mix::full_scores_mix,
        {ceil_div(launch.row_end - launch.row_begin, 16), 1, batches}, 128, 0, stream, launch, map_0,
        references_map_0, call.parameters, call.positions, map_1, statistics, lse))
        return error;
      launch.row_begin = static_cast<int>(std::max<long long>(-R, row));
      if (const int error = queue(weights_conv::full_weights_conv,
        {ceil_div(launch.row_end - launch.row_begin, 64) * ceil_div(64 * ceil_div(key_end, 64) - key_begin, 512), 4,
        batches}, 128, 10368, stream, launch, map_1, statistics, call.parameters, call.positions, map_0))
          return error;
      if (const int error = queue(weights_mix::full_weights_mix,
        {ceil_div(launch.row_end - launch.row_begin, 16), 1, batches}, 128, 0, stream, launch, map_0, call.parameters,
        call.positions, map_1))
        return error;
      launch.row_begin = static_cast<int>(row);
      if (const int error = queue(product::full_product, {ceil_div(launch.row_end - launch.row_begin, 64), 4, batches},
        128, 10240, stream, launch, map_1, v, call.parameters, call.positions, o))
        return error;
    }
  }
  return 0;
}

}  // namespace mtac_full

namespace mtac_full {

namespace {

/// Strides are multiples of what one load takes, and so are the pointers.
bool aligned(const void* pointer, const full_strides& strides, unsigned elements) {
  return reinterpret_cast<uintptr_t>(pointer) % (elements * 2) == 0 && strides.batch % elements == 0 &&
    strides.head % elements == 0 && strides.row % elements == 0;
}

int check(const full_call* call) {
  if (call == nullptr) return FULL_ERROR_NULL_POINTER;
  if (call->batches < 1) return FULL_ERROR_SIZE - 100;
  if (call->key_rows < 1) return FULL_ERROR_SIZE - 300;
  if (call->query_rows < 1 || call->query_rows > call->key_rows) return FULL_ERROR_SIZE - 200;
  if (call->history_rows < 0) return FULL_ERROR_SIZE - 400;
  if (call->positions == nullptr && call->history_rows > 0 && call->history_rows > call->key_rows - call->query_rows)
    return FULL_ERROR_SIZE - 400;
  long long rows = call->query_rows > call->key_rows ? call->query_rows : call->key_rows;
  if (call->history_rows > rows) rows = call->history_rows;
  if (rows * call->batches * FULL_HEADS > INT_MAX) return FULL_ERROR_TOO_LARGE;
  // Offsets of rows within contiguous tensors are 32-bit strides.
  if (rows * FULL_HEADS * 32 > UINT_MAX) return FULL_ERROR_TOO_LARGE;
  if (call->q == nullptr) return FULL_ERROR_NULL_POINTER - 500;
  if (call->k == nullptr) return FULL_ERROR_NULL_POINTER - 700;
  if (call->v == nullptr) return FULL_ERROR_NULL_POINTER - 800;
  if (call->o == nullptr) return FULL_ERROR_NULL_POINTER - 900;
  if (call->parameters == nullptr) return FULL_ERROR_NULL_POINTER - 1000;
  if (call->history_rows > 0 && call->q_history == nullptr) return FULL_ERROR_NULL_POINTER - 600;
  if (!aligned(call->q, call->q_strides, 8)) return FULL_ERROR_ALIGNMENT - 500;
  if (!aligned(call->k, call->k_strides, 8)) return FULL_ERROR_ALIGNMENT - 700;
  if (!aligned(call->v, call->v_strides, 8)) return FULL_ERROR_ALIGNMENT - 800;
  if (!aligned(call->q_history, call->q_history_strides, 8)) return FULL_ERROR_ALIGNMENT - 600;
  if (!aligned(call->o, call->o_strides, 8)) return FULL_ERROR_ALIGNMENT - 900;
  return 0;
}

}  // namespace

}  // namespace mtac_full

extern "C" size_t full_workspace_bytes(const full_call* call) {
  if (mtac_full::check(call) != 0) return 0;
  return mtac_full::workspace_bytes(*call);
}

extern "C" int full_launch(const full_call* call, void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (const int error = mtac_full::check(call)) return error;
  const size_t needed = full_workspace_bytes(call);
  if (workspace_bytes < needed || (needed > 0 && workspace == nullptr)) return FULL_ERROR_WORKSPACE;
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0) return FULL_ERROR_ALIGNMENT - 1500;
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
  if (capability >= 80 && shared_bytes >= 17504) return mtac_full::launch_all(*call, memory, stream);
  return FULL_ERROR_DEVICE;
}

extern "C" const char* full_error_string(int error) {
  switch (error) {
    case 0: return "no error";
    case FULL_ERROR_NULL_POINTER: return "the call is a null pointer";
    case FULL_ERROR_SIZE - 100:
      return "batches must be at least 1";
    case FULL_ERROR_SIZE - 300:
      return "key_rows must be at least 1";
    case FULL_ERROR_SIZE - 200:
      return "query_rows must be at least 1 and at most key_rows";
    case FULL_ERROR_SIZE - 400:
      return "history_rows must be at least 0 and, without positions, at most key_rows - query_rows";
    case FULL_ERROR_NULL_POINTER - 500:
      return "q is a null pointer";
    case FULL_ERROR_NULL_POINTER - 700:
      return "k is a null pointer";
    case FULL_ERROR_NULL_POINTER - 800:
      return "v is a null pointer";
    case FULL_ERROR_NULL_POINTER - 900:
      return "o is a null pointer";
    case FULL_ERROR_NULL_POINTER - 1000:
      return "parameters is a null pointer";
    case FULL_ERROR_NULL_POINTER - 600:
      return "q_history is a null pointer, and history_rows is not 0";
    case FULL_ERROR_ALIGNMENT - 500:
      return "q is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case FULL_ERROR_ALIGNMENT - 700:
      return "k is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case FULL_ERROR_ALIGNMENT - 800:
      return "v is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case FULL_ERROR_ALIGNMENT - 600:
      return "q_history is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case FULL_ERROR_ALIGNMENT - 900:
      return "o is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case FULL_ERROR_ALIGNMENT - 1500:
      return "workspace is not aligned to 256 bytes";
    case FULL_ERROR_TOO_LARGE: return "the call is too large for one launch: split the batch";
    case FULL_ERROR_WORKSPACE: return "the workspace is smaller than full_workspace_bytes says";
    case FULL_ERROR_DEVICE: return "the device is older than the architectures that the kernels were made for";
    default: return error > 0 ? cudaGetErrorString(static_cast<cudaError_t>(error)) : "unknown error";
  }
}

#endif
