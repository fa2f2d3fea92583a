// Small kernels that the emulator's tests compile with nvcc and run: one per thing that attention kernels do.
#include <cstdint>
#include <cuda_fp16.h>

__constant__ float WEIGHTS[4] = {1.f, 2.f, 3.f, 4.f};

struct Scale {
  float factor;
  int count;
};

extern "C" __global__ void saxpy(Scale scale, const float* __restrict__ x, float* y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < scale.count) y[i] = scale.factor * x[i] + y[i] * WEIGHTS[i & 3];
}

extern "C" __global__ void block_sum(const float* __restrict__ x, float* sums, int count) {
  __shared__ float partial[32];
  float sum = 0.f;
  for (int i = threadIdx.x; i < count; i += blockDim.x) sum += x[blockIdx.x * count + i];
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    sum = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0.f;
    for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
  }
}

// Steps of the Collatz sequence: every lane loops its own number of times, through a local array and 64-bit arithmetic.
extern "C" __global__ void collatz(uint32_t* steps) {
  uint64_t n = blockIdx.x * blockDim.x + threadIdx.x + 1;
  uint32_t histogram[8] = {};
  while (n != 1) {
    histogram[n % 7]++;
    n = n % 2 ? 3 * n + 1 : n / 2;
  }
  uint32_t total = 0;
  for (int i = 0; i < 8; i++) total += histogram[i];
  steps[blockIdx.x * blockDim.x + threadIdx.x] = total;
}

extern "C" __global__ void functions(const float* __restrict__ x, float* y, __half2* z) {
  int i = threadIdx.x;
  float v = x[i];
  y[i] = expf(v) + logf(v) * tanhf(v) + sqrtf(v) / rsqrtf(v) + powf(v, 1.3f) + sinf(v) + __fdividef(1.f, v);
  z[i] = __hfma2(__floats2half2_rn(v, -v), __float2half2_rn(2.f), __float2half2_rn(0.5f));
}

// Each warp turns round its own 32 numbers through shared memory.
extern "C" __global__ void turn_round(const float* in, float* out) {
  __shared__ float numbers[64];
  numbers[threadIdx.x] = in[threadIdx.x];
#ifndef PLANT_NO_SYNCWARP
  __syncwarp();
#endif
  out[threadIdx.x] = numbers[threadIdx.x ^ 31];
}

constexpr int TILE = 64, STEP = 32, PITCH = STEP * 2 + 16;

__device__ __forceinline__ void copy16(uint32_t to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}

// One 64 × 64 tile of C = A Bᵀ (both by rows of k): 4 warps of 16 rows, double-buffered copies, ldmatrix, mma.
extern "C" __global__ void __launch_bounds__(128) product(const __half* __restrict__ a, const __half* __restrict__ b, float* c, int n, int k) {
  extern __shared__ __align__(128) char smem[];
  const uint32_t shared = (uint32_t)__cvta_generic_to_shared(smem);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  a += (size_t)blockIdx.y * TILE * k;
  b += (size_t)blockIdx.x * TILE * k;
  auto load = [&](int step) {
    uint32_t to = shared + (step & 1) * 2 * TILE * PITCH;
    for (int i = threadIdx.x; i < TILE * STEP / 8; i += 128) {
      int row = i / (STEP / 8), column = i % (STEP / 8);
      copy16(to + row * PITCH + column * 16, a + (size_t)row * k + step * STEP + column * 8);
      copy16(to + (TILE + row) * PITCH + column * 16, b + (size_t)row * k + step * STEP + column * 8);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  float sum[8][4] = {};
  load(0);
  for (int step = 0; step < k / STEP; step++) {
    if (step + 1 < k / STEP) load(step + 1);
    else asm volatile("cp.async.commit_group;" ::: "memory");
#ifndef PLANT_NO_WAIT
    asm volatile("cp.async.wait_group 1;" ::: "memory");
#endif
    __syncthreads();
    const uint32_t at = shared + (step & 1) * 2 * TILE * PITCH;
    for (int inner = 0; inner < STEP; inner += 16) {
      uint32_t x[4], y[4];
      uint32_t from = at + (warp * 16 + lane % 16) * PITCH + inner * 2 + lane / 16 * 16;
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(from));
#pragma unroll
      for (int pair = 0; pair < 4; pair++) {
        from = at + (TILE + pair * 16 + lane % 8 + lane / 16 * 8) * PITCH + inner * 2 + lane / 8 % 2 * 16;
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(y[0]), "=r"(y[1]), "=r"(y[2]), "=r"(y[3]) : "r"(from));
#pragma unroll
        for (int half = 0; half < 2; half++) {
          float(&d)[4] = sum[2 * pair + half];
          asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                       : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                       : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[2 * half]), "r"(y[2 * half + 1]));
        }
      }
    }
#ifndef PLANT_NO_BARRIER
    __syncthreads();
#endif
  }
  c += ((size_t)blockIdx.y * TILE + warp * 16 + lane / 4) * n + blockIdx.x * TILE + lane % 4 * 2;
  for (int i = 0; i < 8; i++) {
    *(float2*)(c + i * 8) = make_float2(sum[i][0], sum[i][1]);
    *(float2*)(c + 8 * n + i * 8) = make_float2(sum[i][2], sum[i][3]);
  }
}
