// windowed (masks.mta:3): kernels of the schedule single_pass.
//
// spec: heads 8, kv_heads 2, head_dim 40, value_dim 40, mask causal window 64 documents lengths bias,
// storage bf16-native
// plan: single_pass, lowering toeplitz, tile_q 64, tile_k 32, queries shared, taps registers, precision f16
// Made by mtac: change the spec and compile it again, not this file.
//
// Needs nothing but the CUDA toolkit; no headers for the kernels, so that NVRTC compiles them too.

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "mtac's kernels need sm_80 or newer: nvcc -arch=sm_80, or set(CMAKE_CUDA_ARCHITECTURES 80) before project()"
#endif

namespace mtac_windowed {

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
  unsigned bias_stride_b;
  unsigned bias_stride_h;
  unsigned bias_stride_l;
  unsigned has_positions;
  float depth_scale;
  unsigned batch;
  int row_begin;
  int row_end;
  unsigned parts;
};

constexpr int HEADS = 8;
/// Consecutive query heads that share a key/value head.
constexpr int HEADS_PER_KEY = 4;
constexpr int HEAD_DIM = 40;
constexpr int VALUE_DIM = 40;
constexpr float SCALE = 0.15811388300841897f;
constexpr int WINDOW = 64;
/// Score of a pair that is not visible: finite so that differences of two are 0. No visible one has it.
constexpr float HIDDEN = -3.40282346e38f;
/// Largest size of a score with a bias: it stays above HIDDEN, whatever the bias.
constexpr float LARGEST = 3.40282326e38f;

// No constant expression for infinity is known to NVRTC and to host compilers alike: this is CUDA's own, of
// math_constants.h.
#define INFINITE __int_as_float(0x7f800000)

/// Positions beyond it count as this one: no key is there, and what windows and kernels add stays within 32 bits.
constexpr int LARGEST_POSITION = 0x7dffffff;

/// One batch entry: where its rows stand, how many of its keys are filled, and what hides pairs of them.
struct Batch {
  const Launch& launch;
  const int* documents;
  const float* bias;
  unsigned index;
  /// Absolute position of row 0.
  int first_position;
  int keys;
};

/// The block's batch entry.
__device__ __forceinline__ Batch open_batch(const Launch& launch, const int* positions, const int* lengths,
    const int* documents, const float* bias) {
  const unsigned index = launch.batch + blockIdx.z;
  const int last_meets_last = launch.key_rows - launch.query_rows;
  const int first_position =
    launch.has_positions != 0u ? min(positions[index], LARGEST_POSITION - launch.query_rows) : last_meets_last;
  const int keys = max(0, min(lengths[index], launch.key_rows));
  return {launch, documents, bias, index, first_position, keys};
}

/// Keys [x, y) outside of which rows `first` to `last` see nothing; [0, 0) where they see nothing at all.
__device__ __forceinline__ int2 key_range(const Batch& batch, int first, int last) {
  const int low = max(0, batch.first_position + first - (WINDOW - 1));
  const int high = min(batch.keys, batch.first_position + last + 1);
  return low < high && batch.first_position + first < batch.keys ? make_int2(low, high) : make_int2(0, 0);
}

/// Whether all rows [row, row + rows) exist and see all keys [key, key + keys): there nothing needs testing.
__device__ __forceinline__ bool interior() {
  // Documents and biases hide pairs anywhere.
  return false;
}

/// The document at a position; -1 where there is none.
__device__ __forceinline__ int document_of(const Batch& batch, int position) {
  // No branch: the load is cheap, and diverging lanes are not.
  const int known = max(0, min(position, batch.launch.key_rows - 1));
  const int document = batch.documents[size_t(batch.index) * batch.launch.key_rows + known];
  return position == known ? document : -1;
}

/// The additive bias of a pair; minus infinity hides it. Row and key must exist.
__device__ __forceinline__ float bias_of(const Batch& batch, unsigned head, int row, int key) {
  return batch.bias[size_t(batch.index) * batch.launch.bias_stride_b + size_t(head) * batch.launch.bias_stride_h
    + size_t(batch.launch.history_rows + row) * batch.launch.bias_stride_l + key];
}

/// A score and its bias, at most `largest` in size where both are finite: only minus infinity hides, and a low bias
/// must not.
__device__ __forceinline__ float biased(float score, float bias, float largest) {
  const float sum = score + bias;
  return fabsf(score) < INFINITE && fabsf(bias) < INFINITE ? fmaxf(-largest, fminf(sum, largest)) : sum;
}

/// Whether a row sees a key. Rows and keys that do not exist see nothing and are not seen.
__device__ __forceinline__ bool visible(const Batch& batch, unsigned head, int row, int key) {
  bool seen = row >= -batch.launch.history_rows && row < batch.launch.query_rows && key >= 0 && key < batch.keys;
  const int position = batch.first_position + row;
  seen = seen && key <= position;
  seen = seen && position - key < WINDOW;
  seen = seen && position < batch.keys;
  const int document = document_of(batch, position);
  const int key_document = document_of(batch, key);
  seen = seen & (document >= 0) & (document == key_document);
  const int known_row = max(-batch.launch.history_rows, min(row, batch.launch.query_rows - 1));
  const int known_key = max(0, min(key, batch.launch.key_rows - 1));
  seen = seen & (bias_of(batch, head, known_row, known_key) != -INFINITE);
  return seen;
}

/// limit * tanh(x / limit) through exp: exact to f32 where tanh.approx is not.
__device__ __forceinline__ float softcap(float value, float limit) {
  const float x = value / limit;
  const float e = __expf(-2.0f * fabsf(x));
  const float far = copysignf((1.0f - e) / (1.0f + e), x);
  // Near zero 1 - e would cancel; the series is exact to f32 below 0.1.
  const float square = x * x;
  const float near = x * (1.0f - square * (1.0f / 3.0f - square * (2.0f / 15.0f - square * (17.0f / 315.0f))));
  return limit * (fabsf(x) < 0.1f ? near : far);
}

/// An element of q, k, v and o: the bits of a bf16.
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

/// Where a row lies among the rows of the call; where its statistics lie, which rows of the history have, too.
__device__ __forceinline__ size_t row_at(const Batch& batch, unsigned head, int row) {
  return size_t(batch.index * HEADS + head) * batch.launch.query_rows + row;
}

/// Two f32 as f16, `low` in the low half.
__device__ __forceinline__ unsigned pack_f16(float low, float high) {
  unsigned pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
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

/// The same as bf16.
__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

__device__ __forceinline__ float low_bf16(unsigned pair) {
  return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high_bf16(unsigned pair) {
  return __uint_as_float(pair & 0xffff0000u);
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

/// d = a b + c on 16x16 by 16x8 tiles, f32 accumulation (PTX ISA, "Matrix Fragments for mma.m16n8k16").
__device__ __forceinline__ void mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1,
    const float (&c)[4]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
    "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
    : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
    : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

/// d += a b; d = a b where it is the first product of a sum.
__device__ __forceinline__ void mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, bool first) {
  const float c[4] = {first ? 0.0f : d[0], first ? 0.0f : d[1], first ? 0.0f : d[2], first ? 0.0f : d[3]};
  mma_bf16(d, a, b0, b1, c);
}

/// d += a b on 16x8 by 8x8 tiles.
__device__ __forceinline__ void mma_f16_k8(float (&d)[4], unsigned a0, unsigned a1, unsigned b) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
    "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"
    : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
    : "r"(a0), "r"(a1), "r"(b), "f"(d[0]), "f"(d[1]), "f"(d[2]), "f"(d[3]));
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

/// The f16 that is nearest to a number; the largest of those beyond.
__device__ __forceinline__ float rounded_f16(float value) {
  return low_f16(pack_f16(within_f16(value), 0.0f));
}

/// A score that is seen where 0 stands for hidden ones: f16's other 0 for what f16 rounds to 0.
__device__ __forceinline__ float seen_score(float score) {
  constexpr float LEAST_F16 = 5.9604644775390625e-8f;
  return fabsf(score) < LEAST_F16 ? -0.0f : score;
}

/// All bits of those of a pair of such scores that are hidden, and none of the others.
__device__ __forceinline__ unsigned hidden_of(unsigned pair) {
  const unsigned signs = ~((pair & ~SIGNS) + ~SIGNS | pair) & SIGNS;
  return signs | signs - (signs >> 15);
}

__device__ __forceinline__ void store_f16(void* to, float value) {
  unsigned short half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
  *static_cast<unsigned short*>(to) = half;
}

/// Two neighbouring f32 as f16. Volatile: thousands of such loads, all moved ahead of the products that use them, would
/// not fit the registers.
__device__ __forceinline__ unsigned load_pair(const float* from) {
  float low;
  float high;
  asm volatile("ld.global.nc.f32 %0, [%1];" : "=f"(low) : "l"(from));
  asm volatile("ld.global.nc.f32 %0, [%1 + 4];" : "=f"(high) : "l"(from));
  return pack_f16(low, high);
}

/// Exponents of a bf16 pair plus one: all ones, which mean infinity or NaN, carry into the sign bits.
__device__ __forceinline__ unsigned carry_exponents(unsigned pair) {
  return (pair & 0x7f807f80u) + 0x00800080u;
}

/// Leaves 0 in both halves of `probe` while all eight elements are finite: 0 times what is not is NaN.
__device__ __forceinline__ void probe_128(unsigned& probe, const uint4& eight) {
  const unsigned pairs[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
  for (int i = 0; i < 4; i++) asm("fma.rn.bf16x2 %0, %1, %2, %0;" : "+r"(probe) : "r"(pairs[i]), "r"(0u));
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

/// A bf16 pair without what is infinite or NaN.
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

template <int N>
__device__ __forceinline__ void scale_row(float (&y)[N][4], int h, float factor) {
#pragma unroll
  for (int n = 0; n < N; n++) {
    y[n][2 * h] *= factor;
    y[n][2 * h + 1] *= factor;
  }
}

/// What weights are relative to: the maximum, or anything finite for a row that has seen nothing: its weights are 0.
__device__ __forceinline__ float reference_of(float highest) {
  return highest == HIDDEN ? 0.0f : highest;
}

/// 2^((score - highest) * exponent): a score's weight beside the highest of its row.
__device__ __forceinline__ float relative_weight(float score, float highest, float exponent) {
  // A bias may lift a row to where the highest's product, rounded, is off by more than the scores differ.
  return exp2_approx((score - highest) * exponent);
}

/// The factor for weights beside another maximum, rounded as it was for them.
__device__ __forceinline__ float rescaling(float old, float highest, float exponent) {
  return exp2_approx((old - highest) * exponent);
}

/// The binary logarithm of a sum of weights, to 22 bits (PTX ISA, "lg2").
__device__ __forceinline__ float log2_approx(float x) {
  float y;
  asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// The log-sum-exp of a row: of its maximum, and the sum of its weights beside that.
__device__ __forceinline__ float log_sum_exp(float highest, float sum) {
  if (sum == 0.0f) return -INFINITE;
  return highest + log2_approx(sum) * LN_2;
}

/// The keys that a row sees at most: the first one, and how many.
__device__ __forceinline__ int2 row_keys(const Batch& batch, int row) {
  const int2 range = key_range(batch, row, row);
  const bool exists = row >= -batch.launch.history_rows && row < batch.launch.query_rows;
  return make_int2(range.x, exists ? range.y - range.x : 0);
}

/// Whether keys [range.x, range.y) are among [key, key + count).
__device__ __forceinline__ bool overlaps(int2 range, int key, int count) {
  return key + count > range.x && key < range.y;
}

/// Hides a score where its row, which sees `keys` at most, does not see its key. In place: the value of a choice would
/// cost registers.
/// Else with the bias, at most `largest` in size; where that is 0, without.
__device__ __forceinline__ void show(
    float& score, const Batch& batch, unsigned head, int row, int2 keys, int key, float hidden, float largest) {
  const bool seen = unsigned(key - keys.x) < unsigned(keys.y) && visible(batch, head, row, key);
  if (!seen) score = hidden;
  else if (largest > 0.0f) score = biased(score, bias_of(batch, head, row, key), largest);
}

namespace attention {

// Queries times keys on tensor cores, then
// scores.conv (line 10), conv 3x4, as products with banded Toeplitz matrices,
// online softmax, times values.

constexpr int WARPS = 4;
constexpr int THREADS = 128;
/// Blocks of sixteen rows of a warp.
constexpr int ROW_BLOCKS = 1;
/// Rows of a block.
constexpr int TILE_Q = 64;
/// Keys of a step.
constexpr int TILE_K = 32;
/// Blocks of eight keys of a step.
constexpr int GRANULES = 4;
/// Blocks of eight keys that later steps finish.
constexpr int CARRIED = 1;
/// Keys by which results trail the scores that they are made of.
constexpr int LAG = 0;
/// Keys around an entry that the convolution reads.
constexpr int REACH_LEFT = 3;
/// Steps of sixteen along head_dim.
constexpr int D_STEPS = 3;
/// Keys whose scores are made at a time.
constexpr int COLUMNS = 32;
/// 16-byte units of a query row.
constexpr int Q_CHUNKS = 6;
/// Rows in shared memory: an odd number of 16-byte units, against bank conflicts.
constexpr int Q_ROW_BYTES = 112;
constexpr int K_ROW_BYTES = 112;
/// Bytes of shared memory where things lie.
constexpr int K_AT = 0;
constexpr int Q_AT = 10752;
constexpr int HALO_AT = 17920;
/// Rows around the tile that the convolution reads.
constexpr int HALO_PAST = 8;
constexpr int HALO_FUTURE = 0;
constexpr int HALO_ROWS = 8;
/// Blocks of eight values.
constexpr int VALUE_GRANULES = 6;
/// Rows in shared memory: an odd number of 16-byte units, against bank conflicts.
constexpr int V_ROW_BYTES = 112;
/// Bytes of shared memory where two tiles of values lie.
constexpr int V_AT = 3584;
constexpr int V_TILE_BYTES = TILE_K * V_ROW_BYTES;
/// output.norm.weight in parameters.
constexpr int OUTPUT_NORM_WEIGHT_AT = 104;
/// output.gate.weight in parameters.
constexpr int OUTPUT_GATE_WEIGHT_AT = 144;
constexpr int OUTPUT_GATE_BIAS_AT = 1744;
constexpr int S_ROW_BYTES = 80;
constexpr int S_AT = 18816;
/// scores.conv (line 10), conv 3x4
constexpr int KERNEL_QUERY = 3;
constexpr int KERNEL_KEY = 4;
/// The tap that meets the current key.
constexpr int ORIGIN_KEY = 3;
constexpr int DILATION_KEY = 1;
/// The tap that meets the current row.
constexpr int ORIGIN_QUERY = 2;
constexpr int DILATION_QUERY = 1;
/// Blocks of eight keys in reach to the right.
constexpr int GRANULES_RIGHT = 0;
/// Blocks of eight keys in reach.
constexpr int DISTANCES = CARRIED + 1;
/// Pairs of kernel rows.
constexpr int TAP_PAIRS = 2;
/// scores.conv.weight in parameters.
constexpr int WEIGHT_AT = 0;
constexpr int BIAS_AT = 96;
/// What the rows' scores are relative to.
constexpr int REFERENCES_AT = 24576;
constexpr int REFERENCE_ROWS = TILE_Q + HALO_ROWS;
constexpr int CONSTANTS_AT = REFERENCES_AT + REFERENCE_ROWS * 4;
constexpr int PAIRED_TAPS_AT = CONSTANTS_AT + TILE_Q * 4;
/// A fragment of taps as pairs of f16.
constexpr int PAIRED_TAP_BYTES = 512;
/// Weights are 2^(score * EXPONENT - maximum).
constexpr float EXPONENT = LOG2_E;

/// Calls `apply` with the place and the number of each row that a lane has entries of.
template <typename Apply>
__device__ __forceinline__ void each_row(int own_row, const Lane& lane, const Apply& apply) {
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int h = 0; h < 2; h++) apply(x, h, own_row + 16 * x + 8 * h + lane.group);
  }
}

/// The tap of kernel row a that an output reads `offset` keys to its right, as f32; 0 where the kernel has none.
__device__ __forceinline__ float tap(const float* kernel, int a, int offset) {
  const int b = offset / DILATION_KEY + ORIGIN_KEY;
  if (a < 0 || a >= KERNEL_QUERY || b < 0 || b >= KERNEL_KEY) return 0.0f;
  return kernel[a * KERNEL_KEY + b];
}

/// Two neighbouring taps as a f16 pair; and what rounding them leaves over, as another one.
__device__ __forceinline__ unsigned taps_at(const float* kernel, int a, int offset) {
  return pack_f16(tap(kernel, a, offset), tap(kernel, a, offset + 1));
}

__device__ __forceinline__ unsigned taps_rest_at(const float* kernel, int a, int offset) {
  const unsigned rounded = taps_at(kernel, a, offset);
  return pack_f16(
    tap(kernel, a, offset) - low_f16(rounded), tap(kernel, a, offset + 1) - high_f16(rounded));
}

/// Where a lane's taps lie in a fragment of the banded Toeplitz matrix that a block of eight source keys is multiplied
/// by: the convolution of one kernel row along the keys. It is the same for all blocks at one distance, so it is made
/// once.
__device__ __forceinline__ int offset_at(int distance, const Lane& lane) {
  return distance + 2 * lane.quad - lane.group;
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

/// Taps in another document than their row count as 0: one bit a kernel row is set where they are in the same one.
struct SameDocument {
  unsigned bits[ROW_BLOCKS][2];
  /// Whether a bit of the warp is not set.
  bool mixed;
};

__device__ __forceinline__ SameDocument compare_documents(
    const Batch& batch, int own_row, const Lane& lane) {
  SameDocument same;
  bool all_same = true;
  each_row(own_row, lane, [&](int x, int h, int row) {
    const int position = batch.first_position + row;
    const int document = document_of(batch, position);
    unsigned bits = 0u;
    for (int a = 0; a < KERNEL_QUERY; a++) {
      const int tap_position = position + (a - ORIGIN_QUERY) * DILATION_QUERY;
      if (document_of(batch, tap_position) == document) bits |= 1u << a;
    }
    same.bits[x][h] = bits;
    all_same = all_same && bits == (1u << KERNEL_QUERY) - 1u;
  });
  same.mixed = !__all_sync(~0u, all_same);
  return same;
}

/// Clears what a fragment of scores holds of other documents, from kernel row `a` on.
template <int SIZE>
__device__ __forceinline__ void keep_documents(unsigned (&scores)[SIZE], const SameDocument& same, int x, int a) {
  if (!same.mixed) return;
#pragma unroll
  for (int i = 0; i < SIZE; i++) scores[i] &= 0u - (same.bits[x][i % 2] >> a + i / 2 & 1u);
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
    float (*y)[4], unsigned scores, int pair, const Taps& taps, const SameDocument& same, int x) {
  const unsigned from = scores + 2 * pair * DILATION_QUERY * S_ROW_BYTES;
  unsigned a[2 * ROWS];
  load_fragment(a, from);
  keep_documents(a, same, x, 2 * pair);
#pragma unroll
  for (int j = 0; j < DISTANCES; j++) {
    // The block farthest to the left is new.
    const bool first = pair == 0 && j == CARRIED;
    multiply_taps(y[j], a, taps.pairs[pair][j][0], taps.pairs[pair][j][1], first);
  }
}

/// Convolves the scores of a step. Each block of eight source keys feeds all blocks of results in reach; finished ones
/// move on, the others are carried.
__device__ __forceinline__ void convolve(
    float (&y)[ROW_BLOCKS][GRANULES + CARRIED][4], unsigned scores, const Taps& taps, const SameDocument& same) {
#pragma unroll
  for (int s = 0; s < GRANULES; s++) {
#pragma unroll
    for (int x = 0; x < ROW_BLOCKS; x++) {
      const unsigned block = scores + x * 16 * S_ROW_BYTES + s * 16;
#pragma unroll
      for (int pair = 0; pair < KERNEL_QUERY / 2; pair++) {
        convolve_rows<2>(y[x] + s, block, pair, taps, same, x);
      }
      // The last one of an odd number of kernel rows stands alone.
      if (KERNEL_QUERY % 2 == 1) {
        convolve_rows<1>(y[x] + s, block, TAP_PAIRS - 1, taps, same, x);
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

/// s += queries * keys, of the first KEYS of them; s = the product where it is the first.
template <bool FIRST, int KEYS = COLUMNS>
__device__ __forceinline__ void multiply_keys(
    unsigned queries, unsigned keys, float (&s)[ROW_BLOCKS][COLUMNS / 8][4]) {
#pragma unroll
  for (int d = 0; d < D_STEPS; d++) {
    unsigned a[ROW_BLOCKS][4];
#pragma unroll
    for (int x = 0; x < ROW_BLOCKS; x++) ldmatrix_x4(a[x], queries + x * 16 * Q_ROW_BYTES + d * 32);
#pragma unroll
    for (int n = 0; n < KEYS / 8; n += 2) {
      unsigned b[4];
      ldmatrix_x4(b, keys + n * 8 * K_ROW_BYTES + d * 32);
#pragma unroll
      for (int x = 0; x < ROW_BLOCKS; x++) {
        const unsigned (&a_x)[4] = a[x];
        mma_bf16(s[x][n], a_x, b[0], b[1], FIRST && d == 0);
        mma_bf16(s[x][n + 1], a_x, b[2], b[3], FIRST && d == 0);
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

/// Where a row of the tile, or of the halo around it, has its query.
__device__ __forceinline__ int query_place(int place) {
  // The halo's rows lie behind the tile's: those before it first.
  const int row = place - HALO_PAST;
  if (row < 0) return HALO_AT + place * Q_ROW_BYTES;
  return row < TILE_Q ? Q_AT + row * Q_ROW_BYTES : HALO_AT + (place - TILE_Q) * Q_ROW_BYTES;
}

/// The mean of a query's products with those keys that its row sees of a few; the four lanes of a quad share it.
__device__ __forceinline__ float last_scores(
    const unsigned char* query, const Batch& batch, const Element* keys, unsigned head, int row, int2 range,
    const Lane& lane) {
  // Where anything may be hidden, the row's own key and those just before it are the likeliest to be seen.
  const int end = min(range.y, max(range.x + 8, batch.first_position + row + 1));
  float score = 0.0f;
  int count = 0;
#pragma unroll 1
  for (int key = end - 1; key >= max(range.x, end - 64) && count < 8; key--) {
    if (!visible(batch, head, row, key)) continue;
    count++;
    const Element* const from = keys + size_t(key) * batch.launch.k_stride_l;
#pragma unroll
    for (int d = 2 * lane.quad; d < HEAD_DIM; d += 8) {
      const unsigned pair = load_as<unsigned>(from + d);
      const unsigned own = load_as<unsigned>(query + d * 2);
      score = fmaf(low_bf16(own), low_bf16(pair), score);
      score = fmaf(high_bf16(own), high_bf16(pair), score);
    }
  }
  return lanes_sum<4>(score) / float(max(1, count));
}

/// References of the tile's rows and of those around it; whether any is not 0. A query times what its row's keys have
/// in common: the mean of a few that it sees.
/// Keys that a row does not see must not matter to it. The queries must have arrived.
__device__ __forceinline__ bool make_references(
    unsigned char* shared_memory, const Batch& batch, const Element* keys, unsigned head, int tile_row,
    const Lane& lane) {
  bool any = false;
#pragma unroll 1
  for (int block = lane.warp; block < (REFERENCE_ROWS + 15) / 16; block += WARPS) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int place = block * 16 + 8 * h + lane.group;
      const bool exists = place < REFERENCE_ROWS;
      const int row = tile_row - HALO_PAST + place;
      const int2 seen = row_keys(batch, row);
      const int2 range = make_int2(seen.x, exists ? seen.x + seen.y : seen.x);
      const unsigned char* const query = shared_memory + query_place(min(place, REFERENCE_ROWS - 1));
      float score = last_scores(query, batch, keys, head, row, range, lane);
      score *= SCALE;
      // Any number will do: a coarse one leaves scores as they are that have little in common. What is not finite must
      // not spread.
      score = rintf(score * 0.25f) * 4.0f;
      if (range.y <= range.x || !(fabsf(score) < INFINITE)) score = 0.0f;
      score = rounded_f16(score);
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

/// A pair of kernel rows by distances: a lane's taps, rounded to f16, and what that leaves over. References times taps
/// need more than f16 has.
__device__ __forceinline__ unsigned char* paired_taps(unsigned char* shared_memory, int pair, const Lane& lane) {
  return shared_memory + PAIRED_TAPS_AT + pair * DISTANCES * PAIRED_TAP_BYTES + lane.index * 16;
}

/// Rows by which kernel row a lies below the row of a result.
__device__ __forceinline__ int rows_below(int a) {
  return (a - ORIGIN_QUERY) * DILATION_QUERY;
}

/// Makes these taps, and what the convolution makes of the references where nothing is hidden in the row's document: 0
/// where there are none.
__device__ __forceinline__ void make_constants(
    unsigned char* shared_memory, const Batch& batch, const float* kernel, bool referenced, int tile_row,
    const Lane& lane) {
  for (int i = lane.warp; referenced && i < TAP_PAIRS * DISTANCES; i += WARPS) {
    const int a = i / DISTANCES * 2;
    const int offset = offset_at(8 * (GRANULES_RIGHT - i % DISTANCES), lane);
    store(paired_taps(shared_memory, 0, lane) + i * PAIRED_TAP_BYTES, make_uint4(
      taps_at(kernel, a, offset), taps_at(kernel, a + 1, offset), taps_rest_at(kernel, a, offset),
      taps_rest_at(kernel, a + 1, offset)));
  }
  for (int row = lane.thread; row < TILE_Q; row += THREADS) {
    const int position = batch.first_position + tile_row + row;
    const int document = document_of(batch, position);
    float sum = 0.0f;
#pragma unroll 1
    for (int a = 0; referenced && a < KERNEL_QUERY; a++) {
      float taps = 0.0f;
#pragma unroll 1
      for (int b = 0; b < KERNEL_KEY; b++) taps += kernel[a * KERNEL_KEY + b];
      if (document_of(batch, position + rows_below(a)) != document) continue;
      sum = fmaf(reference_at(shared_memory, HALO_PAST + row + rows_below(a)), taps, sum);
    }
    constant_at(shared_memory, row) = sum;
  }
  __syncthreads();
}

/// Takes off what the constants hold of hidden entries in a block of eight source keys, which `hidden` marks in ROWS
/// kernel rows: the references of their rows times taps, in those of the first `count` blocks of results that it feeds,
/// block `at` and the next ones.
template <int ROWS>
__device__ __forceinline__ void take_rows(
    float (*y)[4], int at, int count, unsigned (&hidden)[2 * ROWS], unsigned char* shared_memory, int place, int pair,
    const Lane& lane, const unsigned (&same)[2]) {
  unsigned any = 0u;
#pragma unroll
  for (int i = 0; i < 2 * ROWS; i++) {
    const int a = 2 * pair + i / 2;
    const float reference = -reference_at(shared_memory, place + 8 * (i % 2) + rows_below(a));
    hidden[i] &= pack_f16(reference, reference);
    hidden[i] &= 0u - (same[i % 2] >> a & 1u);
    any |= hidden[i];
  }
  if (!__any_sync(~0u, (any & ~SIGNS) != 0u)) return;
  const unsigned char* const taps = paired_taps(shared_memory, pair, lane);
#pragma unroll
  for (int j = 0; j < DISTANCES; j++) {
    if (at + j < 0 || at + j >= count) continue;
    const uint4 b = load_as<uint4>(taps + j * PAIRED_TAP_BYTES);
    multiply_taps(y[at + j], hidden, b.x, b.y, false);
    multiply_taps(y[at + j], hidden, b.z, b.w, false);
  }
}

/// The same of all kernel rows, in pairs; `mark` says which entries of a pair are hidden.
template <typename Mark>
__device__ __forceinline__ void take_block(
    float (*y)[4], int at, int count, unsigned char* shared_memory, int x, const Lane& lane, const SameDocument& same,
    const Mark& mark) {
  const int place = HALO_PAST + (lane.warp * ROW_BLOCKS + x) * 16 + lane.group;
#pragma unroll 1
  for (int pair = 0; pair < KERNEL_QUERY / 2; pair++) {
    unsigned hidden[4];
    mark(hidden, pair);
    take_rows<2>(y, at, count, hidden, shared_memory, place, pair, lane, same.bits[x]);
  }
  if constexpr (KERNEL_QUERY % 2 == 1) {
    unsigned hidden[2];
    mark(hidden, TAP_PAIRS - 1);
    take_rows<1>(y, at, count, hidden, shared_memory, place, TAP_PAIRS - 1, lane, same.bits[x]);
  }
}

/// Which of a step's blocks of eight keys hold a hidden entry that sixteen rows read: one bit each.
__device__ __forceinline__ unsigned hidden_blocks(const unsigned char* rows, const Lane& lane) {
  unsigned hidden = 0u;
#pragma unroll 1
  for (int r = lane.index / GRANULES; r < 16 + (KERNEL_QUERY - 1) * DILATION_QUERY; r += 32 / GRANULES) {
    const uint4 eight = load_as<uint4>(rows + r * S_ROW_BYTES + lane.index % GRANULES * 16);
    hidden |= hidden_of(eight.x) | hidden_of(eight.y) | hidden_of(eight.z) | hidden_of(eight.w);
  }
  unsigned lanes = __ballot_sync(~0u, hidden != 0u);
#pragma unroll
  for (int i = 16; i >= GRANULES; i /= 2) lanes |= lanes >> i;
  return lanes;
}

/// Takes off what is hidden of a step's entries, where they are 0.
__device__ __forceinline__ void take_hidden(
    float (&y)[ROW_BLOCKS][GRANULES + CARRIED][4], unsigned char* shared_memory, unsigned scores, const Batch& batch,
    int own_row, int2 own_range, int key, const Lane& lane, const SameDocument& same) {
  const unsigned char* const rows =
    shared_memory + S_AT + (HALO_PAST + lane.warp * ROW_BLOCKS * 16 - ORIGIN_QUERY * DILATION_QUERY) * S_ROW_BYTES;
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
    if (own_row + 16 * x >= batch.launch.row_end) break;
    const unsigned blocks = hidden_blocks(rows + x * 16 * S_ROW_BYTES, lane);
#pragma unroll
    for (int s = 0; s < GRANULES; s++) {
      // Whether there is anything, and somebody sees a result that it changes.
      if ((blocks >> s & 1u) == 0u || !overlaps(own_range, key + 8 * (s - GRANULES_RIGHT), 8 * DISTANCES)) continue;
      const unsigned block = scores + x * 16 * S_ROW_BYTES + s * 16;
      take_block(y[x], s, GRANULES + CARRIED, shared_memory, x, lane, same, [&](auto& hidden, int pair) {
        load_fragment(hidden, block + 2 * pair * DILATION_QUERY * S_ROW_BYTES);
        for (unsigned& each : hidden) each = hidden_of(each);
      });
    }
  }
}

/// The same of keys before key 0, and of those behind the last step: all that taps reach there is hidden.
__device__ __forceinline__ void take_before(
    float (&y)[ROW_BLOCKS][GRANULES + CARRIED][4], unsigned char* shared_memory, const Lane& lane,
    const SameDocument& same) {
#pragma unroll
  for (int block = 1; block <= CARRIED - GRANULES_RIGHT; block++) {
#pragma unroll
    for (int x = 0; x < ROW_BLOCKS; x++) {
      take_block(y[x], -block, CARRIED, shared_memory, x, lane, same, [](auto& hidden, int) {
        for (unsigned& each : hidden) each = ~0u;
      });
    }
  }
}

/// Adds what the convolution makes of the references where nothing is hidden to COUNT blocks of eight results.
template <int COUNT, int N>
__device__ __forceinline__ void add_constants(float (&y)[ROW_BLOCKS][N][4], unsigned char* shared_memory,
    const Lane& lane) {
  each_row(lane.warp * ROW_BLOCKS * 16, lane, [&](int x, int h, int row) {
    const float constant = constant_at(shared_memory, row);
    each_entry<COUNT>(y[x], [&](float& entry, int, int i) {
      if (i / 2 == h) entry += constant;
    });
  });
}

/// Writes an entry that the convolution reads.
__device__ __forceinline__ void store_score(unsigned char* scores, int place, int key, float score) {
  unsigned char* const to = scores + place * S_ROW_BYTES + key * 2;
  store_f16(to, within_f16(score));
}

/// Scores of the rows around the tile, transposed (keys times queries): eight rows at a time rather than sixteen.
__device__ __forceinline__ void make_halo(
    unsigned char* shared_memory, const Batch& batch, unsigned head, int tile_row, int step_key, const Lane& lane) {
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
    if (overlaps(key_range(batch, first_row, min(first_row + 7, batch.launch.query_rows - 1)), step_key + keys_at,
        16)) {
#pragma unroll
      for (int d = 0; d < D_STEPS; d++) {
        unsigned a[4];
        unsigned b[2];
        ldmatrix_x4(a, keys + d * 32);
        ldmatrix_x2(b, queries + d * 32);
        mma_bf16(s, a, b[0], b[1], false);
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
        score = seen_score(score);
        show(score, batch, head, row, row_seen, step_key + key, 0.0f, 0.0f);
        store_score(shared_memory + S_AT, place, key, score);
      }
    }
  }
}

/// Hides the scores of COUNT blocks of eight keys that the warp's rows do not see, and adds the bias to the others.
template <int COUNT, int N>
__device__ __forceinline__ void hide(
    float (&y)[ROW_BLOCKS][N][4], const Batch& batch, unsigned head, int own_row,
    int first_key, const Lane& lane, float hidden, float largest) {
  each_row(own_row, lane, [&](int x, int h, int row) {
    const int2 keys = row_keys(batch, row);
    each_entry<COUNT>(y[x], [&](float& entry, int n, int i) {
      if (i / 2 == h) show(entry, batch, head, row, keys, first_key + 8 * n + 2 * lane.quad + i % 2, hidden, largest);
    });
  });
}

/// Hides keys outside of [begin, end), which are another block's.
template <int COUNT, int N>
__device__ __forceinline__ void hide_others(
    float (&y)[ROW_BLOCKS][N][4], int first_key, int begin, int end, const Lane& lane) {
  each_entry<COUNT>(y, [&](float& entry, int, int n, int i) {
    const int key = first_key + 8 * n + 2 * lane.quad + i % 2;
    if (key < begin || key >= end) entry = HIDDEN;
  });
}

/// What is done to COUNT blocks of eight results, visible or not.
template <int COUNT, int N>
__device__ __forceinline__ void finish(float (&y)[ROW_BLOCKS][N][4], float added) {
  each_entry<COUNT>(y, [&](float& entry, int, int, int) {
    entry += added;
    entry = softcap(entry, 30.0f);
  });
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
      mma_bf16(o[x][n], weights[x], b[0], b[1], false);
      mma_bf16(o[x][n + 1], weights[x], b[2], b[3], false);
    }
  }
}

/// 0 times NaN is NaN: where some row of the tile does not see some key, values that are not finite are taken out of
/// the tile, and added to the results of the rows that do see their keys. The whole block calls this, for one tile of
/// values.
__device__ __forceinline__ void isolate_values(
    unsigned char* tile, const Batch& batch, unsigned head, int own_row, int first_key,
    const Lane& lane, float (&o)[ROW_BLOCKS][VALUE_GRANULES][4]) {
  unsigned probe = 0u;
  each_tile_unit<TILE_K, VALUE_GRANULES, V_ROW_BYTES, THREADS>(tile, lane.thread, [&](unsigned char* unit) {
    probe_128(probe, load_as<uint4>(unit));
  });
  if (!__syncthreads_or(probe)) return;
#pragma unroll 1
  for (int i = 0; i < TILE_K; i++) {
    each_row(own_row, lane, [&](int x, int h, int row) {
      if (!visible(batch, head, row, first_key + i)) return;
#pragma unroll
      for (int n = 0; n < VALUE_GRANULES; n++) {
        const unsigned pair = load_as<unsigned>(tile + place_of(i) * V_ROW_BYTES + n * 16 + lane.quad * 4);
        const unsigned bad = carry_exponents(pair);
        if (bad & 0x8000u) o[x][n][2 * h] += low_bf16(pair);
        if (bad & 0x80000000u) o[x][n][2 * h + 1] += high_bf16(pair);
      }
    });
  }
  __syncthreads();
  each_tile_unit<TILE_K, VALUE_GRANULES, V_ROW_BYTES, THREADS>(tile, lane.thread, [&](unsigned char* unit) {
    store(unit, only_finite_128(load_as<uint4>(unit)));
  });
  __syncthreads();
}

/// One step of the online softmax (Milakov and Gimelshein 2018): weights of scores beside the new maximum `m`, to which
/// the sum `l` and the results move.
template <int COUNT, int N>
__device__ __forceinline__ void online_softmax(
    const float (&y)[ROW_BLOCKS][N][4], unsigned (&weights)[COUNT][ROW_BLOCKS][4], float (&m)[ROW_BLOCKS][2],
    float (&l)[ROW_BLOCKS][2], float (&o)[ROW_BLOCKS][VALUE_GRANULES][4]) {
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float highest = m[x][h];
#pragma unroll
      for (int n = 0; n < 2 * COUNT; n++) highest = fmaxf(highest, fmaxf(y[x][n][2 * h], y[x][n][2 * h + 1]));
      highest = lanes_max<4>(highest);
      const float reference = reference_of(highest);
      const float factor = rescaling(m[x][h], reference, EXPONENT);
      m[x][h] = highest;
      l[x][h] *= factor;
      scale_row(o[x], h, factor);
#pragma unroll
      for (int n = 0; n < 2 * COUNT; n++) {
        const float first = relative_weight(y[x][n][2 * h], reference, EXPONENT);
        const float second = relative_weight(y[x][n][2 * h + 1], reference, EXPONENT);
        l[x][h] += first;
        l[x][h] += second;
        weights[n / 2][x][n % 2 * 2 + h] = pack_bf16(first, second);
      }
    }
  }
}

/// Writes one of the `parts` of the rows' results: values not yet divided by the sum, the maximum, the sum.
__device__ __forceinline__ void store_part(
    const float (&o)[ROW_BLOCKS][VALUE_GRANULES][4], const float (&m)[ROW_BLOCKS][2], const float (&l)[ROW_BLOCKS][2],
    float* partial_values, float* partial_sums, const Batch& batch, unsigned head, int parts,
    int part, int own_row, const Lane& lane) {
  each_row(own_row, lane, [&](int x, int h, int row) {
    const float total = lanes_sum<4>(l[x][h]);
    if (row >= batch.launch.row_end) return;
    const size_t at = (size_t(batch.index * HEADS + head) * parts + part) * batch.launch.query_rows + row;
    float* const to = partial_values + at * VALUE_DIM + 2 * lane.quad;
#pragma unroll
    for (int n = 0; n < VALUE_DIM / 8; n++) store(to + 8 * n, make_float2(o[x][n][2 * h], o[x][n][2 * h + 1]));
    if (lane.quad == 0) {
      partial_sums[2 * at] = m[x][h] == HIDDEN ? -INFINITE : m[x][h];
      partial_sums[2 * at + 1] = total;
    }
  });
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

/// Gates of every channel of sixteen rows: their logits are a matrix product, results as its left side, weights (one
/// row a channel) as its right side.
__device__ __forceinline__ void gate_channels(
    float (&o)[VALUE_GRANULES][4], const float* weights, const float* biases, const Lane& lane) {
  unsigned a[VALUE_GRANULES / 2][4];
#pragma unroll
  for (int n = 0; n < VALUE_GRANULES; n++) {
    a[n / 2][n % 2 * 2] = pack_f16(o[n][0], o[n][1]);
    a[n / 2][n % 2 * 2 + 1] = pack_f16(o[n][2], o[n][3]);
  }
#pragma unroll
  for (int n = 0; n < VALUE_DIM / 8; n++) {
    float logits[4];
#pragma unroll
    for (int i = 0; i < 4; i++) logits[i] = biases[8 * n + 2 * lane.quad + (i & 1)];
    const float* const line = weights + (8 * n + lane.group) * VALUE_DIM + 2 * lane.quad;
#pragma unroll
    for (int s = 0; s < VALUE_GRANULES / 2; s++) {
      const bool second = 16 * s + 8 < VALUE_DIM;
      mma_f16(logits, a[s], load_pair(line + 16 * s), second ? load_pair(line + 16 * s + 8) : 0u, false);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) o[n][i] *= sigmoid(logits[i]);
  }
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
      store(to + 8 * n, pack_bf16(o[x][n][2 * h], o[x][n][2 * h + 1]));
    }
  });
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) windowed_attention(
    const Launch launch,
    const Element* __restrict__ q,
    const Element* __restrict__ q_history,
    const Element* __restrict__ k,
    const Element* __restrict__ v,
    const float* __restrict__ parameters,
    const int* __restrict__ positions,
    const int* __restrict__ lengths,
    const int* __restrict__ documents,
    const float* __restrict__ bias,
    Element* __restrict__ o_rows,
    float* __restrict__ lse,
    float* __restrict__ partial_values,
    float* __restrict__ partial_sums
) {
  extern __shared__ __align__(128) unsigned char shared_memory[];
  const unsigned shared = shared_address(shared_memory);
  const Lane lane = own_lane();
  const Batch batch = open_batch(launch, positions, lengths, documents, bias);
  const unsigned head = blockIdx.y;
  const int tiles = (launch.row_end - launch.row_begin + TILE_Q - 1) / TILE_Q;
  // The tiles with the most keys first: the short ones fill the gaps at the end.
  const int tile_row = launch.row_begin + (tiles - 1 - int(blockIdx.x) % tiles) * TILE_Q;
  const int own_row = tile_row + lane.warp * 16 * ROW_BLOCKS;
  const int2 range = key_range(batch, tile_row, min(tile_row + TILE_Q, launch.row_end) - 1);
  // Few rows leave most of a device idle: then blocks share a tile's keys, and another kernel combines their results.
  const int splits = int(gridDim.x) / tiles;
  const int split = int(blockIdx.x) / tiles;
  const int share = ((range.y - range.x + splits - 1) / splits + TILE_K - 1) / TILE_K * TILE_K;
  const int keys_begin = min(range.y, range.x + split * share);
  const int keys_end = min(range.y, keys_begin + share);
  // Source keys that they are made of.
  const int source_begin = max(0, keys_begin - REACH_LEFT) / 8 * 8;
  const int source_end = min(keys_end, range.y);
  const int steps = keys_end > keys_begin ? max(0, source_end - source_begin + TILE_K - 1) / TILE_K : 0;

  load_queries(shared, batch, q, q_history, head, tile_row, lane.thread);
  const Element* const keys = keys_of(batch, k, head);
  const Element* const values = values_of(batch, v, head);
  const float* const kernel = parameters + WEIGHT_AT + head * (KERNEL_QUERY * KERNEL_KEY);
  Taps taps;
  make_taps(kernel, lane, shared_memory + S_AT, taps);
  const SameDocument same = compare_documents(batch, own_row, lane);
  const float added = parameters[BIAS_AT + head];
  const unsigned query_fragments =
    shared + Q_AT + (lane.warp * ROW_BLOCKS * 16 + (lane.index & 15)) * Q_ROW_BYTES + (lane.index >> 4) * 16;
  const unsigned key_fragments =
    shared + K_AT + ((lane.index & 7) + (lane.index >> 4 << 3)) * K_ROW_BYTES + (lane.index >> 3 & 1) * 16;

  const int first_block = (key_range(batch, tile_row - HALO_PAST, tile_row + TILE_Q + HALO_FUTURE - 1).x + 15) / 16;
  cp_async_wait<0>();
  __syncthreads();
  const bool referenced = make_references(shared_memory, batch, keys, head, tile_row, lane);
  make_constants(shared_memory, batch, kernel, referenced, tile_row, lane);
  load_keys(shared + K_AT, keys, launch, source_begin, source_end, lane.thread);
  load_rows<TILE_K, VALUE_DIM, V_ROW_BYTES>(
    shared + V_AT, values, launch.v_stride_l, source_begin - LAG, keys_end, lane.thread);
  cp_async_commit();

  // Scores of the step, then what is left of the last ones: their outputs lag by the convolution's right reach.
  float y[ROW_BLOCKS][GRANULES + CARRIED][4];
  fill(y, 0.0f);
  float o[ROW_BLOCKS][VALUE_GRANULES][4];
  fill(o, 0.0f);
  // Of each row the largest score, and the sum of the weights beside it.
  float m[ROW_BLOCKS][2];
  float l[ROW_BLOCKS][2];
  each_row(own_row, lane, [&](int x, int h, int row) {
    m[x][h] = HIDDEN;
    l[x][h] = 0.0f;
  });
  // The keys that the warp's rows see at most.
  int2 own_range = key_range(batch, own_row, min(own_row + 16 * ROW_BLOCKS, launch.row_end) - 1);
  own_range.y = min(own_range.y, keys_end);
  // The same for rows that are only read: those past the last one that the block writes.
  const int2 made_range = key_range(batch, own_row, own_row + 16 * ROW_BLOCKS - 1);
  unsigned char* const own_scores =
    shared_memory + S_AT + (HALO_PAST + lane.warp * ROW_BLOCKS * 16 + lane.group) * S_ROW_BYTES + lane.quad * 4;
  const unsigned value_fragments = shared + V_AT + (lane.index & 15) * V_ROW_BYTES + (lane.index >> 4) * 16;
  // Fragments of the tile's scores: lanes 16 to 31 address the second kernel row of a pair.
  const int fragment_row =
    HALO_PAST + lane.warp * ROW_BLOCKS * 16 + (lane.index & 15) + ((lane.index >> 4) - ORIGIN_QUERY) * DILATION_QUERY;
  const unsigned score_fragments = shared + S_AT + fragment_row * S_ROW_BYTES;
  if (referenced && source_begin == 0) take_before(y, shared_memory, lane, same);

  for (int step = 0; step < steps; step++) {
    const int step_key = source_begin + step * TILE_K;
    cp_async_wait<0>();
    __syncthreads();
    if (!interior()) {
      isolate_values(shared_memory + V_AT + (step & 1) * V_TILE_BYTES, batch, head, own_row, step_key - LAG, lane, o);
    }
    // Queries times keys.
    const bool inside = interior();
#pragma unroll
    for (int c = 0; c < TILE_K; c += COLUMNS) {
      if (step_key + TILE_K <= made_range.x || step_key + c >= made_range.y) {
        clear_scores(shared_memory + S_AT + c * 2, lane);
        continue;
      }
      float s[ROW_BLOCKS][COLUMNS / 8][4];
      multiply_keys<true>(query_fragments, key_fragments + c * K_ROW_BYTES, s);
      float references[ROW_BLOCKS][2];
      read_references(shared_memory, lane, references);
      each_entry<COLUMNS / 8>(s, [&](float& entry, int x, int, int i) {
        entry = fmaf(entry, SCALE, -references[x][i / 2]);
      });
      each_entry<COLUMNS / 8>(s, [&](float& entry, int, int, int) { entry = seen_score(entry); });
      if (!inside) {
        hide<COLUMNS / 8>(s, batch, head, own_row, step_key + c, lane, 0.0f, 0.0f);
      }
      store_scores(own_scores + c * 2, s);
    }
    make_halo(shared_memory, batch, head, tile_row, step_key, lane);
    __syncthreads();
    // Everybody is done with these keys, and with the values of the step before.
    if (step + 1 < steps) load_keys(shared + K_AT, keys, launch, step_key + TILE_K, source_end, lane.thread);
    if (LAG > 0 || step + 1 < steps) {
      load_rows<TILE_K, VALUE_DIM, V_ROW_BYTES>(
        shared + V_AT + (step + 1 & 1) * V_TILE_BYTES, values, launch.v_stride_l, step_key + TILE_K - LAG, keys_end,
        lane.thread);
    }
    cp_async_commit();
    // Keys of this step's results.
    const int key = step_key - LAG;
    // The warp's rows see nothing from here on.
    if (key >= own_range.y) continue;
    convolve(y, score_fragments, taps, same);
    if (referenced) {
      take_hidden(
        y, shared_memory, score_fragments, batch, own_row, own_range, step_key, lane, same);
    }
    if (referenced) add_constants<GRANULES>(y, shared_memory, lane);
    finish<GRANULES>(y, added);
    if (!interior()) {
      hide<GRANULES>(y, batch, head, own_row, key, lane, HIDDEN, LARGEST);
    }
    if (key < keys_begin || key + GRANULES * 8 > keys_end) {
      hide_others<GRANULES>(y, key, keys_begin, keys_end, lane);
    }
    unsigned weights[GRANULES / 2][ROW_BLOCKS][4];
    online_softmax(y, weights, m, l, o);
    // Keys that none of the warp's rows sees have no weight.
    const int live = own_range.y - key;
    const int first_live = ROW_BLOCKS > 1 && live < 8 * GRANULES
      ? key_range(batch, own_row, min(own_row + 15, launch.row_end - 1)).y - key : live;
    const unsigned step_values = value_fragments + (step & 1) * V_TILE_BYTES;
#pragma unroll
    for (int s = 0; s < GRANULES / 2; s++) {
      const unsigned values = step_values + s * 16 * V_ROW_BYTES;
      if (s * 16 < first_live) add_values(weights[s], values, o);
      else if (s * 16 < live) add_values<ROW_BLOCKS - 1>(weights[s], values, o);
    }
    each_entry<CARRIED>(y, [&](float& entry, int x, int n, int i) { entry = y[x][GRANULES + n][i]; });
  }

  if (splits > 1) {
    store_part(o, m, l, partial_values, partial_sums, batch, head, splits, split, own_row, lane);
    return;
  }

  each_row(own_row, lane, [&](int x, int h, int row) {
    // A row that sees no key has weight zero and log-sum-exp minus infinity.
    const float total = lanes_sum<4>(l[x][h]);
    if (lane.quad == 0 && row < launch.row_end) {
      lse[row_at(batch, head, row)] = log_sum_exp(m[x][h], total);
    }
    scale_row(o[x], h, total == 0.0f ? 0.0f : 1.0f / total);
  });

  // output.norm (line 11)
  change_rows(o, [&](float (&row)[2 * VALUE_GRANULES]) {
    normalize_row<4>(row, parameters + OUTPUT_NORM_WEIGHT_AT, 0.00001f, launch.depth_scale, lane.index);
  });

  // output.gate (line 11)
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++)
    gate_channels(o[x], parameters + OUTPUT_GATE_WEIGHT_AT, parameters + OUTPUT_GATE_BIAS_AT, lane);

  store_results(o, o_rows, batch, head, own_row, lane);
}

}  // namespace attention

namespace combine {

// Combines the parts of rows whose keys several blocks have shared, and computes the stages of the output.
// A warp takes one row of one head.

constexpr int WARPS = 4;
constexpr int THREADS = 128;
constexpr int VALUES_PER_LANE = 2;
/// output.norm.weight in parameters.
constexpr int OUTPUT_NORM_WEIGHT_AT = 104;
/// output.gate.weight in parameters.
constexpr int OUTPUT_GATE_WEIGHT_AT = 144;
constexpr int OUTPUT_GATE_BIAS_AT = 1744;

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

extern "C" __global__ void __launch_bounds__(THREADS) windowed_combine(
    const Launch launch,
    const float* __restrict__ partial_values,
    const float* __restrict__ partial_sums,
    const float* __restrict__ parameters,
    Element* __restrict__ o_rows,
    float* __restrict__ lse
) {
  const Lane lane = own_lane();
  const int row = launch.row_begin + int(blockIdx.x) * WARPS + lane.warp;
  if (row >= launch.row_end) return;
  const unsigned head = blockIdx.y;
  const unsigned batch = launch.batch + blockIdx.z;
  const int parts = int(launch.parts);
  const size_t first = size_t(batch * HEADS + head) * parts * launch.query_rows + row;

  float highest = -INFINITE;
  for (int part = 0; part < parts; part++) {
    highest = fmaxf(highest, partial_sums[2 * (first + size_t(part) * launch.query_rows)]);
  }
  // A row that sees no key has weight zero and log-sum-exp minus infinity.
  const float reference = highest == -INFINITE ? 0.0f : highest;
  float total = 0.0f;
  float o[VALUES_PER_LANE] = {};
  for (int part = 0; part < parts; part++) {
    const size_t at = first + size_t(part) * launch.query_rows;
    const float factor = exp2_approx((partial_sums[2 * at] - reference) * LOG2_E);
    total += factor * partial_sums[2 * at + 1];
#pragma unroll
    for (int i = 0; i < VALUES_PER_LANE; i++) {
      const int d = i * 32 + lane.index;
      if (d < VALUE_DIM) o[i] += factor * partial_values[at * VALUE_DIM + d];
    }
  }
  if (lane.index == 0) {
    lse[size_t(batch * HEADS + head) * launch.query_rows + row] =
      log_sum_exp(reference, total);
  }
  const float inverse = total == 0.0f ? 0.0f : 1.0f / total;
#pragma unroll
  for (int i = 0; i < VALUES_PER_LANE; i++) o[i] *= inverse;

  // output.norm (line 11)
  normalize_row<32>(o, parameters + OUTPUT_NORM_WEIGHT_AT, 0.00001f, launch.depth_scale, lane.index);

  // output.gate (line 11)
  {
    // One channel's logit after the other: the warp shares each sum.
    float ungated[VALUES_PER_LANE];
#pragma unroll
    for (int i = 0; i < VALUES_PER_LANE; i++) ungated[i] = o[i];
    // A division is a call on some devices, before which unrolled code would put registers away.
#pragma unroll 1
    for (int d = 0; d < VALUE_DIM; d++) {
      float logit = 0.0f;
#pragma unroll
      for (int i = 0; i < VALUES_PER_LANE; i++) {
        const int e = i * 32 + lane.index;
        if (e < VALUE_DIM) logit += ungated[i] * parameters[OUTPUT_GATE_WEIGHT_AT + d * VALUE_DIM + e];
      }
      const float gate = sigmoid(lanes_sum<32>(logit) + parameters[OUTPUT_GATE_BIAS_AT + d]);
#pragma unroll
      for (int i = 0; i < VALUES_PER_LANE; i++) {
        if (i * 32 + lane.index == d) o[i] *= gate;
      }
    }
  }

  Element* const to = result_row(launch, o_rows, batch, head, row);
#pragma unroll
  for (int i = 0; i < VALUES_PER_LANE; i++) {
    const int d = i * 32 + lane.index;
    if (d < VALUE_DIM) to[d] = static_cast<unsigned short>(pack_bf16(o[i], 0.0f));
  }
}

}  // namespace combine

}  // namespace mtac_windowed

// Launching the kernels from C and C++: what windowed.h declares. Left out where the kernels alone are compiled.
#if !defined(__CUDACC_RTC__) && !defined(MTAC_KERNELS_ONLY)
#include "windowed.h"
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>

namespace mtac_windowed {

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
  if (grid.x > INT_MAX || grid.y > 65535 || grid.z > 65535) return WINDOWED_ERROR_TOO_LARGE;
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z));
  kernel<<<blocks, threads, shared_bytes, stream>>>(arguments...);
  return cudaPeekAtLastError();
}

/// Where things lie in the caller's workspace, in bytes.
struct Workspace {
  size_t partial_values;
  size_t partial_sums;
  size_t lse;
  size_t bytes;
};

Workspace lay_out(const windowed_call& call) {
  const long long B = call.batches;
  const long long Lq = call.query_rows;
  const long long Lk = call.key_rows;
  const long long splits = std::max<long long>(0, Lq - 64) != 0
    ? 1 : std::max<long long>(1, std::min<long long>(floor_div(256, B * 8), floor_div(Lk, 256)));
  Workspace workspace{};
  const auto place = [&workspace](long long bytes) {
    const size_t at = workspace.bytes;
    workspace.bytes += (static_cast<size_t>(bytes) + 255) / 256 * 256;
    return at;
  };
  workspace.partial_values =
    place(std::max<long long>(16, 4 * 40 * std::min<long long>(1, splits - 1) * B * 8 * splits * Lq));
  workspace.partial_sums = place(std::max<long long>(16, 8 * std::min<long long>(1, splits - 1) * B * 8 * splits * Lq));
  // The kernels write the log-sum-exp of the rows even where the caller does not want it.
  if (call.lse == nullptr) workspace.lse = place(4LL * call.batches * WINDOWED_HEADS * call.query_rows);
  return workspace;
}

/// The strides of a contiguous tensor where the caller gives none.
inline windowed_strides strides_of(const windowed_strides& given, unsigned heads, int rows, unsigned size) {
  if (given.batch != 0 || given.head != 0 || given.row != 0) return given;
  const unsigned head = static_cast<unsigned>(rows) * size;
  return {heads * head, head, size};
}

/// The part of the launch block that all launches of a call share.
Launch describe(const windowed_call& call) {
  Launch launch{};
  launch.query_rows = call.query_rows;
  launch.key_rows = call.key_rows;
  launch.history_rows = call.history_rows;
  const windowed_strides q = strides_of(call.q_strides, WINDOWED_HEADS, call.query_rows, WINDOWED_HEAD_DIM);
  launch.q_stride_b = q.batch;
  launch.q_stride_h = q.head;
  launch.q_stride_l = q.row;
  const windowed_strides k = strides_of(call.k_strides, WINDOWED_KV_HEADS, call.key_rows, WINDOWED_HEAD_DIM);
  launch.k_stride_b = k.batch;
  launch.k_stride_h = k.head;
  launch.k_stride_l = k.row;
  const windowed_strides v = strides_of(call.v_strides, WINDOWED_KV_HEADS, call.key_rows, WINDOWED_VALUE_DIM);
  launch.v_stride_b = v.batch;
  launch.v_stride_h = v.head;
  launch.v_stride_l = v.row;
  const windowed_strides q_history = strides_of(call.q_history_strides, WINDOWED_HEADS, call.history_rows,
    WINDOWED_HEAD_DIM);
  launch.q_history_stride_b = q_history.batch;
  launch.q_history_stride_h = q_history.head;
  launch.q_history_stride_l = q_history.row;
  const windowed_strides o = strides_of(call.o_strides, WINDOWED_HEADS, call.query_rows, WINDOWED_VALUE_DIM);
  launch.o_stride_b = o.batch;
  launch.o_stride_h = o.head;
  launch.o_stride_l = o.row;
  launch.bias_stride_b = call.bias_strides.batch;
  launch.bias_stride_h = call.bias_strides.head;
  launch.bias_stride_l = call.bias_strides.row != 0 ? call.bias_strides.row : static_cast<unsigned>(call.key_rows);
  launch.has_positions = call.positions != nullptr ? 1u : 0u;
  launch.depth_scale = static_cast<float>(1.0 - (0.8 - 0.6 * std::exp(-0.3 * call.layer)));
  return launch;
}

}  // namespace

size_t workspace_bytes(const windowed_call& call) {
  return lay_out(call).bytes;
}

/// The plan's loops and launches. The call has been checked, the workspace is large enough.
int launch_all(const windowed_call& call, unsigned char* workspace_at, cudaStream_t stream) {
  const long long B = call.batches;
  const long long Lq = call.query_rows;
  const long long Lk = call.key_rows;
  const long long splits = std::max<long long>(0, Lq - 64) != 0
    ? 1 : std::max<long long>(1, std::min<long long>(floor_div(256, B * 8), floor_div(Lk, 256)));
  const Workspace workspace = lay_out(call);
  const Element* const q = static_cast<const Element*>(call.q);
  const Element* const k = static_cast<const Element*>(call.k);
  const Element* const v = static_cast<const Element*>(call.v);
  const Element* const q_history = static_cast<const Element*>(call.q_history);
  Element* const o = static_cast<Element*>(call.o);
  float* const lse = call.lse != nullptr ? call.lse : reinterpret_cast<float*>(workspace_at + workspace.lse);
  float* const partial_values = reinterpret_cast<float*>(workspace_at + workspace.partial_values);
  float* const partial_sums = reinterpret_cast<float*>(workspace_at + workspace.partial_sums);
  const Launch common = describe(call);

  for (long long batch = 0; batch < B; batch += 65535) {
    Launch launch = common;
    launch.batch = static_cast<unsigned>(batch);
    launch.row_end = static_cast<int>(Lq);
    launch.parts = static_cast<unsigned>(splits);
    if (const int error = queue(attention::windowed_attention,
      {ceil_div(Lq, 64) * splits, 8, std::min<long long>(65535, B - batch)}, 128, 27168, stream, launch, q, q_history,
      k, v, call.parameters, call.positions, call.lengths, call.documents, call.bias, o, lse, partial_values,
      partial_sums))
      return error;
    if (const int error = queue(combine::windowed_combine,
      {ceil_div(Lq, 4) * std::min<long long>(1, splits - 1), 8, std::min<long long>(65535, B - batch)}, 128, 0,
      stream, launch, partial_values, partial_sums, call.parameters, o, lse))
      return error;
  }
  return 0;
}

}  // namespace mtac_windowed

namespace mtac_windowed {

namespace {

/// Strides are multiples of what one load takes, and so are the pointers.
bool aligned(const void* pointer, const windowed_strides& strides, unsigned elements) {
  return reinterpret_cast<uintptr_t>(pointer) % (elements * 2) == 0 && strides.batch % elements == 0 &&
    strides.head % elements == 0 && strides.row % elements == 0;
}

int check(const windowed_call* call) {
  if (call == nullptr) return WINDOWED_ERROR_NULL_POINTER;
  if (call->batches < 1) return WINDOWED_ERROR_SIZE - 100;
  if (call->key_rows < 1) return WINDOWED_ERROR_SIZE - 300;
  if (call->query_rows < 1 || call->query_rows > call->key_rows) return WINDOWED_ERROR_SIZE - 200;
  if (call->history_rows < 0) return WINDOWED_ERROR_SIZE - 400;
  if (call->positions == nullptr && call->history_rows > 0 && call->history_rows > call->key_rows - call->query_rows)
    return WINDOWED_ERROR_SIZE - 400;
  if (call->layer < 0) return WINDOWED_ERROR_SIZE - 1400;
  long long rows = call->query_rows > call->key_rows ? call->query_rows : call->key_rows;
  if (call->history_rows > rows) rows = call->history_rows;
  if (rows * call->batches * WINDOWED_HEADS > INT_MAX) return WINDOWED_ERROR_TOO_LARGE;
  // Offsets of rows within contiguous tensors are 32-bit strides.
  if (rows * WINDOWED_HEADS * 40 > UINT_MAX) return WINDOWED_ERROR_TOO_LARGE;
  if (call->q == nullptr) return WINDOWED_ERROR_NULL_POINTER - 500;
  if (call->k == nullptr) return WINDOWED_ERROR_NULL_POINTER - 700;
  if (call->v == nullptr) return WINDOWED_ERROR_NULL_POINTER - 800;
  if (call->documents == nullptr) return WINDOWED_ERROR_NULL_POINTER - 1100;
  if (call->lengths == nullptr) return WINDOWED_ERROR_NULL_POINTER - 1200;
  if (call->bias == nullptr) return WINDOWED_ERROR_NULL_POINTER - 1300;
  if (call->o == nullptr) return WINDOWED_ERROR_NULL_POINTER - 900;
  if (call->parameters == nullptr) return WINDOWED_ERROR_NULL_POINTER - 1000;
  if (call->history_rows > 0 && call->q_history == nullptr) return WINDOWED_ERROR_NULL_POINTER - 600;
  if (!aligned(call->q, call->q_strides, 8)) return WINDOWED_ERROR_ALIGNMENT - 500;
  if (!aligned(call->k, call->k_strides, 8)) return WINDOWED_ERROR_ALIGNMENT - 700;
  if (!aligned(call->v, call->v_strides, 8)) return WINDOWED_ERROR_ALIGNMENT - 800;
  if (!aligned(call->q_history, call->q_history_strides, 8)) return WINDOWED_ERROR_ALIGNMENT - 600;
  if (!aligned(call->o, call->o_strides, 8)) return WINDOWED_ERROR_ALIGNMENT - 900;
  return 0;
}

}  // namespace

}  // namespace mtac_windowed

extern "C" size_t windowed_workspace_bytes(const windowed_call* call) {
  if (mtac_windowed::check(call) != 0) return 0;
  return mtac_windowed::workspace_bytes(*call);
}

extern "C" int windowed_launch(const windowed_call* call, void* workspace, size_t workspace_bytes,
    cudaStream_t stream) {
  if (const int error = mtac_windowed::check(call)) return error;
  const size_t needed = windowed_workspace_bytes(call);
  if (workspace_bytes < needed || (needed > 0 && workspace == nullptr)) return WINDOWED_ERROR_WORKSPACE;
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0) return WINDOWED_ERROR_ALIGNMENT - 1500;
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
  if (capability >= 80 && shared_bytes >= 27168) return mtac_windowed::launch_all(*call, memory, stream);
  return WINDOWED_ERROR_DEVICE;
}

extern "C" const char* windowed_error_string(int error) {
  switch (error) {
    case 0: return "no error";
    case WINDOWED_ERROR_NULL_POINTER: return "the call is a null pointer";
    case WINDOWED_ERROR_SIZE - 100:
      return "batches must be at least 1";
    case WINDOWED_ERROR_SIZE - 300:
      return "key_rows must be at least 1";
    case WINDOWED_ERROR_SIZE - 200:
      return "query_rows must be at least 1 and at most key_rows";
    case WINDOWED_ERROR_SIZE - 400:
      return "history_rows must be at least 0 and, without positions, at most key_rows - query_rows";
    case WINDOWED_ERROR_SIZE - 1400:
      return "layer must be at least 0";
    case WINDOWED_ERROR_NULL_POINTER - 500:
      return "q is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 700:
      return "k is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 800:
      return "v is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 1100:
      return "documents is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 1200:
      return "lengths is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 1300:
      return "bias is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 900:
      return "o is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 1000:
      return "parameters is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 600:
      return "q_history is a null pointer, and history_rows is not 0";
    case WINDOWED_ERROR_ALIGNMENT - 500:
      return "q is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case WINDOWED_ERROR_ALIGNMENT - 700:
      return "k is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case WINDOWED_ERROR_ALIGNMENT - 800:
      return "v is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case WINDOWED_ERROR_ALIGNMENT - 600:
      return "q_history is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case WINDOWED_ERROR_ALIGNMENT - 900:
      return "o is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case WINDOWED_ERROR_ALIGNMENT - 1500:
      return "workspace is not aligned to 256 bytes";
    case WINDOWED_ERROR_TOO_LARGE: return "the call is too large for one launch: split the batch";
    case WINDOWED_ERROR_WORKSPACE: return "the workspace is smaller than windowed_workspace_bytes says";
    case WINDOWED_ERROR_DEVICE: return "the device is older than the architectures that the kernels were made for";
    default: return error > 0 ? cudaGetErrorString(static_cast<cudaError_t>(error)) : "unknown error";
  }
}

#endif
