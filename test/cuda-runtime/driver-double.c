// A stand-in for libcuda: exports the functions of the CUDA Driver API that the runtime calls, checks how they are used, and
// executes a few kernels by name on host memory. Work is queued as on a real stream and runs only when somebody waits, so
// that a missing wait, a source that is freed too early or a forgotten context shows. Modules are text:
//
//   MTAC-DOUBLE
//   kernel NAME static=BYTES threads=MOST params=v136,p,p      v: bytes by value, p: pointer
//
// Whatever a real driver would not notice is a "violation": double_violations() returns their text.
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch.h"

typedef int CUresult;
enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
       INVALID_CONTEXT = 201, INVALID_PTX = 218, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700,
       LAUNCH_OUT_OF_RESOURCES = 701 };

enum { ALLOCATION = 1, MODULE, FUNCTION, STREAM, EVENT, KINDS };
static const char *const kind_names[] = {"", "allocation", "module", "function", "stream", "event"};

typedef struct Function {
  char name[64];
  int statics, threads, count;
  int by_value[16];  // bytes, or 0 for a pointer
  int dynamic_limit;
} Function;

typedef struct Object {
  int kind, alive;
  uint64_t handle, size;
  uint64_t parent;      // a function's module
  Function function;
  long reached_at;      // an event's place in the queue; -1 before it is recorded
  int polls;
} Object;

typedef struct Work {
  enum { COPY_IN, COPY_OUT, FILL, LAUNCH } kind;
  uint64_t device;
  void *host;
  uint64_t bytes;
  int value;
  Function function;
  unsigned grid[3], threads;
  unsigned char parameters[4096];
} Work;

static Object objects[4096];
static int object_count;
static Work queue[4096];
static long queued, done;
static int initialised, retained, sticky, launches;
static _Thread_local uint64_t current;
static char text[1 << 20], violations[1 << 16];
static char fail_name[64];
static int fail_nth, fail_result;
static uint64_t memory_limit = (uint64_t)1 << 30, memory_used;
static const uint64_t PRIMARY = 0xc0de;
static FILE *record;  // of modules, attributes and launches, a line each
static int quick;     // 1: launches are checked and counted, and nothing else, for measurements of who launches

static void append(char *to, size_t most, const char *format, va_list list) {
  size_t at = strlen(to);
  if (at + 256 < most) vsnprintf(to + at, 250, format, list), strcat(to, "\n");
}

static void note(const char *format, ...) {
  va_list list;
  va_start(list, format);
  append(text, sizeof text, format, list);
  va_end(list);
}

static int violate(int result, const char *format, ...) {
  va_list list;
  va_start(list, format);
  append(violations, sizeof violations, format, list);
  va_end(list);
  return result;
}

/// Counts the call, and says whether it is the one that is to fail.
static int begin(const char *name) {
  if (quick) return sticky;
  note("%s", name);
  if (fail_nth > 0 && strcmp(name, fail_name) == 0 && --fail_nth == 0) {
    if (fail_result >= ILLEGAL_ADDRESS) sticky = fail_result;
    return fail_result;
  }
  return 0;
}

#define BEGIN(name) do { int failure = begin(name); if (failure) return failure; } while (0)
#define NEED_INIT(name) do { if (!initialised) return violate(NOT_INITIALIZED, "%s before cuInit", name); } while (0)
#define NEED_CONTEXT(name) do { NEED_INIT(name); \
    if (current != PRIMARY || !retained) return violate(INVALID_CONTEXT, "%s without the context", name); \
    if (sticky) return sticky; } while (0)

static Object *add(int kind, uint64_t handle, uint64_t size) {
  if (object_count == 4096) abort();
  Object *object = &objects[object_count++];
  memset(object, 0, sizeof *object);
  object->kind = kind, object->alive = 1, object->size = size, object->reached_at = -1;
  object->handle = handle ? handle : (uint64_t)kind << 32 | (uint64_t)(object_count * 16);
  return object;
}

static Object *find(int kind, uint64_t handle, const char *name) {
  for (int i = object_count - 1; i >= 0; i--)
    if (objects[i].kind == kind && objects[i].handle == handle) {
      if (objects[i].alive) return &objects[i];
      violate(0, "%s: the %s is destroyed already", name, kind_names[kind]);
      return NULL;
    }
  violate(0, "%s: no such %s", name, kind_names[kind]);
  return NULL;
}

static Object *holder(uint64_t address) {
  for (int i = 0; i < object_count; i++)
    if (objects[i].kind == ALLOCATION && objects[i].alive && address >= objects[i].handle &&
        address < objects[i].handle + objects[i].size) return &objects[i];
  return NULL;
}

static int in_bounds(uint64_t address, uint64_t bytes) {
  Object *object = holder(address);
  return object != NULL && address + bytes <= object->handle + object->size;
}

// ---- the kernels that it knows

static void saxpy(const Work *work) {
  int n;
  float a;
  uint64_t x, y;
  memcpy(&n, work->parameters, 4);
  memcpy(&a, work->parameters + 4, 4);
  memcpy(&x, work->parameters + 8, 8);
  memcpy(&y, work->parameters + 16, 8);
  for (int i = 0; i < n; i++) ((float *)y)[i] += a * ((float *)x)[i];
}

/// As SCALE_SOURCE of tiny-cuda.ts.
static void tiny_scale(const Work *work) {
  struct Launch launch;
  uint64_t pointers[5];
  memcpy(&launch, work->parameters, sizeof launch);
  memcpy(pointers, work->parameters + (sizeof launch + 7) / 8 * 8, sizeof pointers);
  const float *q = (float *)pointers[0], *weights = (float *)pointers[1];
  float *o = (float *)pointers[2], *lse = (float *)pointers[3];
  const int *positions = (int *)pointers[4];
  unsigned b = launch.batch;
  for (unsigned h = 0; h < work->grid[1]; h++)
    for (int row = launch.row_begin; row < launch.row_end; row++) {
      for (unsigned d = 0; d < 4; d++)
        o[b * launch.o_stride_b + h * launch.o_stride_h + row * launch.o_stride_l + d] = launch.depth_scale * weights[d] *
            q[b * launch.q_stride_b + h * launch.q_stride_h + row * launch.q_stride_l + d];
      lse[(b * 2 + h) * launch.query_rows + row] = (launch.has_positions ? positions[b] : 0) + row;
    }
}

static void execute(const Work *work) {
  switch (work->kind) {
    case COPY_IN: memcpy((void *)work->device, work->host, work->bytes); return;
    case COPY_OUT: memcpy(work->host, (void *)work->device, work->bytes); return;
    case FILL: memset((void *)work->device, work->value, work->bytes); return;
    case LAUNCH:
      if (strcmp(work->function.name, "double_saxpy") == 0) saxpy(work);
      else if (strcmp(work->function.name, "tiny_scale") == 0) tiny_scale(work);
      else if (strcmp(work->function.name, "tiny_fault") == 0) sticky = ILLEGAL_ADDRESS;
  }
}

static void drain(long until) {
  while (done < until && !sticky) execute(&queue[done++ % 4096]);
}

static Work *enqueue(int kind) {
  if (queued - done == 4096) drain(done + 1);
  Work *work = &queue[queued++ % 4096];
  memset(work, 0, sizeof *work);
  work->kind = kind;
  return work;
}

// ---- the driver

CUresult cuInit(unsigned flags) {
  BEGIN("cuInit");
  if (flags != 0) return violate(INVALID_VALUE, "cuInit: flags %u", flags);
  if (getenv("MTAC_DOUBLE_DEVICES") && atoi(getenv("MTAC_DOUBLE_DEVICES")) == 0) return NO_DEVICE;
  initialised = 1;
  return 0;
}

CUresult cuDriverGetVersion(int *version) { *version = 13000; return 0; }

static const struct { int result; const char *name, *words; } names[] = {
  {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
  {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
  {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
  {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
  {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
  {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
  {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
  {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
  {LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
};

static CUresult describe(int result, const char **out, int words) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].result == result) return *out = words ? names[i].words : names[i].name, 0;
  return *out = NULL, INVALID_VALUE;
}
CUresult cuGetErrorName(int result, const char **out) { return describe(result, out, 0); }
CUresult cuGetErrorString(int result, const char **out) { return describe(result, out, 1); }

CUresult cuDeviceGetCount(int *count) {
  BEGIN("cuDeviceGetCount");
  NEED_INIT("cuDeviceGetCount");
  *count = 1;
  return 0;
}
CUresult cuDeviceGet(int *device, int index) {
  BEGIN("cuDeviceGet");
  NEED_INIT("cuDeviceGet");
  return index == 0 ? (*device = 7, 0) : INVALID_DEVICE;
}
#define NEED_DEVICE(name) do { NEED_INIT(name); if (device != 7) return violate(INVALID_DEVICE, name ": device %d", device); } while (0)
CUresult cuDeviceGetName(char *name, int size, int device) {
  BEGIN("cuDeviceGetName");
  NEED_DEVICE("cuDeviceGetName");
  snprintf(name, size, "Double of an A100");
  return 0;
}
CUresult cuDeviceTotalMem_v2(uint64_t *bytes, int device) {
  NEED_DEVICE("cuDeviceTotalMem_v2");
  return *bytes = memory_limit, 0;
}
CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
  NEED_DEVICE("cuDeviceGetAttribute");
  switch (attribute) {
    case 1: return *value = 1024, 0;
    case 5: return *value = 2147483647, 0;
    case 6: case 7: return *value = 65535, 0;
    case 8: return *value = 49152, 0;
    case 16: return *value = 108, 0;
    case 75: return *value = 8, 0;
    case 76: return *value = 0, 0;
    case 97: return *value = 166912, 0;
  }
  return violate(INVALID_VALUE, "cuDeviceGetAttribute: attribute %d", attribute);
}

CUresult cuDevicePrimaryCtxRetain(uint64_t *context, int device) {
  BEGIN("cuDevicePrimaryCtxRetain");
  NEED_DEVICE("cuDevicePrimaryCtxRetain");
  retained++;
  return *context = PRIMARY, 0;
}
CUresult cuDevicePrimaryCtxRelease_v2(int device) {
  BEGIN("cuDevicePrimaryCtxRelease_v2");
  NEED_DEVICE("cuDevicePrimaryCtxRelease_v2");
  if (retained == 0) return violate(INVALID_CONTEXT, "the primary context is released too often");
  if (--retained == 0 && sticky) {  // a fresh context would work again; its memory is gone
    sticky = 0, queued = done = 0;
    for (int i = 0; i < object_count; i++) objects[i].alive = 0;
  }
  return 0;
}
CUresult cuCtxSetCurrent(uint64_t context) {
  BEGIN("cuCtxSetCurrent");
  NEED_INIT("cuCtxSetCurrent");
  if (context != PRIMARY && context != 0) return violate(INVALID_CONTEXT, "cuCtxSetCurrent: no such context");
  return current = context, 0;
}

CUresult cuMemGetInfo_v2(uint64_t *free_bytes, uint64_t *total) {
  NEED_CONTEXT("cuMemGetInfo_v2");
  return *free_bytes = memory_limit - memory_used, *total = memory_limit, 0;
}
CUresult cuMemAlloc_v2(uint64_t *address, uint64_t bytes) {
  BEGIN("cuMemAlloc_v2");
  NEED_CONTEXT("cuMemAlloc_v2");
  if (bytes == 0) return violate(INVALID_VALUE, "cuMemAlloc_v2: 0 bytes");
  if (memory_used + bytes > memory_limit) return OUT_OF_MEMORY;
  void *memory = aligned_alloc(512, (bytes + 511) / 512 * 512);
  memset(memory, 0xff, bytes);  // NaN
  memory_used += bytes;
  add(ALLOCATION, (uint64_t)memory, bytes);
  return *address = (uint64_t)memory, 0;
}
CUresult cuMemFree_v2(uint64_t address) {
  BEGIN("cuMemFree_v2");
  NEED_CONTEXT("cuMemFree_v2");
  Object *object = find(ALLOCATION, address, "cuMemFree_v2");
  if (object == NULL) return INVALID_VALUE;
  drain(queued);  // freeing waits for the device
  memset((void *)address, 0xfe, object->size);
  free((void *)address);
  memory_used -= object->size;
  return object->alive = 0, 0;
}
CUresult cuMemGetAddressRange_v2(uint64_t *base, uint64_t *size, uint64_t address) {
  NEED_CONTEXT("cuMemGetAddressRange_v2");
  Object *object = holder(address);
  if (object == NULL) return NOT_FOUND;
  return *base = object->handle, *size = object->size, 0;
}

static CUresult check_copy(const char *name, uint64_t device, uint64_t bytes, uint64_t stream) {
  if (bytes == 0) return violate(INVALID_VALUE, "%s: 0 bytes", name);
  if (!in_bounds(device, bytes)) return violate(INVALID_VALUE, "%s: out of bounds", name);
  return find(STREAM, stream, name) == NULL ? INVALID_HANDLE : 0;
}
CUresult cuMemcpyHtoDAsync_v2(uint64_t device, void *host, uint64_t bytes, uint64_t stream) {
  BEGIN("cuMemcpyHtoDAsync_v2");
  NEED_CONTEXT("cuMemcpyHtoDAsync_v2");
  int fault = check_copy("cuMemcpyHtoDAsync_v2", device, bytes, stream);
  if (fault) return fault;
  Work *work = enqueue(COPY_IN);
  work->device = device, work->host = host, work->bytes = bytes;
  return 0;
}
CUresult cuMemcpyDtoHAsync_v2(void *host, uint64_t device, uint64_t bytes, uint64_t stream) {
  BEGIN("cuMemcpyDtoHAsync_v2");
  NEED_CONTEXT("cuMemcpyDtoHAsync_v2");
  int fault = check_copy("cuMemcpyDtoHAsync_v2", device, bytes, stream);
  if (fault) return fault;
  Work *work = enqueue(COPY_OUT);
  work->device = device, work->host = host, work->bytes = bytes;
  return 0;
}
CUresult cuMemsetD8Async(uint64_t device, unsigned char value, uint64_t bytes, uint64_t stream) {
  BEGIN("cuMemsetD8Async");
  NEED_CONTEXT("cuMemsetD8Async");
  int fault = check_copy("cuMemsetD8Async", device, bytes, stream);
  if (fault) return fault;
  Work *work = enqueue(FILL);
  work->device = device, work->value = value, work->bytes = bytes;
  return 0;
}

static int parse_kernel(const char *line, Function *function) {
  char parameters[256] = "";
  memset(function, 0, sizeof *function);
  if (sscanf(line, "kernel %63s static=%d threads=%d params=%255s", function->name, &function->statics, &function->threads,
             parameters) < 3) return 0;
  function->dynamic_limit = 49152;
  for (char *part = strtok(parameters, ","); part != NULL; part = strtok(NULL, ","))
    function->by_value[function->count++] = *part == 'v' ? atoi(part + 1) : 0;
  return 1;
}

CUresult cuModuleLoadDataEx(uint64_t *module, const char *image, unsigned count, int *options, uint64_t *values) {
  BEGIN("cuModuleLoadDataEx");
  NEED_CONTEXT("cuModuleLoadDataEx");
  char *log = NULL;
  uint64_t size = 0;
  for (unsigned i = 0; i < count; i++) {
    if (options[i] == 5) log = (char *)values[i];
    else if (options[i] == 6) size = values[i];
    else return violate(INVALID_VALUE, "cuModuleLoadDataEx: option %d", options[i]);
  }
  if (strncmp(image, "MTAC-DOUBLE\n", 12) != 0) {
    if (log != NULL) snprintf(log, size, "ptxas fatal : line 3: unexpected token");
    return INVALID_PTX;
  }
  Object *object = add(MODULE, 0, 0);
  uint64_t handle = object->handle;
  if (record != NULL) fprintf(record, "module %.*s\n", (int)strcspn(image + 12, "\n"), image + 12);
  for (const char *line = image; line != NULL && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    Function function;
    if (strncmp(line, "kernel ", 7) != 0) continue;
    char copy[512];
    snprintf(copy, sizeof copy, "%.*s", (int)strcspn(line, "\n"), line);
    if (!parse_kernel(copy, &function)) return INVALID_IMAGE;
    Object *entry = add(FUNCTION, 0, 0);
    entry->function = function, entry->parent = handle;
  }
  return *module = handle, 0;
}
CUresult cuModuleUnload(uint64_t module) {
  BEGIN("cuModuleUnload");
  NEED_CONTEXT("cuModuleUnload");
  Object *object = find(MODULE, module, "cuModuleUnload");
  if (object == NULL) return INVALID_HANDLE;
  for (int i = 0; i < object_count; i++)
    if (objects[i].kind == FUNCTION && objects[i].parent == module) objects[i].alive = 0;
  return object->alive = 0, 0;
}
CUresult cuModuleGetFunction(uint64_t *function, uint64_t module, const char *name) {
  BEGIN("cuModuleGetFunction");
  NEED_CONTEXT("cuModuleGetFunction");
  if (find(MODULE, module, "cuModuleGetFunction") == NULL) return INVALID_HANDLE;
  for (int i = 0; i < object_count; i++)
    if (objects[i].kind == FUNCTION && objects[i].parent == module && strcmp(objects[i].function.name, name) == 0)
      return *function = objects[i].handle, 0;
  return NOT_FOUND;
}
CUresult cuFuncGetAttribute(int *value, int attribute, uint64_t function) {
  NEED_CONTEXT("cuFuncGetAttribute");
  Object *object = find(FUNCTION, function, "cuFuncGetAttribute");
  if (object == NULL) return INVALID_HANDLE;
  switch (attribute) {
    case 0: return *value = object->function.threads, 0;
    case 1: return *value = object->function.statics, 0;
    case 8: return *value = object->function.dynamic_limit, 0;
  }
  return violate(INVALID_VALUE, "cuFuncGetAttribute: attribute %d", attribute);
}
CUresult cuFuncSetAttribute(uint64_t function, int attribute, int value) {
  BEGIN("cuFuncSetAttribute");
  NEED_CONTEXT("cuFuncSetAttribute");
  Object *object = find(FUNCTION, function, "cuFuncSetAttribute");
  if (object == NULL) return INVALID_HANDLE;
  if (attribute != 8) return violate(INVALID_VALUE, "cuFuncSetAttribute: attribute %d", attribute);
  if (value < 0 || value + object->function.statics > 166912) return INVALID_VALUE;
  if (record != NULL) fprintf(record, "shared %s %d\n", object->function.name, value);
  return object->function.dynamic_limit = value, 0;
}

CUresult cuLaunchKernel(uint64_t handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, uint64_t stream, void **parameters, void **extra) {
  BEGIN("cuLaunchKernel");
  NEED_CONTEXT("cuLaunchKernel");
  if (quick) return launches++, 0;
  Object *object = find(FUNCTION, handle, "cuLaunchKernel");
  if (object == NULL || find(STREAM, stream, "cuLaunchKernel") == NULL) return INVALID_HANDLE;
  const Function *function = &object->function;
  if (gx < 1 || gx > 2147483647u || gy < 1 || gy > 65535 || gz < 1 || gz > 65535)
    return violate(INVALID_VALUE, "cuLaunchKernel: grid %u %u %u", gx, gy, gz);
  if (bx < 1 || by != 1 || bz != 1 || bx > 1024) return violate(INVALID_VALUE, "cuLaunchKernel: block %u %u %u", bx, by, bz);
  if ((int)bx > function->threads) return LAUNCH_OUT_OF_RESOURCES;
  if ((int)shared > function->dynamic_limit)
    return violate(INVALID_VALUE, "cuLaunchKernel: %u bytes of shared memory, %d are allowed", shared, function->dynamic_limit);
  if (extra != NULL) return violate(INVALID_VALUE, "cuLaunchKernel: both kernelParams and extra");
  Work *work = enqueue(LAUNCH);
  work->function = *function, work->threads = bx;
  work->grid[0] = gx, work->grid[1] = gy, work->grid[2] = gz;
  size_t end = 0;
  if (record != NULL)
    fprintf(record, "launch %s %u %u %u threads %u shared %u stream %llx", function->name, gx, gy, gz, bx, shared,
            (unsigned long long)stream);
  for (int i = 0; i < function->count; i++) {
    size_t bytes = function->by_value[i] ? function->by_value[i] : 8;
    size_t align = function->by_value[i] ? 4 : 8;
    uint64_t at = (uint64_t)parameters[i];
    if (at == 0 || at % align) return violate(INVALID_VALUE, "cuLaunchKernel: parameter %d at %llx", i, (long long)at);
    if (i + 1 < function->count && (uint64_t)parameters[i + 1] - at < bytes)
      return violate(INVALID_VALUE, "cuLaunchKernel: parameter %d has fewer than %zu bytes", i, bytes);
    end = (end + align - 1) / align * align;
    memcpy(work->parameters + end, (void *)at, bytes);
    uint64_t pointer;
    memcpy(&pointer, (void *)at, 8 < bytes ? 8 : bytes);
    if (!function->by_value[i] && pointer != 0 && holder(pointer) == NULL)
      violate(0, "cuLaunchKernel: parameter %d of %s points nowhere", i, function->name);
    if (record != NULL && !function->by_value[i]) fprintf(record, " @%llx", (unsigned long long)pointer);
    if (record != NULL && function->by_value[i]) {
      fputc(' ', record);
      for (size_t byte = 0; byte < bytes; byte++) fprintf(record, "%02x", ((unsigned char *)at)[byte]);
    }
    end += bytes;
  }
  if (record != NULL) fputc('\n', record);
  note("launch %s %u %u %u threads %u shared %u", function->name, gx, gy, gz, bx, shared);
  return 0;
}

CUresult cuStreamCreate(uint64_t *stream, unsigned flags) {
  BEGIN("cuStreamCreate");
  NEED_CONTEXT("cuStreamCreate");
  if (flags != 1) return violate(INVALID_VALUE, "cuStreamCreate: flags %u", flags);
  return *stream = add(STREAM, 0, 0)->handle, 0;
}
CUresult cuStreamDestroy_v2(uint64_t stream) {
  BEGIN("cuStreamDestroy_v2");
  NEED_CONTEXT("cuStreamDestroy_v2");
  Object *object = find(STREAM, stream, "cuStreamDestroy_v2");
  if (object == NULL) return INVALID_HANDLE;
  drain(queued);
  return object->alive = 0, 0;
}
CUresult cuStreamSynchronize(uint64_t stream) {
  BEGIN("cuStreamSynchronize");
  NEED_CONTEXT("cuStreamSynchronize");
  if (find(STREAM, stream, "cuStreamSynchronize") == NULL) return INVALID_HANDLE;
  drain(queued);
  return sticky;
}

CUresult cuEventCreate(uint64_t *event, unsigned flags) {
  BEGIN("cuEventCreate");
  NEED_CONTEXT("cuEventCreate");
  Object *object = add(EVENT, 0, flags);
  return *event = object->handle, 0;
}
CUresult cuEventDestroy_v2(uint64_t event) {
  BEGIN("cuEventDestroy_v2");
  NEED_CONTEXT("cuEventDestroy_v2");
  Object *object = find(EVENT, event, "cuEventDestroy_v2");
  if (object == NULL) return INVALID_HANDLE;
  return object->alive = 0, 0;
}
CUresult cuEventRecord(uint64_t event, uint64_t stream) {
  BEGIN("cuEventRecord");
  NEED_CONTEXT("cuEventRecord");
  Object *object = find(EVENT, event, "cuEventRecord");
  if (object == NULL || find(STREAM, stream, "cuEventRecord") == NULL) return INVALID_HANDLE;
  return object->reached_at = queued, object->polls = 0, 0;
}
/// Reached at the third question, so that waiting is really done.
CUresult cuEventQuery(uint64_t event) {
  BEGIN("cuEventQuery");
  NEED_CONTEXT("cuEventQuery");
  Object *object = find(EVENT, event, "cuEventQuery");
  if (object == NULL) return INVALID_HANDLE;
  if (object->reached_at > done && ++object->polls < 3) return NOT_READY;
  drain(object->reached_at);
  return sticky;
}
CUresult cuEventElapsedTime(float *milliseconds, uint64_t begin_event, uint64_t end_event) {
  BEGIN("cuEventElapsedTime");
  NEED_CONTEXT("cuEventElapsedTime");
  Object *first = find(EVENT, begin_event, "cuEventElapsedTime"), *second = find(EVENT, end_event, "cuEventElapsedTime");
  if (first == NULL || second == NULL) return INVALID_HANDLE;
  if (first->size != 0 || second->size != 0) return violate(INVALID_HANDLE, "cuEventElapsedTime: events without timing");
  if (first->reached_at < 0 || second->reached_at < 0) return violate(INVALID_HANDLE, "cuEventElapsedTime: not recorded");
  if (second->reached_at > done) return violate(NOT_READY, "cuEventElapsedTime: not reached");
  return *milliseconds = 0.25f * (second->reached_at - first->reached_at), 0;
}

// ---- what tests ask and order

int double_reset(void) {
  for (int i = 0; i < object_count; i++)
    if (objects[i].kind == ALLOCATION && objects[i].alive) free((void *)objects[i].handle);
  object_count = 0, queued = done = 0, initialised = retained = sticky = 0, current = 0;
  text[0] = violations[0] = fail_name[0] = 0, fail_nth = 0, memory_used = 0, memory_limit = (uint64_t)1 << 30;
  return 0;
}
/// The nth call of the function from now on returns the result.
int double_fail(const char *name, int nth, int result) {
  snprintf(fail_name, sizeof fail_name, "%s", name);
  return fail_nth = nth, fail_result = result, 0;
}
int double_memory(uint64_t bytes) { return memory_limit = bytes, 0; }
/// Objects that are alive, functions left out, and contexts retained.
int double_leaks(void) {
  int count = retained;
  for (int i = 0; i < object_count; i++) count += objects[i].alive && objects[i].kind != FUNCTION;
  return count;
}
int double_text(int which, char *out, int size) {
  snprintf(out, size, "%s", which ? violations : text);
  return 0;
}
/// From now on modules, attributes and launches with their arguments are written to a file; an empty path ends it.
int double_record(const char *path) {
  if (record != NULL) fclose(record);
  record = *path ? fopen(path, "w") : NULL;
  return 0;
}
/// For measurements; gives the launches since the last time.
int double_quick(int on) {
  int counted = launches;
  return launches = 0, quick = on, counted;
}
int double_forget_context(void) { return current = 0, 0; }
