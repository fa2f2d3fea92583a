/* Vectors of floats in one text for every instruction set, through the vector extensions that GCC and Clang share. */
#ifndef MTAC_VECTOR_H
#define MTAC_VECTOR_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__GNUC__) || (!defined(__clang__) && __GNUC__ < 12)
#error "this needs GCC 12 or newer, or Clang: for vectors of floats"
#endif

/* Floats of one vector: what a register of the processor holds, unless the compiler is told otherwise. */
#ifndef LANES
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t vec_i __attribute__((vector_size(LANES * 4)));
typedef uint32_t vec_u __attribute__((vector_size(LANES * 4)));
typedef uint16_t vec_h __attribute__((vector_size(LANES * 2)));

/* The same in memory, wherever it starts. */
typedef float vec_at __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t vec_i_at __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef uint16_t vec_h_at __attribute__((vector_size(LANES * 2), aligned(2), may_alias));

#define INLINE static inline __attribute__((always_inline, unused))
#define NOINLINE static __attribute__((noinline))

/* Loops over registers are unrolled whole; loops over memory are not: their bodies already fill the registers. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define KEEP_LOOP _Pragma("clang loop unroll(disable)")
#define UNROLL_SOME _Pragma("clang loop unroll_count(4)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#define KEEP_LOOP _Pragma("GCC unroll 1")
#define UNROLL_SOME
#endif

#if defined(__wasm__)
#define PREFETCH(address) ((void)(address))
#else
#define PREFETCH(address) __builtin_prefetch(address)
#endif

/*
 * GCC reads a vector from memory anew for each product that it is a factor of, unless it is told to keep it. Vectors
 * may be longer than registers: then they stay in memory.
 */
#if !defined(__clang__) && ((defined(__AVX512F__) && LANES == 16) || (defined(__AVX__) && LANES == 8))
#define IN_REGISTER(x) __asm__("" : "+v"(x))
#else
#define IN_REGISTER(x) ((void)(x))
#endif

INLINE vec load(const float *from) { return *(const vec_at *)from; }
INLINE void store(float *to, vec x) { *(vec_at *)to = x; }
INLINE vec_i load_i(const int32_t *from) { return *(const vec_i_at *)from; }

/* The same number in every lane. x minus a vector of zeros keeps its sign, where a sum would lose that of -0. */
INLINE vec broadcast(float x) { return x - (vec){0}; }
INLINE vec_i broadcast_i(int32_t x) { return x - (vec_i){0}; }

/*
 * a b + c; rounded once where the processor has an instruction for it. GCC is not left to choose: for some processors
 * it rounds twice where sums are long chains, and bits would depend on how many rows are computed at a time.
 */
INLINE vec multiply_add(vec a, vec b, vec c) {
#if defined(__wasm_relaxed_simd__)
  return __builtin_wasm_relaxed_madd_f32x4(a, b, c);
#elif defined(__FMA__) && !defined(__clang__) && LANES == 16
  return __builtin_ia32_vfmaddps512_mask(a, b, c, -1, 4);
#elif defined(__FMA__) && !defined(__clang__) && LANES == 8
  return __builtin_ia32_vfmaddps256(a, b, c);
#elif defined(__FMA__) && !defined(__clang__) && LANES == 4
  return __builtin_ia32_vfmaddps(a, b, c);
#else
  return a * b + c;
#endif
}

/* Lane by lane: `yes` where the mask is all ones, `no` where it is 0. */
INLINE vec choose(vec_i mask, vec yes, vec no) { return (vec)(((vec_i)yes & mask) | ((vec_i)no & ~mask)); }

/* The larger of both; b where one is no number. */
INLINE vec larger(vec a, vec b) {
#if defined(__wasm__)
  return __builtin_wasm_pmax_f32x4(b, a);
#else
  return choose(a > b, a, b);
#endif
}

/* Lane n of the result is lane n + `by` of x, counted around; `by` is a constant. */
INLINE vec rotate(vec x, const int by) {
#if LANES == 16
  if (by == 8) return __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  if (by == 4) return __builtin_shufflevector(x, x, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3);
  if (by == 2) return __builtin_shufflevector(x, x, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1);
  if (by == 12) return __builtin_shufflevector(x, x, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
  if (by == 14) return __builtin_shufflevector(x, x, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);
  if (by == 15) return __builtin_shufflevector(x, x, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
  return __builtin_shufflevector(x, x, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0);
#elif LANES == 8
  if (by == 4) return __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3);
  if (by == 2) return __builtin_shufflevector(x, x, 2, 3, 4, 5, 6, 7, 0, 1);
  if (by == 6) return __builtin_shufflevector(x, x, 6, 7, 0, 1, 2, 3, 4, 5);
  if (by == 7) return __builtin_shufflevector(x, x, 7, 0, 1, 2, 3, 4, 5, 6);
  return __builtin_shufflevector(x, x, 1, 2, 3, 4, 5, 6, 7, 0);
#else
  if (by == 2) return __builtin_shufflevector(x, x, 2, 3, 0, 1);
  if (by == 3) return __builtin_shufflevector(x, x, 3, 0, 1, 2);
  return __builtin_shufflevector(x, x, 1, 2, 3, 0);
#endif
}

/* Halves are added to halves, always in the same order: a sum has the same bits on every run. */
INLINE float sum_of(vec x) {
  x += rotate(x, LANES / 2);
  x += rotate(x, LANES / 4);
  if (LANES >= 8) x += rotate(x, LANES / 8);
  if (LANES >= 16) x += rotate(x, LANES / 16);
  return x[0];
}

INLINE float largest_of(vec x) {
  x = larger(rotate(x, LANES / 2), x);
  x = larger(rotate(x, LANES / 4), x);
  if (LANES >= 8) x = larger(rotate(x, LANES / 8), x);
  if (LANES >= 16) x = larger(rotate(x, LANES / 16), x);
  return x[0];
}

/* 0, 1, 2 ... */
INLINE vec_i lane_numbers(void) {
  vec_i x = {0};
  UNROLL for (int lane = 0; lane < LANES; lane++) x[lane] = lane;
  return x;
}

/*
 * e^x to 1 ulp, for x up to 88. Below -76 it gives e^-76, about 1e-33: a share of it is no subnormal number, each of
 * which would take a processor a hundred cycles. Cephes' way: x = n log 2 + r with |r| at most half of log 2, a
 * polynomial for e^r, n into the exponent.
 */
INLINE vec exponential(vec x) {
  const float ROUNDER = 12582912.f; /* 1.5 * 2^23: adding it rounds to an integer, in the low bits */
  const float LOG2_HIGH = 0.693359375f;
  const float LOG2_LOW = -2.12194440e-4f;
  x = larger(x, broadcast(-76.f));
  vec shifted = multiply_add(x, broadcast(1.44269504088896341f), broadcast(ROUNDER));
  vec n = shifted - ROUNDER;
  vec r = multiply_add(n, broadcast(-LOG2_HIGH), x);
  r = multiply_add(n, broadcast(-LOG2_LOW), r);
  vec p = broadcast(1.9875691500e-4f);
  p = multiply_add(p, r, broadcast(1.3981999507e-3f));
  p = multiply_add(p, r, broadcast(8.3334519073e-3f));
  p = multiply_add(p, r, broadcast(4.1665795894e-2f));
  p = multiply_add(p, r, broadcast(1.6666665459e-1f));
  p = multiply_add(p, r, broadcast(5.0000001201e-1f));
  p = multiply_add(p, r * r, r + 1.f);
  return (vec)((vec_u)p + ((vec_u)shifted << 23));
}

/* tanh x (Cephes): a polynomial near 0, where 1 - 2 / (e^2x + 1) would lose its digits. */
INLINE vec hyperbolic_tangent(vec x) {
  const vec_i SIGN = broadcast_i(INT32_MIN);
  vec magnitude = (vec)((vec_i)x & ~SIGN);
  vec doubled = magnitude + magnitude;
  vec_i huge = doubled > 80.f;
  vec far = 1.f - 2.f / (exponential(choose(huge, broadcast(80.f), doubled)) + 1.f);
  far = (vec)((vec_i)far | ((vec_i)x & SIGN));
  vec z = x * x;
  vec p = broadcast(-5.70498872745e-3f);
  p = multiply_add(p, z, broadcast(2.06390887954e-2f));
  p = multiply_add(p, z, broadcast(-5.37397155531e-2f));
  p = multiply_add(p, z, broadcast(1.33314422036e-1f));
  p = multiply_add(p, z, broadcast(-3.33332819422e-1f));
  vec near = multiply_add(p * z, x, x);
  vec y = choose(magnitude < 0.625f, near, far);
  return choose(x != x, x, y);
}

/* log x for normal x > 0 (Cephes): x = 2^n m with m near 1, a polynomial for log m. NaN stays NaN. */
INLINE vec logarithm(vec x) {
  const vec_i FRACTION = broadcast_i(0x7fffff);
  vec_i n = (((vec_i)x >> 23) & 0xff) - 126;
  vec m = (vec)(((vec_i)x & FRACTION) | 0x3f000000);
  const vec_i small = m < 0.707106781186547524f;
  n += small; /* all ones: -1 */
  m = choose(small, m + m, m) - 1.f;
  const vec z = m * m, power = __builtin_convertvector(n, vec);
  vec p = broadcast(7.0376836292e-2f);
  p = multiply_add(p, m, broadcast(-1.1514610310e-1f));
  p = multiply_add(p, m, broadcast(1.1676998740e-1f));
  p = multiply_add(p, m, broadcast(-1.2420140846e-1f));
  p = multiply_add(p, m, broadcast(1.4249322787e-1f));
  p = multiply_add(p, m, broadcast(-1.6668057665e-1f));
  p = multiply_add(p, m, broadcast(2.0000714765e-1f));
  p = multiply_add(p, m, broadcast(-2.4999993993e-1f));
  p = multiply_add(p, m, broadcast(3.3333331174e-1f));
  vec y = p * m * z + power * -2.12194440e-4f - 0.5f * z;
  y = m + y + power * 0.693359375f;
  return choose(x != x, x, y);
}

/* 1 / (1 + e^-x); 0 and 1 where e^-x is beyond the range of floats. */
INLINE vec sigmoid(vec x) {
  vec y = larger(-x, broadcast(-87.f));
  vec_i huge = y > 87.f;
  y = 1.f / (1.f + exponential(choose(huge, broadcast(87.f), y)));
  return choose(x != x, x, y);
}

INLINE void fill(float *to, float value, int count) {
  int n = 0;
  for (; n + LANES <= count; n += LANES) store(to + n, broadcast(value));
  for (; n < count; n++) to[n] = value;
}

INLINE int round_up(int x, int multiple) { return (x + multiple - 1) / multiple * multiple; }
INLINE int least(int a, int b) { return a < b ? a : b; }
INLINE int most(int a, int b) { return a > b ? a : b; }

#endif
