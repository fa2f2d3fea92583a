/* attention heads_only, from full.mta:14. */
/* Made by mtac 0.1.0: change the spec and compile it again, not this file. */
#include "heads_only_cpu.h"

#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* ... the library: templates/c ... */

/* The attention, as full.mta:14 declares it. */
static const struct attention ATTENTION = {
  .heads = 4,
  .kv_heads = 4,
  .head_dim = 32,
  .value_dim = 32,
  .scale = 0.17677669f,
  .storage = STORAGE_F16,
  .normalizer = NORMALIZE_SOFTMAX,
  .causal = 1,
  .score_stages = 1,
  .weight_stages = 1,
  .output_stages = 2,
  .group = 4,
  .strip = 64,
  .block = 64,
};

/* Its stages, in their order. */
static const struct stage STAGES[] = {
  {
    .kind = STAGE_MIX,
    .weight_at = HEADS_ONLY_CPU_SCORES_MIX_WEIGHT_AT,
    .bias_at = -1,
    .heads = 4,
  },
  {
    .kind = STAGE_MIX,
    .weight_at = HEADS_ONLY_CPU_WEIGHTS_MIX_WEIGHT_AT,
    .bias_at = -1,
    .heads = 4,
  },
  {
    .kind = STAGE_NORM,
    .weight_at = HEADS_ONLY_CPU_OUTPUT_NORM_WEIGHT_AT,
    .bias_at = -1,
    .heads = 1,
    .value = 0.00001f,
  },
  {
    .kind = STAGE_GATE,
    .weight_at = HEADS_ONLY_CPU_OUTPUT_GATE_WEIGHT_AT,
    .bias_at = HEADS_ONLY_CPU_OUTPUT_GATE_BIAS_AT,
    .heads = 1,
  },
};

/* A tensor of the call, contiguous where the caller gives no strides. */
static struct tensor tensor_of(const void *data, heads_only_cpu_strides strides, int heads, int rows, int size) {
  const int64_t head = (int64_t)rows * size;
  if (strides.batch == 0 && strides.head == 0 && strides.row == 0)
    return (struct tensor){data, heads * head, head, size};
  return (struct tensor){data, strides.batch, strides.head, strides.row};
}

/* The caller's call as the library has it. */
static struct call call_of(const heads_only_cpu_call *given) {
  return (struct call){
    .attention = &ATTENTION,
    .stages = STAGES,
    .parameters = given->parameters,
    .batches = given->batches,
    .query_rows = given->query_rows,
    .key_rows = given->key_rows,
    .history_rows = given->history_rows,
    .q = tensor_of(given->q, given->q_strides, HEADS_ONLY_CPU_HEADS, given->query_rows, HEADS_ONLY_CPU_HEAD_DIM),
    .k = tensor_of(given->k, given->k_strides, HEADS_ONLY_CPU_KV_HEADS, given->key_rows, HEADS_ONLY_CPU_HEAD_DIM),
    .v = tensor_of(given->v, given->v_strides, HEADS_ONLY_CPU_KV_HEADS, given->key_rows, HEADS_ONLY_CPU_VALUE_DIM),
    .q_history = tensor_of(given->q_history, given->q_history_strides, HEADS_ONLY_CPU_HEADS, given->history_rows,
      HEADS_ONLY_CPU_HEAD_DIM),
    .o = tensor_of(given->o, given->o_strides, HEADS_ONLY_CPU_HEADS, given->query_rows, HEADS_ONLY_CPU_VALUE_DIM),
    .positions = given->positions,
    .lse = given->lse,
  };
}

/* 0 for a call that can be computed, else what is wrong with it. */
static int check(const heads_only_cpu_call *call, int threads) {
  if (call == NULL) return HEADS_ONLY_CPU_ERROR_NULL_POINTER;
  if (call->batches < 1) return HEADS_ONLY_CPU_ERROR_SIZE - 100;
  if (call->key_rows < 1) return HEADS_ONLY_CPU_ERROR_SIZE - 300;
  if (call->query_rows < 1 || call->query_rows > call->key_rows) return HEADS_ONLY_CPU_ERROR_SIZE - 200;
  if (call->history_rows < 0) return HEADS_ONLY_CPU_ERROR_SIZE - 400;
  if (call->positions == NULL && call->history_rows > 0 && call->history_rows > call->key_rows - call->query_rows)
    return HEADS_ONLY_CPU_ERROR_SIZE - 400;
  if (threads < 1 || threads > 256) return HEADS_ONLY_CPU_ERROR_SIZE - 1600;
  long long rows = call->query_rows > call->key_rows ? call->query_rows : call->key_rows;
  if (call->history_rows > rows) rows = call->history_rows;
  if (rows * call->batches * HEADS_ONLY_CPU_HEADS > INT_MAX / 2) return HEADS_ONLY_CPU_ERROR_TOO_LARGE;
  if (call->q == NULL) return HEADS_ONLY_CPU_ERROR_NULL_POINTER - 500;
  if (call->k == NULL) return HEADS_ONLY_CPU_ERROR_NULL_POINTER - 700;
  if (call->v == NULL) return HEADS_ONLY_CPU_ERROR_NULL_POINTER - 800;
  if (call->o == NULL) return HEADS_ONLY_CPU_ERROR_NULL_POINTER - 900;
  if (call->parameters == NULL) return HEADS_ONLY_CPU_ERROR_NULL_POINTER - 1000;
  if (call->history_rows > 0 && call->q_history == NULL) return HEADS_ONLY_CPU_ERROR_NULL_POINTER - 600;
  if ((uintptr_t)call->q % 2 != 0) return HEADS_ONLY_CPU_ERROR_ALIGNMENT - 500;
  if ((uintptr_t)call->k % 2 != 0) return HEADS_ONLY_CPU_ERROR_ALIGNMENT - 700;
  if ((uintptr_t)call->v % 2 != 0) return HEADS_ONLY_CPU_ERROR_ALIGNMENT - 800;
  if ((uintptr_t)call->q_history % 2 != 0) return HEADS_ONLY_CPU_ERROR_ALIGNMENT - 600;
  if ((uintptr_t)call->o % 2 != 0) return HEADS_ONLY_CPU_ERROR_ALIGNMENT - 900;
  return 0;
}

/* The library's memory begins at a multiple of this many bytes, the caller's anywhere. */
enum { WORKSPACE_ALIGNMENT = 64 };

size_t heads_only_cpu_workspace_bytes(const heads_only_cpu_call *call, int threads) {
  if (check(call, threads) != 0) return 0;
  const struct call checked = call_of(call);
  return workspace_bytes(&checked, threads) + WORKSPACE_ALIGNMENT;
}

int heads_only_cpu_launch(const heads_only_cpu_call *call, void *workspace, size_t bytes, int threads) {
  const int error = check(call, threads);
  if (error != 0) return error;
  if (workspace == NULL || bytes < heads_only_cpu_workspace_bytes(call, threads)) return HEADS_ONLY_CPU_ERROR_WORKSPACE;
  const struct call checked = call_of(call);
  const size_t skipped = -(uintptr_t)workspace % WORKSPACE_ALIGNMENT;
  compute(&checked, (unsigned char *)workspace + skipped, threads);
  return 0;
}

const char *heads_only_cpu_error_string(int error) {
  switch (error) {
    case 0: return "no error";
    case HEADS_ONLY_CPU_ERROR_NULL_POINTER: return "the call is a null pointer";
    case HEADS_ONLY_CPU_ERROR_SIZE - 100:
      return "batches must be at least 1";
    case HEADS_ONLY_CPU_ERROR_SIZE - 300:
      return "key_rows must be at least 1";
    case HEADS_ONLY_CPU_ERROR_SIZE - 200:
      return "query_rows must be at least 1 and at most key_rows";
    case HEADS_ONLY_CPU_ERROR_SIZE - 400:
      return "history_rows must be at least 0 and, without positions, at most key_rows - query_rows";
    case HEADS_ONLY_CPU_ERROR_SIZE - 1600:
      return "threads must be at least 1 and at most 256";
    case HEADS_ONLY_CPU_ERROR_NULL_POINTER - 500:
      return "q is a null pointer";
    case HEADS_ONLY_CPU_ERROR_NULL_POINTER - 700:
      return "k is a null pointer";
    case HEADS_ONLY_CPU_ERROR_NULL_POINTER - 800:
      return "v is a null pointer";
    case HEADS_ONLY_CPU_ERROR_NULL_POINTER - 900:
      return "o is a null pointer";
    case HEADS_ONLY_CPU_ERROR_NULL_POINTER - 1000:
      return "parameters is a null pointer";
    case HEADS_ONLY_CPU_ERROR_NULL_POINTER - 600:
      return "q_history is a null pointer, and history_rows is not 0";
    case HEADS_ONLY_CPU_ERROR_ALIGNMENT - 500:
      return "q is not aligned to 2 bytes";
    case HEADS_ONLY_CPU_ERROR_ALIGNMENT - 700:
      return "k is not aligned to 2 bytes";
    case HEADS_ONLY_CPU_ERROR_ALIGNMENT - 800:
      return "v is not aligned to 2 bytes";
    case HEADS_ONLY_CPU_ERROR_ALIGNMENT - 600:
      return "q_history is not aligned to 2 bytes";
    case HEADS_ONLY_CPU_ERROR_ALIGNMENT - 900:
      return "o is not aligned to 2 bytes";
    case HEADS_ONLY_CPU_ERROR_TOO_LARGE: return "the call is too large for one launch: split the batch";
    case HEADS_ONLY_CPU_ERROR_WORKSPACE: return "the workspace is smaller than heads_only_cpu_workspace_bytes says";
    default: return "unknown error";
  }
}
