/**
 * Stands in for the CUDA runtime library: launches are printed instead of run, one JSON line each. So a program that was linked
 * with it shows what it would launch, without a device.
 */
export const RECORDER = `
#include <cuda_runtime_api.h>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

namespace {
// Kernels are registered before main: a local static is there in time.
std::map<const void*, std::string>& names() {
  static std::map<const void*, std::string> all;
  return all;
}
dim3 grid, block;
size_t shared_bytes;
}  // namespace

extern "C" {
void** __cudaRegisterFatBinary(void*) { return nullptr; }
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 0; }
void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*, int*) { names()[host] = name; }
unsigned __cudaPushCallConfiguration(dim3 g, dim3 b, size_t s, struct CUstream_st*) {
  grid = g;
  block = b;
  shared_bytes = s;
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* g, dim3* b, size_t* s, void*) {
  *g = grid;
  *b = block;
  *s = shared_bytes;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(host));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 g, dim3 b, void** arguments, size_t s, cudaStream_t) {
  std::printf("{\\"kernel\\":\\"%s\\",\\"grid\\":[%u,%u,%u],\\"threads\\":%u,\\"shared\\":%zu,\\"words\\":[",
    names()[kernel].c_str(), g.x, g.y, g.z, b.x, s);
  for (int i = 0; i < LAUNCH_WORDS; i++) {
    unsigned word;
    std::memcpy(&word, static_cast<char*>(arguments[0]) + 4 * i, 4);
    std::printf("%s%u", i == 0 ? "" : ",", word);
  }
  unsigned long long first;
  std::memcpy(&first, arguments[1], 8);
  std::printf("],\\"first\\":%llu}\\n", first);
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) { *device = 0; return cudaSuccess; }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? 8 : attribute == cudaDevAttrComputeCapabilityMinor ? 0 : 163 * 1024;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "error"; }
}
`;

/** Launches an attention called `probe` with the sizes on the command line: batches, rows, keys, history, positions. With DROPS, it drops weights. */
export const RECORDED_PROGRAM = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "probe.h"

int main(int count, char **sizes) {
  (void)count;
  probe_call call;
  memset(&call, 0, sizeof call);
  call.batches = atoi(sizes[1]);
  call.query_rows = atoi(sizes[2]);
  call.key_rows = atoi(sizes[3]);
  call.history_rows = atoi(sizes[4]);
  /* Nothing reads them. */
  call.q = (void *)0x1000;
  call.k = (void *)0x2000;
  call.v = (void *)0x3000;
  call.o = (void *)0x4000;
  if (call.history_rows > 0) call.q_history = (void *)0x5000;
  call.parameters = (void *)0x6000;
  if (atoi(sizes[5])) call.positions = (void *)0x7000;
#ifdef DROPS
  call.dropout_seed = (void *)0x8000;
#endif
  size_t needed = probe_workspace_bytes(&call);
  int error = probe_launch(&call, (void *)0x100000, needed, NULL);
  fprintf(stderr, "%zu\\n", needed);
  return error;
}
`;
