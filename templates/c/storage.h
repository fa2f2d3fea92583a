/* Tensors in memory: float, half or bfloat16. Everything is computed in floats. */
#ifndef MTAC_STORAGE_H
#define MTAC_STORAGE_H

#include "vector.h"

enum storage { STORAGE_F32 = 0, STORAGE_F16 = 1, STORAGE_BF16 = 2 };

/* A tensor [batches, heads, rows, ...] whose last axis is contiguous; strides count elements. */
struct tensor {
  const void *data;
  int64_t batch_stride;
  int64_t head_stride;
  int64_t row_stride;
};

INLINE int64_t row_of(const struct tensor *tensor, int batch, int head, int row) {
  return batch * tensor->batch_stride + head * tensor->head_stride + row * tensor->row_stride;
}

INLINE vec widen_bf16(vec_h bits) { return (vec)(__builtin_convertvector(bits, vec_u) << 16); }

/*
 * Exponent and fraction are moved into their places; a product with 2^112 mends the exponent, of subnormal numbers too.
 */
INLINE vec widen_f16(vec_h half) {
  vec_u bits = __builtin_convertvector(half, vec_u);
  vec_u sign = (bits & 0x8000u) << 16;
  vec_u magnitude = bits & 0x7fffu;
  vec finite = (vec)(magnitude << 13) * 0x1p112f;
  vec_u special = (magnitude << 13) | 0x7f800000u;
  return (vec)((vec_u)choose((vec_i)(magnitude >= 0x7c00u), (vec)special, finite) | sign);
}

/* To the nearest bfloat16, ties to even; no number stays none. */
INLINE vec_h narrow_bf16(vec x) {
  vec_u bits = (vec_u)x;
  vec_u rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  vec_u y = (vec_u)choose(x != x, (vec)broadcast_i(0x7fc00000), (vec)rounded);
  return __builtin_convertvector(y >> 16, vec_h);
}

/*
 * To the nearest half, ties to even. Finite numbers stay finite: those beyond 65504 become it. A number below 2^-14 is
 * rounded by adding a half, whose last bit is worth what a subnormal half's is.
 */
INLINE vec_h narrow_f16(vec x) {
  vec_u bits = (vec_u)x;
  vec_u sign = (bits >> 16) & 0x8000u;
  vec_u magnitude = bits & 0x7fffffffu;
  vec_u limited = (vec_u)choose((vec_i)(magnitude > 0x477fe000u), (vec)broadcast_i(0x477fe000), (vec)magnitude);
  vec_u normal = (limited + 0xfffu + ((limited >> 13) & 1u) - 0x38000000u) >> 13;
  vec_u subnormal = (vec_u)((vec)limited + 0.5f) - 0x3f000000u;
  vec_u y = (vec_u)choose((vec_i)(limited < 0x38800000u), (vec)subnormal, (vec)normal);
  y = (vec_u)choose((vec_i)(magnitude == 0x7f800000u), (vec)broadcast_i(0x7c00), (vec)y);
  y = (vec_u)choose(x != x, (vec)broadcast_i(0x7e00), (vec)y);
  return __builtin_convertvector(y | sign, vec_h);
}

INLINE vec load_stored(const void *data, int64_t at, enum storage storage) {
  switch (storage) {
    case STORAGE_F16:
      return widen_f16(*(const vec_h_at *)((const uint16_t *)data + at));
    case STORAGE_BF16:
      return widen_bf16(*(const vec_h_at *)((const uint16_t *)data + at));
    default:
      return load((const float *)data + at);
  }
}

INLINE void store_narrow(void *data, int64_t at, vec x, enum storage storage) {
  switch (storage) {
    case STORAGE_F16:
      *(vec_h_at *)((uint16_t *)data + at) = narrow_f16(x);
      break;
    case STORAGE_BF16:
      *(vec_h_at *)((uint16_t *)data + at) = narrow_bf16(x);
      break;
    default:
      store((float *)data + at, x);
  }
}

/*
 * `count` stored numbers as floats, times `factor`. A vector that the end cuts is gathered first: nothing beyond it is
 * read.
 */
INLINE void read_stored(float *to, const void *data, int64_t at, int count, enum storage storage, float factor) {
  const int element = storage == STORAGE_F32 ? 4 : 2;
  int n = 0;
  for (; n + LANES <= count; n += LANES) store(to + n, load_stored(data, at + n, storage) * factor);
  if (n == count) return;
  unsigned char rest[LANES * 4] = {0};
  const unsigned char *from = (const unsigned char *)data + (at + n) * element;
  for (int byte = 0; byte < (count - n) * element; byte++) rest[byte] = from[byte];
  vec last = load_stored(rest, 0, storage) * factor;
  for (int lane = 0; n + lane < count; lane++) to[n + lane] = last[lane];
}

/* The reverse. */
INLINE void write_stored(void *data, int64_t at, const float *from, int count, enum storage storage) {
  const int element = storage == STORAGE_F32 ? 4 : 2;
  int n = 0;
  for (; n + LANES <= count; n += LANES) store_narrow(data, at + n, load(from + n), storage);
  if (n == count) return;
  vec last = {0};
  for (int lane = 0; n + lane < count; lane++) last[lane] = from[n + lane];
  unsigned char rest[LANES * 4];
  store_narrow(rest, 0, last, storage);
  unsigned char *to = (unsigned char *)data + (at + n) * element;
  for (int byte = 0; byte < (count - n) * element; byte++) to[byte] = rest[byte];
}

#endif
