/* attention full, from full.mta:3. */
/* Made by mtac 0.1.0: change the spec and compile it again, not this file. */
#ifndef MTAC_FULL_CPU_H
#define MTAC_FULL_CPU_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the spec fixes. */
#define FULL_CPU_HEADS 4
#define FULL_CPU_KV_HEADS 4
#define FULL_CPU_HEAD_DIM 32
#define FULL_CPU_VALUE_DIM 32

/* Floats in the array of parameters, and where each parameter lies in it. All are row-major. */
#define FULL_CPU_PARAMETER_COUNT 625
/* scores.conv.weight [4, 1, 6, 11] */
#define FULL_CPU_SCORES_CONV_WEIGHT_AT 0
/* scores.mix.weight [1, 4, 4] */
#define FULL_CPU_SCORES_MIX_WEIGHT_AT 264
/* weights.conv.weight [4, 1, 6, 11] */
#define FULL_CPU_WEIGHTS_CONV_WEIGHT_AT 280
/* weights.mix.weight [1, 4, 4] */
#define FULL_CPU_WEIGHTS_MIX_WEIGHT_AT 544
/* output.norm.weight [32] */
#define FULL_CPU_OUTPUT_NORM_WEIGHT_AT 560
/* output.gate.weight [1, 32] */
#define FULL_CPU_OUTPUT_GATE_WEIGHT_AT 592
/* output.gate.bias [1] */
#define FULL_CPU_OUTPUT_GATE_BIAS_AT 624

/* What full_cpu_launch returns beside 0: one of these kinds.
   Where one field is wrong, the kind less 100 times the field's number: -302 is a size (-2) of field 3, key_rows.
   The macros take a code apart, and full_cpu_error_string says it in words. */
#define FULL_CPU_ERROR_NULL_POINTER (-1)
#define FULL_CPU_ERROR_SIZE (-2)
#define FULL_CPU_ERROR_TOO_LARGE (-3)
#define FULL_CPU_ERROR_ALIGNMENT (-4)
#define FULL_CPU_ERROR_WORKSPACE (-5)
/* One of the kinds; 0 for 0. */
#define FULL_CPU_ERROR_KIND(code) ((code) < 0 ? (code) % 100 : 0)
/* Which field, or 0 where no single field is wrong:
     1 batches
     2 query_rows
     3 key_rows
     4 history_rows
     5 q
     6 q_history
     7 k
     8 v
     9 o
     10 parameters
     11 documents
     12 lengths
     13 bias
     14 layer
     15 workspace
     16 threads
*/
#define FULL_CPU_ERROR_FIELD(code) ((code) < 0 ? -(code) / 100 : 0)

/* Elements between neighbours along the axes of a tensor; its last axis is contiguous. All 0: contiguous, row-major. */
typedef struct full_cpu_strides {
  unsigned batch;
  unsigned head;
  unsigned row;
} full_cpu_strides;

/* One call. Fill the struct with zeros first, and what is not needed stays so. */
typedef struct full_cpu_call {
  /* Batch entries, query rows, keys: at least 1. No more query rows than keys. */
  int batches;
  int query_rows;
  int key_rows;
  /* Query rows just before row 0, at most as many as there are keys before it: see q_history. */
  int history_rows;

  /* f16 (bits of IEEE 754's binary16) [batches, 4, query_rows, 32]. */
  const void *q;
  full_cpu_strides q_strides;
  /* The same with history_rows rows; null where there are none. */
  const void *q_history;
  full_cpu_strides q_history_strides;
  /* f16 (bits of IEEE 754's binary16) [batches, 4, key_rows, 32]. */
  const void *k;
  full_cpu_strides k_strides;
  /* f16 (bits of IEEE 754's binary16) [batches, 4, key_rows, 32]. */
  const void *v;
  full_cpu_strides v_strides;
  /* f16 (bits of IEEE 754's binary16) [batches, 4, query_rows, 32]. */
  void *o;
  full_cpu_strides o_strides;
  /* [batches, 4, query_rows], contiguous: log-sum-exp of the rows, minus infinity for a row without keys.
     May be null. */
  float *lse;
  /* FULL_CPU_PARAMETER_COUNT floats. */
  const float *parameters;
  /* [batches]: position of each entry's row 0 among the keys. Null: the last row meets the last key. */
  const int *positions;
} full_cpu_call;

/* Bytes of memory that a call needs beside its tensors where so many threads compute it, from 1 to 256; 0 for
   a call that full_cpu_launch refuses. */
size_t full_cpu_workspace_bytes(const full_cpu_call *call, int threads);

/* Computes a call in the calling thread and in threads - 1 others that end with it. The bits of the results do not
   depend on how many they are. Takes no memory but the workspace, which may begin anywhere. Returns 0 or a code from
   above. */
int full_cpu_launch(const full_cpu_call *call, void *workspace, size_t workspace_bytes, int threads);

/* What a code of full_cpu_launch means, with the name of the field that is wrong. */
const char *full_cpu_error_string(int error);

#ifdef __cplusplus
}
#endif

#endif
