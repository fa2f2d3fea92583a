// A stand-in for libnvrtc: "compiles" a source by copying it behind the options that it was given. A source that says
// #error does not compile.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Program {
  uint32_t magic;
  char *source, *name, *result, *log;
} Program;

enum { MAGIC = 0x4e565254, INVALID_INPUT = 3, INVALID_PROGRAM = 4, COMPILATION = 6 };
static int programs;

static Program *check(uint64_t handle) {
  Program *program = (Program *)handle;
  return program != NULL && program->magic == MAGIC ? program : NULL;
}

int nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 1, 0; }
int nvrtcGetNumSupportedArchs(int *count) { return *count = 3, 0; }
int nvrtcGetSupportedArchs(int *list) { return list[0] = 75, list[1] = 80, list[2] = 90, 0; }

int nvrtcCreateProgram(uint64_t *handle, const char *source, const char *name, int headers, void *a, void *b) {
  if (source == NULL || headers != 0 || a != NULL || b != NULL) return INVALID_INPUT;
  Program *program = calloc(1, sizeof *program);
  program->magic = MAGIC, program->source = strdup(source), program->name = strdup(name);
  programs++;
  return *handle = (uint64_t)program, 0;
}
int nvrtcDestroyProgram(uint64_t *handle) {
  Program *program = check(*handle);
  if (program == NULL) return INVALID_PROGRAM;
  program->magic = 0;
  free(program->source), free(program->name), free(program->result), free(program->log), free(program);
  programs--;
  return *handle = 0, 0;
}
int nvrtcCompileProgram(uint64_t handle, int count, const char **options) {
  Program *program = check(handle);
  if (program == NULL) return INVALID_PROGRAM;
  size_t size = strlen(program->source) + 256;
  for (int i = 0; i < count; i++) size += strlen(options[i]) + 4;
  program->result = calloc(1, size);
  for (int i = 0; i < count; i++) strcat(strcat(strcat(program->result, "// "), options[i]), "\n");
  strcat(program->result, program->source);
  char *error = strstr(program->source, "#error");
  if (error == NULL) return 0;
  program->log = calloc(1, 256);
  snprintf(program->log, 256, "%s(1): error: %.*s", program->name, (int)strcspn(error, "\n"), error);
  return COMPILATION;
}
#define TEXT(Name, field) \
  int nvrtcGet##Name##Size(uint64_t handle, uint64_t *size) { \
    Program *program = check(handle); \
    if (program == NULL) return INVALID_PROGRAM; \
    return *size = program->field ? strlen(program->field) + 1 : 1, 0; \
  } \
  int nvrtcGet##Name(uint64_t handle, char *out) { \
    Program *program = check(handle); \
    if (program == NULL) return INVALID_PROGRAM; \
    return strcpy(out, program->field ? program->field : ""), 0; \
  }
TEXT(ProgramLog, log)
TEXT(PTX, result)
TEXT(CUBIN, result)

int double_programs(void) { return programs; }
