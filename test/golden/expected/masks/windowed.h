/* attention windowed, from masks.mta:3. */
/* Made by mtac 0.1.0: change the spec and compile it again, not this file. */
#ifndef MTAC_WINDOWED_H
#define MTAC_WINDOWED_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the spec fixes. */
#define WINDOWED_HEADS 8
#define WINDOWED_KV_HEADS 2
#define WINDOWED_HEAD_DIM 40
#define WINDOWED_VALUE_DIM 40

/* Floats in the array of parameters, and where each parameter lies in it. All are row-major. */
#define WINDOWED_PARAMETER_COUNT 1784
/* scores.conv.weight [8, 1, 3, 4] */
#define WINDOWED_SCORES_CONV_WEIGHT_AT 0
/* scores.conv.bias [8] */
#define WINDOWED_SCORES_CONV_BIAS_AT 96
/* output.norm.weight [40] */
#define WINDOWED_OUTPUT_NORM_WEIGHT_AT 104
/* output.gate.weight [40, 40] */
#define WINDOWED_OUTPUT_GATE_WEIGHT_AT 144
/* output.gate.bias [40] */
#define WINDOWED_OUTPUT_GATE_BIAS_AT 1744

/* What windowed_launch returns beside 0 and the positive codes of cudaError_t: one of these kinds.
   Where one field is wrong, the kind less 100 times the field's number: -302 is a size (-2) of field 3, key_rows.
   The macros take a code apart, and windowed_error_string says it in words. */
#define WINDOWED_ERROR_NULL_POINTER (-1)
#define WINDOWED_ERROR_SIZE (-2)
#define WINDOWED_ERROR_TOO_LARGE (-3)
#define WINDOWED_ERROR_ALIGNMENT (-4)
#define WINDOWED_ERROR_WORKSPACE (-5)
#define WINDOWED_ERROR_DEVICE (-6)
/* One of the kinds; 0 for 0 and for the codes of cudaError_t. */
#define WINDOWED_ERROR_KIND(code) ((code) < 0 ? (code) % 100 : 0)
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
*/
#define WINDOWED_ERROR_FIELD(code) ((code) < 0 ? -(code) / 100 : 0)

/* Elements between neighbours along the axes of a tensor; its last axis is contiguous. All 0: contiguous, row-major. */
typedef struct windowed_strides {
  unsigned batch;
  unsigned head;
  unsigned row;
} windowed_strides;

/* One call. Pointers are device memory; fill the struct with zeros first, and what is not needed stays so. */
typedef struct windowed_call {
  /* Batch entries, query rows, keys: at least 1. No more query rows than keys. */
  int batches;
  int query_rows;
  int key_rows;
  /* Query rows just before row 0, at most as many as there are keys before it: see q_history. */
  int history_rows;

  /* bf16 (__nv_bfloat16) [batches, 8, query_rows, 40]; strides and pointer are multiples of 8 elements. */
  const void *q;
  windowed_strides q_strides;
  /* The same with history_rows rows; null where there are none. */
  const void *q_history;
  windowed_strides q_history_strides;
  /* bf16 (__nv_bfloat16) [batches, 2, key_rows, 40], multiples of 8 elements. */
  const void *k;
  windowed_strides k_strides;
  /* bf16 (__nv_bfloat16) [batches, 2, key_rows, 40], multiples of 8 elements. */
  const void *v;
  windowed_strides v_strides;
  /* bf16 (__nv_bfloat16) [batches, 8, query_rows, 40], multiples of 8 elements. */
  void *o;
  windowed_strides o_strides;
  /* [batches, 8, query_rows], contiguous: log-sum-exp of the rows, minus infinity for a row without keys.
     May be null. */
  float *lse;
  /* WINDOWED_PARAMETER_COUNT floats. */
  const float *parameters;
  /* [batches]: position of each entry's row 0 among the keys. Null: the last row meets the last key. */
  const int *positions;
  /* [batches, key_rows], contiguous: each position's document, negative for none. */
  const int *documents;
  /* [batches]: keys that are filled. */
  const int *lengths;
  /* [batches or 1, 8 or 1, history_rows + query_rows, key_rows]: added to the scores, minus infinity hides. A stride
     of 0 repeats an axis; a row stride of 0 means key_rows. */
  const float *bias;
  windowed_strides bias_strides;
  /* Number of the layer from 0: its norm is scaled by depth. */
  int layer;
} windowed_call;

/* Bytes of device memory, 256-byte aligned, that a call needs beside its tensors; 0 for a call that
   windowed_launch refuses. */
size_t windowed_workspace_bytes(const windowed_call *call);

/* Queues the call's kernels on a stream of the current device. Returns 0, a negative code from above, or a
   cudaError_t. */
int windowed_launch(const windowed_call *call, void *workspace, size_t workspace_bytes, cudaStream_t stream);

/* What a code of windowed_launch means, with the name of the field that is wrong. */
const char *windowed_error_string(int error);

#ifdef __cplusplus
}
#endif

#endif
