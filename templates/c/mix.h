/* Stages that change entries where they are: mixes across heads, softcap, relu. */
#ifndef MTAC_MIX_H
#define MTAC_MIX_H

#include "attention.h"

#if WITH_MIX
/* `outputs` heads and `vectors` vectors of columns: for each a sum over the group's heads. */
INLINE void mix_tile(
    const int outputs, const int vectors, const float *restrict weights, int group, const float *restrict in,
    int64_t in_head_pitch, float *restrict out, int64_t out_head_pitch) {
  vec sums[MIX_HEADS][MIX_VECTORS];
  UNROLL for (int m = 0; m < outputs; m++)
    UNROLL for (int n = 0; n < vectors; n++) sums[m][n] = broadcast(0);
  UNROLL_SOME for (int head = 0; head < group; head++) {
    vec x[MIX_VECTORS];
    UNROLL for (int n = 0; n < vectors; n++) x[n] = load(in + head * in_head_pitch + n * LANES);
    UNROLL for (int m = 0; m < outputs; m++) {
      const vec w = broadcast(weights[m * group + head]);
      UNROLL for (int n = 0; n < vectors; n++) sums[m][n] = multiply_add(w, x[n], sums[m][n]);
    }
  }
  UNROLL for (int m = 0; m < outputs; m++)
    UNROLL for (int n = 0; n < vectors; n++) store(out + m * out_head_pitch + n * LANES, sums[m][n]);
}

/* One group: Y[o] = sum over n of W[o, n] S[n]. `columns` is a whole number of vectors. */
NOINLINE void mix_group(const float *weights, int group, struct maps in, struct maps out, int rows, int columns) {
  for (int row = 0; row < rows; row++) {
    const float *from = in.at + (int64_t)row * in.pitch;
    float *to = out.at + (int64_t)row * out.pitch;
    int column = 0;
    for (; column + MIX_VECTORS * LANES <= columns; column += MIX_VECTORS * LANES) {
      int head = 0;
      for (; head + MIX_HEADS <= group; head += MIX_HEADS)
        mix_tile(
            MIX_HEADS, MIX_VECTORS, weights + head * group, group, from + column, in.head_pitch,
            to + head * out.head_pitch + column, out.head_pitch);
      for (; head < group; head++)
        mix_tile(
            1, MIX_VECTORS, weights + head * group, group, from + column, in.head_pitch,
            to + head * out.head_pitch + column, out.head_pitch);
    }
    for (; column < columns; column += LANES)
      for (int head = 0; head < group; head++)
        mix_tile(
            1, 1, weights + head * group, group, from + column, in.head_pitch, to + head * out.head_pitch + column,
            out.head_pitch);
  }
}
#endif

#if WITH_CHANGES
/* softcap: x tanh(s / x). relu: the larger of s and 0. `out` may be `in`. */
NOINLINE void change_entries(
    const struct stage *stage, struct maps in, struct maps out, int heads, int rows, int columns) {
  for (int head = 0; head < heads; head++)
    for (int row = 0; row < rows; row++) {
      const float *from = in.at + head * in.head_pitch + (int64_t)row * in.pitch;
      float *to = out.at + head * out.head_pitch + (int64_t)row * out.pitch;
      for (int column = 0; column < columns; column += LANES) {
        const vec x = load(from + column);
        if (stage->kind == STAGE_SOFTCAP) store(to + column, hyperbolic_tangent(x * (1 / stage->value)) * stage->value);
        else store(to + column, larger(broadcast(0), x));
      }
    }
}
#endif

#endif
