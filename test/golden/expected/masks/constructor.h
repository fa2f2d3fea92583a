/* attention constructor, from masks.mta:14. */
/* Made by mtac 0.1.0: change the spec and compile it again, not this file. */
#ifndef MTAC_CONSTRUCTOR_H
#define MTAC_CONSTRUCTOR_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the spec fixes. */
#define CONSTRUCTOR_HEADS 3
#define CONSTRUCTOR_KV_HEADS 3
#define CONSTRUCTOR_HEAD_DIM 7
#define CONSTRUCTOR_VALUE_DIM 7

/* Floats in the array of parameters, and where each parameter lies in it. All are row-major. */
#define CONSTRUCTOR_PARAMETER_COUNT 81
/* scores.conv.weight [3, 3, 3, 3] */
#define CONSTRUCTOR_SCORES_CONV_WEIGHT_AT 0

/* What constructor_launch returns beside 0 and the positive codes of cudaError_t: one of these kinds.
   Where one field is wrong, the kind less 100 times the field's number: -302 is a size (-2) of field 3, key_rows.
   The macros take a code apart, and constructor_error_string says it in words. */
#define CONSTRUCTOR_ERROR_NULL_POINTER (-1)
#define CONSTRUCTOR_ERROR_SIZE (-2)
#define CONSTRUCTOR_ERROR_TOO_LARGE (-3)
#define CONSTRUCTOR_ERROR_ALIGNMENT (-4)
#define CONSTRUCTOR_ERROR_WORKSPACE (-5)
#define CONSTRUCTOR_ERROR_DEVICE (-6)
/* One of the kinds; 0 for 0 and for the codes of cudaError_t. */
#define CONSTRUCTOR_ERROR_KIND(code) ((code) < 0 ? (code) % 100 : 0)
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
#define CONSTRUCTOR_ERROR_FIELD(code) ((code) < 0 ? -(code) / 100 : 0)

/* Elements between neighbours along the axes of a tensor; its last axis is contiguous. All 0: contiguous, row-major. */
typedef struct constructor_strides {
  unsigned batch;
  unsigned head;
  unsigned row;
} constructor_strides;

/* One call. Pointers are device memory; fill the struct with zeros first, and what is not needed stays so. */
typedef struct constructor_call {
  /* Batch entries, query rows, keys: at least 1. */
  int batches;
  int query_rows;
  int key_rows;
  /* Query rows just before row 0, at most as many as there are keys before it: see q_history. */
  int history_rows;

  /* f32 [batches, 3, query_rows, 7]; strides and pointer are multiples of 1 elements. */
  const float *q;
  constructor_strides q_strides;
  /* The same with history_rows rows; null where there are none. */
  const float *q_history;
  constructor_strides q_history_strides;
  /* f32 [batches, 3, key_rows, 7], multiples of 1 elements. */
  const float *k;
  constructor_strides k_strides;
  /* f32 [batches, 3, key_rows, 7], multiples of 1 elements. */
  const float *v;
  constructor_strides v_strides;
  /* f32 [batches, 3, query_rows, 7], multiples of 1 elements. */
  float *o;
  constructor_strides o_strides;
  /* CONSTRUCTOR_PARAMETER_COUNT floats. */
  const float *parameters;
  /* [batches]: position of each entry's row 0 among the keys. Null: the last row meets the last key. */
  const int *positions;
} constructor_call;

/* Bytes of device memory, 256-byte aligned, that a call needs beside its tensors; 0 for a call that
   constructor_launch refuses. */
size_t constructor_workspace_bytes(const constructor_call *call);

/* Queues the call's kernels on a stream of the current device. Returns 0, a negative code from above, or a
   cudaError_t. */
int constructor_launch(const constructor_call *call, void *workspace, size_t workspace_bytes, cudaStream_t stream);

/* What a code of constructor_launch means, with the name of the field that is wrong. */
const char *constructor_error_string(int error);

#ifdef __cplusplus
}
#endif

#endif
