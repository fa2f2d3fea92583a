// windowed (masks.mta:3): kernels of the schedule single_pass.
//
// spec: heads 8, kv_heads 2, head_dim 40, value_dim 40, mask causal window 64 documents lengths bias, storage bf16-native
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

__device__ __forceinline__ Batch open_batch(const Launch& launch, const int* positions, const int* lengths, unsigned index) {
  Batch batch;
  batch.index = index;
  batch.first_position = launch.has_positions != 0u
      ? min(positions[index], LARGEST_POSITION - launch.query_rows)
      : launch.key_rows - launch.query_rows;
  batch.keys = max(0, min(lengths[index], launch.key_rows));
  return batch;
}

/// Keys [x, y) outside of which rows `first` to `last` see nothing; [0, 0) where they see nothing at all.
__device__ __forceinline__ int2 key_range(const Batch& batch, int first, int last) {
  int low = 0;
  int high = batch.keys;
  high = min(high, batch.first_position + last + 1);
  low = max(low, batch.first_position + first - (WINDOW - 1));
  high = min(high, batch.first_position + last + WINDOW);
  if (batch.first_position + first >= batch.keys) high = 0;
  return low < high ? make_int2(low, high) : make_int2(0, 0);
}

/// Whether all rows [row, row + rows) exist and see all keys [key, key + keys): there nothing needs testing.
__device__ __forceinline__ bool interior(const Launch& launch, const Batch& batch, int row, int rows, int key, int keys) {
  // Documents and biases hide pairs anywhere.
  return false;
}

/// The document at a position; -1 where there is none.
__device__ __forceinline__ int document_of(const Launch& launch, const Batch& batch, const int* documents, int position) {
  // No branch: the load is cheap, and diverging lanes are not.
  const int known = max(0, min(position, launch.key_rows - 1));
  const int document = documents[size_t(batch.index) * launch.key_rows + known];
  return position == known ? document : -1;
}

/// The additive bias of a pair; minus infinity hides it. Row and key must exist.
__device__ __forceinline__ float bias_of(const Launch& launch, const Batch& batch, const float* bias, unsigned head, int row, int key) {
  return bias[size_t(batch.index) * launch.bias_stride_b + size_t(head) * launch.bias_stride_h
    + size_t(launch.history_rows + row) * launch.bias_stride_l + key];
}

/// A score and its bias, at most `largest` in size where both are finite: only minus infinity hides, and a low bias must not.
__device__ __forceinline__ float biased(float score, float bias, float largest) {
  const float sum = score + bias;
  return fabsf(score) < INFINITE && fabsf(bias) < INFINITE ? fmaxf(-largest, fminf(sum, largest)) : sum;
}

/// Whether a row sees a key. Rows and keys that do not exist see nothing and are not seen.
__device__ __forceinline__ bool visible(const Launch& launch, const Batch& batch, const int* documents, const float* bias, unsigned head, int row, int key) {
  bool seen = row >= -launch.history_rows && row < launch.query_rows && key >= 0 && key < batch.keys;
  const int position = batch.first_position + row;
  seen = seen && key <= position;
  seen = seen && position - key < WINDOW && key - position < WINDOW;
  seen = seen && position < batch.keys;
  const int document = document_of(launch, batch, documents, position);
  const int key_document = document_of(launch, batch, documents, key);
  seen = seen & (document >= 0) & (document == key_document);
  const int known_row = max(-launch.history_rows, min(row, launch.query_rows - 1));
  const int known_key = max(0, min(key, launch.key_rows - 1));
  seen = seen & (bias_of(launch, batch, bias, head, known_row, known_key) != -INFINITE);
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

constexpr float LOG2_E = 1.44269504088896340736f;
constexpr float LN_2 = 0.69314718055994530942f;

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
__device__ __forceinline__ void mma_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, const float (&c)[4]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

/// d = a b: the first product of a sum needs no zeros in registers.
__device__ __forceinline__ void mma_f16_first(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %10, %10, %10};"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
}

__device__ __forceinline__ void mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, const float (&c)[4]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

__device__ __forceinline__ void mma_bf16_first(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %10, %10, %10};"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
}

/// d = a b + c on 16x8 by 8x8 tiles.
__device__ __forceinline__ void mma_f16_k8(float (&d)[4], unsigned a0, unsigned a1, unsigned b0, const float (&c)[4]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
               : "r"(a0), "r"(a1), "r"(b0), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
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

/// 2^x.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Two f32 as f16, `low` in the low half.
__device__ __forceinline__ unsigned pack_f16(float low, float high) {
  unsigned pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

__device__ __forceinline__ void store_32(void* to, unsigned value) {
  *static_cast<unsigned*>(to) = value;
}

__device__ __forceinline__ void store_128(void* to, uint4 value) {
  *static_cast<uint4*>(to) = value;
}

__device__ __forceinline__ void store_f16(void* to, float value) {
  unsigned short half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
  *static_cast<unsigned short*>(to) = half;
}

__device__ __forceinline__ uint4 load_128(const void* from) {
  return *static_cast<const uint4*>(from);
}

/// Two neighbouring f32 as f16. Volatile: thousands of such loads, all moved ahead of the products that use them, would not fit
/// the registers.
__device__ __forceinline__ unsigned load_pair(const float* from) {
  float low;
  float high;
  asm volatile("ld.global.nc.f32 %0, [%1];" : "=f"(low) : "l"(from));
  asm volatile("ld.global.nc.f32 %0, [%1 + 4];" : "=f"(high) : "l"(from));
  return pack_f16(low, high);
}

/// Exponents of a pair in the storage type plus one: all ones, which mean infinity or NaN, carry into the sign bits.
__device__ __forceinline__ unsigned carry_exponents(unsigned pair) {
  return (pair & 0x7f807f80u) + 0x00800080u;
}

/// Which halves of a pair in the storage type are infinite or NaN: the sign bits of the result.
__device__ __forceinline__ unsigned not_finite(unsigned pair) {
  return carry_exponents(pair) & 0x80008000u;
}

__device__ __forceinline__ float low_storage(unsigned pair) {
  return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high_storage(unsigned pair) {
  return __uint_as_float(pair & 0xffff0000u);
}

/// The pair without what is not finite.
__device__ __forceinline__ unsigned only_finite(unsigned pair) {
  const unsigned bad = not_finite(pair);
  return pair & ~((bad >> 15) * 0xffffu);
}

/// The products of the storage type: queries with keys, weights with values.
__device__ __forceinline__ void mma_storage(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, const float (&c)[4]) {
  mma_bf16(d, a, b0, b1, c);
}

__device__ __forceinline__ void mma_storage_first(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  mma_bf16_first(d, a, b0, b1);
}

__device__ __forceinline__ unsigned pack_storage(float low, float high) {
  return pack_bf16(low, high);
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

/// The log-sum-exp of a row: of its maximum, and the sum of its weights beside that.
__device__ __forceinline__ float log_sum_exp(float highest, float exponent, float sum) {
  if (sum == 0.0f) return -INFINITE;
  return highest + log2f(sum) * LN_2;
}

namespace attention {

// Queries times keys on tensor cores, then
// scores.conv (line 10), conv 3x4 as products with banded Toeplitz matrices,
// online softmax, times values.

constexpr int WARPS = 4;
constexpr int THREADS = 128;
/// Blocks of sixteen rows of a warp.
constexpr int ROW_BLOCKS = 1;
/// Rows of a block, and keys of a step.
constexpr int TILE_Q = 64;
constexpr int TILE_K = 32;
/// Blocks of eight keys of a step; those that later steps finish; the last ones.
constexpr int GRANULES = 4;
constexpr int CARRIED = 1;
/// Keys by which results trail the scores that they are made of.
constexpr int LAG = 0;
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
/// Rows around the tile that the convolution reads, in blocks of eight.
constexpr int HALO_PAST = 8;
constexpr int HALO_ROWS = 8;
/// Blocks of eight values.
constexpr int VALUE_GRANULES = 6;
constexpr int V_ROW_BYTES = 112;
constexpr int V_AT = 3584;
constexpr int V_TILE_BYTES = 3584;
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
/// The tap that meets the current row and key.
constexpr int ORIGIN_QUERY = 2;
constexpr int ORIGIN_KEY = 3;
constexpr int DILATION_QUERY = 1;
constexpr int DILATION_KEY = 1;
/// Blocks of eight keys in reach to the right; all blocks in reach.
constexpr int GRANULES_RIGHT = 0;
constexpr int DISTANCES = 2;
constexpr int TAP_PAIRS = 2;
/// scores.conv.weight in parameters.
constexpr int WEIGHT_AT = 0;
constexpr int BIAS_AT = 96;
/// Weights are 2^(score * EXPONENT - maximum).
constexpr float EXPONENT = LOG2_E;

/// The tap of kernel row a that an output reads `offset` keys to its right, as f32; 0 where the kernel has none.
__device__ __forceinline__ float tap(const float* kernel, int a, int offset) {
  const int b = offset / DILATION_KEY + ORIGIN_KEY;
  if (a < 0 || a >= KERNEL_QUERY || b < 0 || b >= KERNEL_KEY) return 0.0f;
  return kernel[a * KERNEL_KEY + b];
}

/// A fragment of the banded Toeplitz matrix by which a block of eight source keys is multiplied: the convolution of one kernel
/// row along the keys. It is the same for all blocks at one distance, so it is made once.
__device__ __forceinline__ unsigned toeplitz(const float* kernel, int a, int distance, int lane) {
  const int offset = distance + 2 * (lane & 3) - (lane >> 2);
  return pack_f16(tap(kernel, a, offset), tap(kernel, a, offset + 1));
}

/// Where a query row lies; null where it does not exist.
__device__ __forceinline__ const unsigned short* query_row(
    const Launch& launch, const unsigned short* q, const unsigned short* q_history, unsigned batch, unsigned head, int row) {
  if (row < -launch.history_rows || row >= launch.query_rows) return nullptr;
  if (row < 0) {
    return q_history + size_t(batch) * launch.q_history_stride_b + size_t(head) * launch.q_history_stride_h
      + size_t(row + launch.history_rows) * launch.q_history_stride_l;
  }
  return q + size_t(batch) * launch.q_stride_b + size_t(head) * launch.q_stride_h + size_t(row) * launch.q_stride_l;
}

/// Rows [0, ROWS) of a tensor to shared memory; rows outside [low, high) of it and elements past SIZE become 0.
template <int ROWS, int SIZE, int ROW_BYTES>
__device__ __forceinline__ void load_rows(
    unsigned to, const unsigned short* from, size_t stride, int first, int low, int high, int thread) {
  constexpr int CHUNKS = (SIZE + 15) / 16 * 2;
  // Most tiles lie inside the tensor: no tests, and a thread's units lie below each other where rows divide the threads.
  if (THREADS % CHUNKS == 0 && ROWS % (THREADS / CHUNKS) == 0 && SIZE % 16 == 0 && first >= low && first + ROWS <= high) {
    constexpr int HOP = THREADS / CHUNKS;
    const unsigned short* unit = from + size_t(first + thread / CHUNKS) * stride + thread % CHUNKS * 8;
    const unsigned place = to + thread / CHUNKS * ROW_BYTES + thread % CHUNKS * 16;
#pragma unroll
    for (int i = 0; i < ROWS / HOP; i++, unit += HOP * stride) cp_async(place + i * HOP * ROW_BYTES, unit, true);
    return;
  }
#pragma unroll
  for (int i = 0; i < (ROWS * CHUNKS + THREADS - 1) / THREADS; i++) {
    const int id = thread + i * THREADS;
    const int r = id / CHUNKS;
    const int c = id % CHUNKS;
    const int row = first + r;
    const bool exists = row >= low && row < high && c * 8 < SIZE;
    if (ROWS * CHUNKS % THREADS == 0 || id < ROWS * CHUNKS) {
      cp_async(to + r * ROW_BYTES + c * 16, from + (exists ? size_t(row) * stride + c * 8 : 0), exists);
    }
  }
}

/// One step of the online softmax (Milakov and Gimelshein 2018) of a lane's two rows over GRANULES blocks of eight keys:
/// the maximum `m` and the sum `l` so far, the weights as packed pairs, and the results rescaled.
template <int GRANULES>
__device__ __forceinline__ void online_softmax(
    float (*y)[4], unsigned (*weights)[2], float (&o)[VALUE_GRANULES][4], float (&m)[2], float (&l)[2]) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    float highest = m[h];
#pragma unroll
    for (int n = 0; n < GRANULES; n++) highest = fmaxf(highest, fmaxf(y[n][2 * h], y[n][2 * h + 1]));
    highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, 1));
    highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, 2));
    // A row that has seen nothing yet: any other reference makes its weights 0.
    const float reference = highest == HIDDEN ? 0.0f : highest;
    const float factor = rescaling(m[h], reference, EXPONENT);
    m[h] = highest;
    l[h] *= factor;
#pragma unroll
    for (int n = 0; n < VALUE_GRANULES; n++) {
      o[n][2 * h] *= factor;
      o[n][2 * h + 1] *= factor;
    }
#pragma unroll
    for (int n = 0; n < GRANULES; n++) {
      const float first = relative_weight(y[n][2 * h], reference, EXPONENT);
      const float second = relative_weight(y[n][2 * h + 1], reference, EXPONENT);
      l[h] += first;
      l[h] += second;
      weights[n][h] = pack_storage(first, second);
    }
  }
}

/// o += weights * values over GRANULES blocks of eight keys, for row blocks FIRST to FIRST + COUNT - 1; keys from `live` on have no weight.
template <int GRANULES, int FIRST, int COUNT>
__device__ __forceinline__ void add_values(unsigned (*weights)[GRANULES][2], float (*o)[VALUE_GRANULES][4], unsigned values, int live) {
#pragma unroll
  for (int s = 0; s < GRANULES / 2; s++) {
    if (s * 16 < live) {
      const unsigned sixteen = values + s * 16 * V_ROW_BYTES;
#pragma unroll
      for (int n = 0; n < VALUE_GRANULES / 2; n++) {
        unsigned b[4];
        ldmatrix_x4_trans(b, sixteen + n * 32);
#pragma unroll
        for (int x = 0; x < COUNT; x++) {
          const unsigned a[4] = {weights[x][2 * s][0], weights[x][2 * s][1], weights[x][2 * s + 1][0], weights[x][2 * s + 1][1]};
          mma_storage(o[FIRST + x][2 * n], a, b[0], b[1], o[FIRST + x][2 * n]);
          mma_storage(o[FIRST + x][2 * n + 1], a, b[2], b[3], o[FIRST + x][2 * n + 1]);
        }
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) windowed_attention(
    const Launch launch,
    const unsigned short* __restrict__ q,
    const unsigned short* __restrict__ q_history,
    const unsigned short* __restrict__ k,
    const unsigned short* __restrict__ v,
    const float* __restrict__ parameters,
    const int* __restrict__ positions,
    const int* __restrict__ lengths,
    const int* __restrict__ documents,
    const float* __restrict__ bias,
    unsigned short* __restrict__ o_rows,
    float* __restrict__ lse,
    float* __restrict__ partial_values,
    float* __restrict__ partial_sums
) {
  extern __shared__ __align__(128) unsigned char shared_memory[];
  const unsigned shared = shared_address(shared_memory);
  const int thread = threadIdx.x;
  const int lane = thread & 31;
  // The same for all lanes, and known to be: branches on it stay uniform.
  const int warp = __shfl_sync(~0u, thread >> 5, 0);
  // Place in the fragments of mma: rows `group` and `group` + 8, columns 2 * quad and the next.
  const int group = lane >> 2;
  const int quad = lane & 3;

  const Batch batch = open_batch(launch, positions, lengths, launch.batch + blockIdx.z);
  const unsigned head = blockIdx.y;
  const int tiles = (launch.row_end - launch.row_begin + TILE_Q - 1) / TILE_Q;
  // The tiles with the most keys first: the short ones fill the gaps at the end.
  const int tile_row = launch.row_begin + (tiles - 1 - int(blockIdx.x) % tiles) * TILE_Q;
  const int own_row = tile_row + warp * 16 * ROW_BLOCKS;
  const int2 range = key_range(batch, tile_row, min(tile_row + TILE_Q, launch.row_end) - 1);
  // Few rows leave most of a device idle: then blocks share a tile's keys, and another kernel combines their results.
  const int splits = int(gridDim.x) / tiles;
  const int split = int(blockIdx.x) / tiles;
  const int share = ((range.y - range.x + splits - 1) / splits + TILE_K - 1) / TILE_K * TILE_K;
  const int keys_begin = min(range.y, range.x + split * share);
  const int keys_end = min(range.y, keys_begin + share);
  // Source keys that the convolution reads for them.
  const int source_begin = max(0, keys_begin - REACH_LEFT) / 8 * 8;
  const int source_end = min(keys_end, range.y);
  const int steps = keys_end > keys_begin ? max(0, source_end - source_begin + TILE_K - 1) / TILE_K : 0;

  // Queries, with the rows around the tile that the convolution reads.
  const unsigned short* const keys = k + size_t(batch.index) * launch.k_stride_b + size_t(head / HEADS_PER_KEY) * launch.k_stride_h;
  const unsigned short* const values = v + size_t(batch.index) * launch.v_stride_b + size_t(head / HEADS_PER_KEY) * launch.v_stride_h;
  for (int id = thread; id < (TILE_Q + HALO_ROWS) * Q_CHUNKS; id += THREADS) {
    const int r = id / Q_CHUNKS;
    const int c = id % Q_CHUNKS;
    // The halo's rows lie behind the tile's: those before it first.
    const int from_tile = r < TILE_Q ? r : r < TILE_Q + HALO_PAST ? r - TILE_Q - HALO_PAST : r - HALO_PAST;
    const int row = tile_row + from_tile;
    const unsigned short* const from = query_row(launch, q, q_history, batch.index, head, row);
    const bool exists = from != nullptr && c * 8 < HEAD_DIM;
    const unsigned to = r < TILE_Q ? shared + Q_AT + r * Q_ROW_BYTES : shared + HALO_AT + (r - TILE_Q) * Q_ROW_BYTES;
    cp_async(to + c * 16, exists ? from + c * 8 : q, exists);
  }
  cp_async_commit();

  // Fragments of the convolution: kernel rows in pairs, distances in blocks of eight keys from right to left.
  const float* const kernel = parameters + WEIGHT_AT + (head) * (KERNEL_QUERY * KERNEL_KEY);
  unsigned taps[TAP_PAIRS][DISTANCES][2];
#pragma unroll
  for (int pair = 0; pair < TAP_PAIRS; pair++) {
#pragma unroll
    for (int j = 0; j < DISTANCES; j++) {
      taps[pair][j][0] = toeplitz(kernel, 2 * pair, 8 * (GRANULES_RIGHT - j), lane);
      taps[pair][j][1] = toeplitz(kernel, 2 * pair + 1, 8 * (GRANULES_RIGHT - j), lane);
    }
  }

  // Taps in another document than their row count as 0: one bit a kernel row.
  unsigned same_document[ROW_BLOCKS][2];
  bool all_same = true;
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int row = own_row + 16 * x + 8 * h + group;
      const int document = document_of(launch, batch, documents, batch.first_position + row);
      unsigned bits = 0u;
      for (int a = 0; a < KERNEL_QUERY; a++) {
        const int tap_row = row + (a - ORIGIN_QUERY) * DILATION_QUERY;
        if (document_of(launch, batch, documents, batch.first_position + tap_row) == document) bits |= 1u << a;
      }
      same_document[x][h] = bits;
      all_same = all_same && bits == (1u << KERNEL_QUERY) - 1u;
    }
  }
  const bool mixed_documents = !__all_sync(~0u, all_same);
  const float added = parameters[BIAS_AT + head];
  load_rows<TILE_K, HEAD_DIM, K_ROW_BYTES>(shared + K_AT, keys, launch.k_stride_l, source_begin, 0, source_end, thread);
  load_rows<TILE_K, VALUE_DIM, V_ROW_BYTES>(shared + V_AT, values, launch.v_stride_l, source_begin - LAG, 0, keys_end, thread);
  cp_async_commit();

  // Scores of the step, then what is left of the last ones: their outputs lag by the convolution's right reach.
  float y[ROW_BLOCKS][GRANULES + CARRIED][4];
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int n = 0; n < CARRIED; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) y[x][n][i] = 0.0f;
    }
  }
  float m[ROW_BLOCKS][2];
  float l[ROW_BLOCKS][2];
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
    m[x][0] = m[x][1] = HIDDEN;
    l[x][0] = l[x][1] = 0.0f;
  }
  float o[ROW_BLOCKS][VALUE_GRANULES][4];
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int n = 0; n < VALUE_GRANULES; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) o[x][n][i] = 0.0f;
    }
  }
  // The last row of the warp that exists, and the keys that its rows see.
  int2 own_range = key_range(batch, own_row, min(own_row + 16 * ROW_BLOCKS, launch.row_end) - 1);
  own_range.y = min(own_range.y, keys_end);
  // The same for rows that are only read: those past the last one that the block writes.
  const int2 made_range = key_range(batch, own_row, own_row + 16 * ROW_BLOCKS - 1);
  const unsigned key_fragments = shared + K_AT + ((lane & 7) + (lane >> 4 << 3)) * K_ROW_BYTES + (lane >> 3 & 1) * 16;
  const unsigned query_fragments = shared + Q_AT + (warp * ROW_BLOCKS * 16 + (lane & 15)) * Q_ROW_BYTES + (lane >> 4) * 16;
  const unsigned value_fragments = shared + V_AT + (lane & 15) * V_ROW_BYTES + (lane >> 4) * 16;
  unsigned char* const own_scores = shared_memory + S_AT + (HALO_PAST + warp * ROW_BLOCKS * 16 + group) * S_ROW_BYTES + quad * 4;
  // Fragments of the tile's scores: lanes 16 to 31 address the second kernel row of a pair.
  const int tile_fragment_row = HALO_PAST + warp * ROW_BLOCKS * 16 + (lane & 15) + ((lane >> 4) - ORIGIN_QUERY) * DILATION_QUERY;
  const unsigned tile_fragments = shared + S_AT + tile_fragment_row * S_ROW_BYTES;

  // 0 times NaN is NaN: where some row of the tile does not see some key, values that are not finite are taken out of the
  // tile, and added to the results of the rows that do see their keys. The whole block calls this, for one tile of values.
  const unsigned value_units = thread / VALUE_GRANULES * V_ROW_BYTES + thread % VALUE_GRANULES * 16;
  const auto isolate_values = [&](unsigned char* tile, int first_key) {
    constexpr int UNITS = TILE_K * VALUE_GRANULES;
    const auto unit = [&](int i) {
      // Where the number of units in a row divides that of threads, a thread's units lie below each other.
      if (THREADS % VALUE_GRANULES == 0) return tile + value_units + i * (THREADS / VALUE_GRANULES) * V_ROW_BYTES;
      const int id = thread + i * THREADS;
      return tile + id / VALUE_GRANULES * V_ROW_BYTES + id % VALUE_GRANULES * 16;
    };
    unsigned exponents = 0u;
#pragma unroll
    for (int i = 0; i < (UNITS + THREADS - 1) / THREADS; i++) {
      if (UNITS % THREADS == 0 || thread + i * THREADS < UNITS) {
        const uint4 eight = load_128(unit(i));
        exponents |= carry_exponents(eight.x) | carry_exponents(eight.y) | carry_exponents(eight.z) | carry_exponents(eight.w);
      }
    }
    if (!__syncthreads_or(exponents & 0x80008000u)) return;
#pragma unroll 1
    for (int i = 0; i < TILE_K; i++) {
#pragma unroll
      for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const int row = own_row + 16 * x + 8 * h + group;
          if (visible(launch, batch, documents, bias, head, row, first_key + i)) {
#pragma unroll
            for (int n = 0; n < VALUE_GRANULES; n++) {
              const unsigned pair = *reinterpret_cast<const unsigned*>(tile + i * V_ROW_BYTES + n * 16 + quad * 4);
              if (not_finite(pair) & 0x8000u) o[x][n][2 * h] += low_storage(pair);
              if (not_finite(pair) & 0x80000000u) o[x][n][2 * h + 1] += high_storage(pair);
            }
          }
        }
      }
    }
    __syncthreads();
#pragma unroll 1
    for (int i = 0; i < (UNITS + THREADS - 1) / THREADS; i++) {
      if (UNITS % THREADS == 0 || thread + i * THREADS < UNITS) {
        const uint4 eight = load_128(unit(i));
        store_128(unit(i), make_uint4(only_finite(eight.x), only_finite(eight.y), only_finite(eight.z), only_finite(eight.w)));
      }
    }
    __syncthreads();
  };

  for (int step = 0; step < steps; step++) {
    const int step_key = source_begin + step * TILE_K;
    cp_async_wait<0>();
    __syncthreads();
    if (!interior(launch, batch, tile_row, TILE_Q, step_key - LAG, TILE_K)) {
      isolate_values(shared_memory + V_AT + (step & 1) * V_TILE_BYTES, step_key - LAG);
    }

    // Queries times keys.
    const bool alive = step_key < made_range.y && step_key + TILE_K > made_range.x;
    const bool inside = interior(launch, batch, own_row, 16 * ROW_BLOCKS, step_key, TILE_K);
#pragma unroll
    for (int c = 0; c < TILE_K; c += COLUMNS) {
      if (!alive || step_key + c >= made_range.y) {
        // Nothing is seen, but the rows below read these zeros.
#pragma unroll
        for (int i = 0; i < 16 * ROW_BLOCKS * COLUMNS / 8 / 32; i++) {
          const int id = lane + i * 32;
          const int r = HALO_PAST + warp * ROW_BLOCKS * 16 + id / (COLUMNS / 8);
          unsigned char* const to = shared_memory + S_AT + r * S_ROW_BYTES + c * 2 + id % (COLUMNS / 8) * 16;
          store_128(to, make_uint4(0u, 0u, 0u, 0u));
        }
        continue;
      }
      float s[ROW_BLOCKS][COLUMNS / 8][4];
#pragma unroll
      for (int d = 0; d < D_STEPS; d++) {
        unsigned queries[ROW_BLOCKS][4];
#pragma unroll
        for (int x = 0; x < ROW_BLOCKS; x++) ldmatrix_x4(queries[x], query_fragments + x * 16 * Q_ROW_BYTES + d * 32);
#pragma unroll
        for (int n = 0; n < COLUMNS / 16; n++) {
          unsigned b[4];
          ldmatrix_x4(b, key_fragments + (c + n * 16) * K_ROW_BYTES + d * 32);
#pragma unroll
          for (int x = 0; x < ROW_BLOCKS; x++) {
            if (d == 0) {
              mma_storage_first(s[x][2 * n], queries[x], b[0], b[1]);
              mma_storage_first(s[x][2 * n + 1], queries[x], b[2], b[3]);
            } else {
              mma_storage(s[x][2 * n], queries[x], b[0], b[1], s[x][2 * n]);
              mma_storage(s[x][2 * n + 1], queries[x], b[2], b[3], s[x][2 * n + 1]);
            }
          }
        }
      }
#pragma unroll
      for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
          for (int i = 0; i < 4; i++) {
            s[x][n][i] *= SCALE;
          }
        }
      }
      if (!inside) {
#pragma unroll
        for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
          for (int h = 0; h < 2; h++) {
            const int row = own_row + 16 * x + 8 * h + group;
            // Keys [x, x + y) are what the row sees at most.
            const bool row_exists = row >= -launch.history_rows && row < launch.query_rows;
            const int2 row_range = key_range(batch, row, row);
            const unsigned row_keys = row_exists ? row_range.y - row_range.x : 0;
#pragma unroll
            for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
              for (int i = 0; i < 2; i++) {
                const int key = step_key + c + 8 * n + 2 * quad + i;
                if (!(unsigned(key - row_range.x) < row_keys && visible(launch, batch, documents, bias, head, row, key))) s[x][n][2 * h + i] = 0.0f;
              }
            }
          }
        }
      }
#pragma unroll
      for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++) {
          unsigned char* const to = own_scores + x * 16 * S_ROW_BYTES + (c + n * 8) * 2;
          const unsigned upper = pack_f16(s[x][n][0], s[x][n][1]);
          const unsigned lower = pack_f16(s[x][n][2], s[x][n][3]);
          store_32(to, upper);
          store_32(to + 8 * S_ROW_BYTES, lower);
        }
      }
    }
    // Rows around the tile, transposed (keys times queries): eight rows at a time rather than sixteen.
#pragma unroll
    for (int u = 0; u < HALO_ROWS / 8 * (TILE_K / 16); u += WARPS) {
      const int unit = u + warp;
      if (HALO_ROWS / 8 * (TILE_K / 16) % WARPS == 0 || unit < HALO_ROWS / 8 * (TILE_K / 16)) {
        const int block = unit / (TILE_K / 16);
        const int keys_at = unit % (TILE_K / 16) * 16;
        float s[4];
#pragma unroll
        for (int d = 0; d < D_STEPS; d++) {
          unsigned a[4];
          unsigned b[2];
          ldmatrix_x4(a, shared + K_AT + (keys_at + (lane & 15)) * K_ROW_BYTES + (lane >> 4) * 16 + d * 32);
          ldmatrix_x2(b, shared + HALO_AT + (block * 8 + (lane & 7)) * Q_ROW_BYTES + (lane >> 3 & 1) * 16 + d * 32);
          if (d == 0) mma_storage_first(s, a, b[0], b[1]);
          else mma_storage(s, a, b[0], b[1], s);
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
          // Rows before the tile come first.
          const int local = block * 8 + 2 * quad + i;
          const int place = local < HALO_PAST ? local : local + TILE_Q;
          const int row = tile_row - HALO_PAST + place;
            // Keys [x, x + y) are what the row sees at most.
            const bool row_exists = row >= -launch.history_rows && row < launch.query_rows;
            const int2 row_range = key_range(batch, row, row);
            const unsigned row_keys = row_exists ? row_range.y - row_range.x : 0;
#pragma unroll
          for (int h = 0; h < 2; h++) {
            const int key = step_key + keys_at + 8 * h + group;
            float score = s[2 * h + i] * SCALE;
            if (!(unsigned(key - row_range.x) < row_keys && visible(launch, batch, documents, bias, head, row, key))) score = 0.0f;
            store_f16(shared_memory + S_AT + place * S_ROW_BYTES + (keys_at + 8 * h + group) * 2, score);
          }
        }
      }
    }
    __syncthreads();
    // Everybody is done with these keys, and with the values of the step before.
    if (step + 1 < steps) {
      load_rows<TILE_K, HEAD_DIM, K_ROW_BYTES>(shared + K_AT, keys, launch.k_stride_l, step_key + TILE_K, 0, source_end, thread);
    }
    if (LAG > 0 || step + 1 < steps) {
      const unsigned to = shared + V_AT + (step + 1 & 1) * V_TILE_BYTES;
      load_rows<TILE_K, VALUE_DIM, V_ROW_BYTES>(to, values, launch.v_stride_l, step_key + TILE_K - LAG, 0, keys_end, thread);
    }
    cp_async_commit();
    // Keys of this step's results.
    const int key = step_key - LAG;
    if (key >= own_range.y) continue;
    // Each block of eight source keys feeds all output blocks in reach; finished ones move on, the others are carried.
#pragma unroll
    for (int s = 0; s < GRANULES; s++) {
#pragma unroll
      for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
        for (int pair = 0; pair < KERNEL_QUERY / 2; pair++) {
          unsigned a[4];
          ldmatrix_x4(a, tile_fragments + (x * 16 + 2 * pair * DILATION_QUERY) * S_ROW_BYTES + s * 16);
          if (mixed_documents) {
            a[0] &= 0u - (same_document[x][0] >> 2 * pair & 1u);
            a[1] &= 0u - (same_document[x][1] >> 2 * pair & 1u);
            a[2] &= 0u - (same_document[x][0] >> 2 * pair + 1 & 1u);
            a[3] &= 0u - (same_document[x][1] >> 2 * pair + 1 & 1u);
          }
#pragma unroll
          for (int j = 0; j < DISTANCES; j++) {
            // The block farthest to the left is new.
            if (pair == 0 && j == CARRIED) mma_f16_first(y[x][s + j], a, taps[pair][j][0], taps[pair][j][1]);
            else mma_f16(y[x][s + j], a, taps[pair][j][0], taps[pair][j][1], y[x][s + j]);
          }
        }
        {
          // The last kernel row stands alone.
          unsigned a[2];
          ldmatrix_x2(a, tile_fragments + (x * 16 + (KERNEL_QUERY - 1) * DILATION_QUERY) * S_ROW_BYTES + s * 16);
          if (mixed_documents) {
            a[0] &= 0u - (same_document[x][0] >> KERNEL_QUERY - 1 & 1u);
            a[1] &= 0u - (same_document[x][1] >> KERNEL_QUERY - 1 & 1u);
          }
#pragma unroll
          for (int j = 0; j < DISTANCES; j++) {
            mma_f16_k8(y[x][s + j], a[0], a[1], taps[TAP_PAIRS - 1][j][0], y[x][s + j]);
          }
        }
      }
    }
#pragma unroll
    for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
      for (int n = 0; n < GRANULES; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          y[x][n][i] += added;
          y[x][n][i] = softcap(y[x][n][i], 30.0f);
        }
      }
    }
    if (key < keys_begin || key + GRANULES * 8 > keys_end || !interior(launch, batch, own_row, 16 * ROW_BLOCKS, key, GRANULES * 8)) {
#pragma unroll
      for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const int row = own_row + 16 * x + 8 * h + group;
            // Keys [x, x + y) are what the row sees at most.
            const bool row_exists = row >= -launch.history_rows && row < launch.query_rows;
            const int2 row_range = key_range(batch, row, row);
            const unsigned row_keys = row_exists ? row_range.y - row_range.x : 0;
          const int first_key = key;
#pragma unroll
          for (int n = 0; n < GRANULES; n++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
              const int key = first_key + 8 * n + 2 * quad + i;
              if (unsigned(key - row_range.x) < row_keys && visible(launch, batch, documents, bias, head, row, key) && key >= keys_begin && key < keys_end) y[x][n][2 * h + i] = biased(y[x][n][2 * h + i], bias_of(launch, batch, bias, head, row, key), LARGEST);
              else y[x][n][2 * h + i] = HIDDEN;
            }
          }
        }
      }
    }
    unsigned weights[ROW_BLOCKS][GRANULES][2];
#pragma unroll
    for (int x = 0; x < ROW_BLOCKS; x++) online_softmax<GRANULES>(y[x], weights[x], o[x], m[x], l[x]);
    add_values<GRANULES, 0, ROW_BLOCKS>(weights, o, value_fragments + (step & 1) * V_TILE_BYTES, own_range.y - key);
#pragma unroll
    for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
      for (int n = 0; n < CARRIED; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) y[x][n][i] = y[x][GRANULES + n][i];
      }
    }
  }
  if (splits > 1) {
    const int parts = splits;
    const int part_at = split;
    // This block's part of the result: values not yet divided by the sum, the maximum, the sum.
#pragma unroll
    for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const int row = own_row + 16 * x + 8 * h + group;
        float total = l[x][h];
        total += __shfl_xor_sync(~0u, total, 1);
        total += __shfl_xor_sync(~0u, total, 2);
        if (row < launch.row_end) {
          const size_t part = (size_t(batch.index * HEADS + head) * parts + part_at) * launch.query_rows + row;
          float* const to = partial_values + part * VALUE_DIM + 2 * quad;
#pragma unroll
          for (int n = 0; n < VALUE_DIM / 8; n++) {
            *reinterpret_cast<float2*>(to + 8 * n) = make_float2(o[x][n][2 * h], o[x][n][2 * h + 1]);
          }
          if (quad == 0) {
            partial_sums[2 * part] = m[x][h] == HIDDEN ? -INFINITE : m[x][h];
            partial_sums[2 * part + 1] = total;
          }
        }
      }
    }
    return;
  }

  // The sum of a row over its four lanes; a row that sees no key has weight zero and log-sum-exp minus infinity.
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int row = own_row + 16 * x + 8 * h + group;
      float total = l[x][h];
      total += __shfl_xor_sync(~0u, total, 1);
      total += __shfl_xor_sync(~0u, total, 2);
      const float log_sum = log_sum_exp(m[x][h], EXPONENT, total);
      if (quad == 0 && row < launch.row_end) {
        lse[size_t(batch.index * HEADS + head) * launch.query_rows + row] = log_sum;
      }
      const float inverse = total == 0.0f ? 0.0f : 1.0f / total;
#pragma unroll
      for (int n = 0; n < VALUE_GRANULES; n++) {
        o[x][n][2 * h] *= inverse;
        o[x][n][2 * h + 1] *= inverse;
      }
    }
  }

  // output.norm (line 11)
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float squares = 0.0f;
#pragma unroll
      for (int n = 0; n < VALUE_GRANULES; n++) {
        squares += o[x][n][2 * h] * o[x][n][2 * h] + o[x][n][2 * h + 1] * o[x][n][2 * h + 1];
      }
      squares += __shfl_xor_sync(~0u, squares, 1);
      squares += __shfl_xor_sync(~0u, squares, 2);
      const float factor = rsqrtf(squares / float(VALUE_DIM) + 0.00001f) * launch.depth_scale;
#pragma unroll
      for (int n = 0; n < VALUE_DIM / 8; n++) {
        o[x][n][2 * h] *= factor * parameters[OUTPUT_NORM_WEIGHT_AT + 8 * n + 2 * quad];
        o[x][n][2 * h + 1] *= factor * parameters[OUTPUT_NORM_WEIGHT_AT + 8 * n + 2 * quad + 1];
      }
    }
  }

  // output.gate (line 11)
#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
    // The gate's logits are a matrix product: results as its left side, weights (one row a channel) as its right side.
    unsigned a[VALUE_GRANULES / 2][4];
#pragma unroll
    for (int s = 0; s < VALUE_GRANULES / 2; s++) {
      a[s][0] = pack_f16(o[x][2 * s][0], o[x][2 * s][1]);
      a[s][1] = pack_f16(o[x][2 * s][2], o[x][2 * s][3]);
      a[s][2] = pack_f16(o[x][2 * s + 1][0], o[x][2 * s + 1][1]);
      a[s][3] = pack_f16(o[x][2 * s + 1][2], o[x][2 * s + 1][3]);
    }
#pragma unroll
    for (int n = 0; n < VALUE_DIM / 8; n++) {
      float logits[4];
#pragma unroll
      for (int i = 0; i < 4; i++) logits[i] = parameters[OUTPUT_GATE_BIAS_AT + 8 * n + 2 * quad + (i & 1)];
      const float* const line = parameters + OUTPUT_GATE_WEIGHT_AT + (8 * n + group) * VALUE_DIM + 2 * quad;
#pragma unroll
      for (int s = 0; s < VALUE_GRANULES / 2; s++) {
        const bool second = 16 * s + 8 < VALUE_DIM;
        mma_f16(logits, a[s], load_pair(line + 16 * s), second ? load_pair(line + 16 * s + 8) : 0u, logits);
      }
#pragma unroll
      for (int i = 0; i < 4; i++) o[x][n][i] *= 1.0f / (1.0f + exp2_approx(-LOG2_E * logits[i]));
    }
  }

#pragma unroll
  for (int x = 0; x < ROW_BLOCKS; x++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int row = own_row + 16 * x + 8 * h + group;
      if (row < launch.row_end) {
        unsigned short* const to = o_rows + size_t(batch.index) * launch.o_stride_b + size_t(head) * launch.o_stride_h
          + size_t(row) * launch.o_stride_l + 2 * quad;
#pragma unroll
        for (int n = 0; n < VALUE_DIM / 8; n++) store_32(to + 8 * n, pack_storage(o[x][n][2 * h], o[x][n][2 * h + 1]));
      }
    }
  }
}

}  // namespace attention

namespace combine {

// Combines the parts of rows whose keys several blocks have shared, and computes the stages of the output; one row of one head
// a warp.

constexpr int WARPS = 4;
constexpr int THREADS = 128;
constexpr int VALUES_PER_LANE = 2;
/// output.norm.weight in parameters.
constexpr int OUTPUT_NORM_WEIGHT_AT = 104;
/// output.gate.weight in parameters.
constexpr int OUTPUT_GATE_WEIGHT_AT = 144;
constexpr int OUTPUT_GATE_BIAS_AT = 1744;

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int i = 16; i > 0; i /= 2) value += __shfl_xor_sync(~0u, value, i);
  return value;
}

extern "C" __global__ void __launch_bounds__(THREADS) windowed_combine(
    const Launch launch,
    const float* __restrict__ partial_values,
    const float* __restrict__ partial_sums,
    const float* __restrict__ parameters,
    unsigned short* __restrict__ o_rows,
    float* __restrict__ lse
) {
  const int lane = threadIdx.x & 31;
  const int warp = int(threadIdx.x >> 5);
  const int row = launch.row_begin + int(blockIdx.x) * WARPS + warp;
  if (row >= launch.row_end) return;
  const unsigned head = blockIdx.y;
  const unsigned batch = launch.batch + blockIdx.z;
  // The number of parts travels in a field that this schedule has no other use for.
  const int splits = int(launch.parts);
  const size_t first = size_t(batch * HEADS + head) * splits * launch.query_rows + row;

  float highest = -INFINITE;
  for (int split = 0; split < splits; split++) highest = fmaxf(highest, partial_sums[2 * (first + size_t(split) * launch.query_rows)]);
  // A row that sees no key has weight zero and log-sum-exp minus infinity.
  const float reference = highest == -INFINITE ? 0.0f : highest;
  float total = 0.0f;
  float o[VALUES_PER_LANE];
#pragma unroll
  for (int i = 0; i < VALUES_PER_LANE; i++) o[i] = 0.0f;
  for (int split = 0; split < splits; split++) {
    const size_t part = first + size_t(split) * launch.query_rows;
    const float factor = exp2_approx((partial_sums[2 * part] - reference) * LOG2_E);
    total += factor * partial_sums[2 * part + 1];
#pragma unroll
    for (int i = 0; i < VALUES_PER_LANE; i++) {
      const int d = i * 32 + lane;
      if (d < VALUE_DIM) o[i] += factor * partial_values[part * VALUE_DIM + d];
    }
  }
  if (lane == 0) lse[size_t(batch * HEADS + head) * launch.query_rows + row] = log_sum_exp(reference, LOG2_E, total);
  const float inverse = total == 0.0f ? 0.0f : 1.0f / total;
#pragma unroll
  for (int i = 0; i < VALUES_PER_LANE; i++) o[i] *= inverse;

  // output.norm (line 11)
  {
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < VALUES_PER_LANE; i++) squares += o[i] * o[i];
    const float factor = rsqrtf(warp_sum(squares) / float(VALUE_DIM) + 0.00001f) * launch.depth_scale;
#pragma unroll
    for (int i = 0; i < VALUES_PER_LANE; i++) {
      const int d = i * 32 + lane;
      if (d < VALUE_DIM) o[i] *= factor * parameters[OUTPUT_NORM_WEIGHT_AT + d];
    }
  }

  // output.gate (line 11)
  {
    // One channel's logit after the other: the warp shares each sum.
    float ungated[VALUES_PER_LANE];
#pragma unroll
    for (int i = 0; i < VALUES_PER_LANE; i++) ungated[i] = o[i];
    for (int d = 0; d < VALUE_DIM; d++) {
      float logit = 0.0f;
#pragma unroll
      for (int i = 0; i < VALUES_PER_LANE; i++) {
        const int e = i * 32 + lane;
        if (e < VALUE_DIM) logit += ungated[i] * parameters[OUTPUT_GATE_WEIGHT_AT + d * VALUE_DIM + e];
      }
      logit = warp_sum(logit) + parameters[OUTPUT_GATE_BIAS_AT + d];
#pragma unroll
      for (int i = 0; i < VALUES_PER_LANE; i++) {
        if (i * 32 + lane == d) o[i] *= 1.0f / (1.0f + exp2_approx(-LOG2_E * logit));
      }
    }
  }

  unsigned short* const to = o_rows + size_t(batch) * launch.o_stride_b + size_t(head) * launch.o_stride_h + size_t(row) * launch.o_stride_l;
#pragma unroll
  for (int i = 0; i < VALUES_PER_LANE; i++) {
    const int d = i * 32 + lane;
    if (d < VALUE_DIM) to[d] = static_cast<unsigned short>(pack_storage(o[i], 0.0f));
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
int queue(void (*kernel)(Parameters...), const Grid& grid, int threads, int shared_bytes, cudaStream_t stream, const Arguments&... arguments) {
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
  const long long splits = std::max<long long>(0, Lq - 64) != 0 ? 1 : std::max<long long>(1, std::min<long long>(floor_div(256, B * 8), floor_div(Lk, 256)));
  Workspace workspace{};
  const auto place = [&workspace](long long bytes) {
    const size_t at = workspace.bytes;
    workspace.bytes += (static_cast<size_t>(bytes) + 255) / 256 * 256;
    return at;
  };
  workspace.partial_values = place(std::max<long long>(16, 4 * 40 * std::min<long long>(1, splits - 1) * B * 8 * splits * Lq));
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
  const windowed_strides q = strides_of(call.q_strides, WINDOWED_HEADS, call.query_rows, WINDOWED_HEAD_DIM);
  const windowed_strides q_history = strides_of(call.q_history_strides, WINDOWED_HEADS, call.history_rows, WINDOWED_HEAD_DIM);
  const windowed_strides k = strides_of(call.k_strides, WINDOWED_KV_HEADS, call.key_rows, WINDOWED_HEAD_DIM);
  const windowed_strides v = strides_of(call.v_strides, WINDOWED_KV_HEADS, call.key_rows, WINDOWED_VALUE_DIM);
  const windowed_strides o = strides_of(call.o_strides, WINDOWED_HEADS, call.query_rows, WINDOWED_VALUE_DIM);
  Launch launch{};
  launch.query_rows = call.query_rows;
  launch.key_rows = call.key_rows;
  launch.history_rows = call.history_rows;
  launch.q_stride_b = q.batch;
  launch.q_stride_h = q.head;
  launch.q_stride_l = q.row;
  launch.q_history_stride_b = q_history.batch;
  launch.q_history_stride_h = q_history.head;
  launch.q_history_stride_l = q_history.row;
  launch.k_stride_b = k.batch;
  launch.k_stride_h = k.head;
  launch.k_stride_l = k.row;
  launch.v_stride_b = v.batch;
  launch.v_stride_h = v.head;
  launch.v_stride_l = v.row;
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
  const long long splits = std::max<long long>(0, Lq - 64) != 0 ? 1 : std::max<long long>(1, std::min<long long>(floor_div(256, B * 8), floor_div(Lk, 256)));
  const Workspace workspace = lay_out(call);
  const unsigned short* const q = static_cast<const unsigned short*>(call.q);
  const unsigned short* const q_history = static_cast<const unsigned short*>(call.q_history);
  const unsigned short* const k = static_cast<const unsigned short*>(call.k);
  const unsigned short* const v = static_cast<const unsigned short*>(call.v);
  unsigned short* const o = static_cast<unsigned short*>(call.o);
  float* const lse = call.lse != nullptr ? call.lse : reinterpret_cast<float*>(workspace_at + workspace.lse);
  float* const partial_values = reinterpret_cast<float*>(workspace_at + workspace.partial_values);
  float* const partial_sums = reinterpret_cast<float*>(workspace_at + workspace.partial_sums);
  const Launch common = describe(call);

  for (long long batch = 0; batch < B; batch += 65535) {
    Launch launch = common;
    launch.batch = static_cast<unsigned>(batch);
    launch.row_end = static_cast<int>(Lq);
    launch.parts = static_cast<unsigned>(splits);
    if (const int error = queue(attention::windowed_attention, {ceil_div(Lq, 64) * splits, 8, std::min<long long>(65535, B - batch)}, 128, 24576, stream,
                                launch, q, q_history, k, v, call.parameters, call.positions, call.lengths, call.documents, call.bias, o, lse, partial_values, partial_sums)) return error;
    if (const int error = queue(combine::windowed_combine, {std::min<long long>(1, splits - 1) * ceil_div(Lq, 4), 8, std::min<long long>(65535, B - batch)}, 128, 0, stream,
                                launch, partial_values, partial_sums, call.parameters, o, lse)) return error;
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
  if (call->positions == nullptr && call->history_rows > std::max(0, call->key_rows - call->query_rows))
    return WINDOWED_ERROR_SIZE - 400;
  if (call->layer < 0) return WINDOWED_ERROR_SIZE - 1400;
  const long long rows = std::max<long long>({call->query_rows, call->key_rows, call->history_rows});
  if (rows * call->batches * WINDOWED_HEADS > INT_MAX) return WINDOWED_ERROR_TOO_LARGE;
  // Offsets of rows within contiguous tensors are 32-bit strides.
  if (rows * WINDOWED_HEADS * 40 > UINT_MAX) return WINDOWED_ERROR_TOO_LARGE;
  if (call->q == nullptr) return WINDOWED_ERROR_NULL_POINTER - 500;
  if (call->k == nullptr) return WINDOWED_ERROR_NULL_POINTER - 700;
  if (call->v == nullptr) return WINDOWED_ERROR_NULL_POINTER - 800;
  if (call->o == nullptr) return WINDOWED_ERROR_NULL_POINTER - 900;
  if (call->parameters == nullptr) return WINDOWED_ERROR_NULL_POINTER - 1000;
  if (call->documents == nullptr) return WINDOWED_ERROR_NULL_POINTER - 1100;
  if (call->lengths == nullptr) return WINDOWED_ERROR_NULL_POINTER - 1200;
  if (call->bias == nullptr) return WINDOWED_ERROR_NULL_POINTER - 1300;
  if (call->history_rows > 0 && call->q_history == nullptr) return WINDOWED_ERROR_NULL_POINTER - 600;
  if (!aligned(call->q, call->q_strides, 8)) return WINDOWED_ERROR_ALIGNMENT - 500;
  if (!aligned(call->q_history, call->q_history_strides, 8)) return WINDOWED_ERROR_ALIGNMENT - 600;
  if (!aligned(call->k, call->k_strides, 8)) return WINDOWED_ERROR_ALIGNMENT - 700;
  if (!aligned(call->v, call->v_strides, 8)) return WINDOWED_ERROR_ALIGNMENT - 800;
  if (!aligned(call->o, call->o_strides, 8)) return WINDOWED_ERROR_ALIGNMENT - 900;
  return 0;
}

}  // namespace
}  // namespace mtac_windowed

extern "C" size_t windowed_workspace_bytes(const windowed_call* call) {
  if (mtac_windowed::check(call) != 0) return 0;
  return mtac_windowed::workspace_bytes(*call);
}

extern "C" int windowed_launch(const windowed_call* call, void* workspace, size_t workspace_bytes, cudaStream_t stream) {
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
  if (const cudaError_t error = cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device)) return error;
  unsigned char* const memory = static_cast<unsigned char*>(workspace);
  if (capability >= 80 && shared_bytes >= 24576) return mtac_windowed::launch_all(*call, memory, stream);
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
    case WINDOWED_ERROR_NULL_POINTER - 900:
      return "o is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 1000:
      return "parameters is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 1100:
      return "documents is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 1200:
      return "lengths is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 1300:
      return "bias is a null pointer";
    case WINDOWED_ERROR_NULL_POINTER - 600:
      return "q_history is a null pointer, and history_rows is not 0";
    case WINDOWED_ERROR_ALIGNMENT - 500:
      return "q is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case WINDOWED_ERROR_ALIGNMENT - 600:
      return "q_history is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case WINDOWED_ERROR_ALIGNMENT - 700:
      return "k is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
    case WINDOWED_ERROR_ALIGNMENT - 800:
      return "v is not aligned to 16 bytes, or one of its strides is no multiple of 8 elements";
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
