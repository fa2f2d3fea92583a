// Runs the attention of spec.mta on the current CUDA device, from C++, and compares it with plain loops in double.
// Exit codes: 0 they agree, 1 they do not or CUDA failed, 77 there is no device.
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "search.h"

namespace {

constexpr int kBatches = 2;
constexpr int kRows = 100;
constexpr int kHeads = SEARCH_HEADS;
constexpr int kDim = SEARCH_HEAD_DIM;
// The kernel of `conv 6x11`: its last row meets the current query, its sixth column the key itself.
constexpr int kKernelRows = 6;
constexpr int kKernelKeys = 11;
static_assert(SEARCH_PARAMETER_COUNT == kHeads * kKernelRows * kKernelKeys, "attend() below knows another spec");
// What f32 may cost, relative to double.
constexpr double kTolerance = 5e-6;

void check(cudaError_t status, const char *what) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
  std::exit(1);
}

// Device memory, freed with its owner.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    check(cudaMalloc(reinterpret_cast<void **>(&data_), count * sizeof(T)), "cudaMalloc");
  }
  explicit DeviceArray(const std::vector<T> &host) : DeviceArray(host.size()) {
    check(cudaMemcpy(data_, host.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  DeviceArray(const DeviceArray &) = delete;
  DeviceArray &operator=(const DeviceArray &) = delete;
  ~DeviceArray() { cudaFree(data_); }

  T *get() const { return data_; }

  std::vector<T> read() const {
    std::vector<T> host(count_);
    check(cudaMemcpy(host.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return host;
  }

 private:
  T *data_ = nullptr;
  std::size_t count_;
};

std::vector<float> normals(std::mt19937 &random, std::size_t count, float spread) {
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> values(count);
  for (float &value : values) value = normal(random);
  return values;
}

// One head of one batch entry; q, k, v and o are [rows, dim], weight is [6, 11].
void attend(const float *q, const float *k, const float *v, const float *weight, double *o) {
  std::vector<double> scores(kRows * kRows, 0.0);
  for (int row = 0; row < kRows; row++)
    for (int key = 0; key <= row; key++) {
      double sum = 0;
      for (int channel = 0; channel < kDim; channel++)
        sum += double(q[row * kDim + channel]) * k[key * kDim + channel];
      scores[row * kRows + key] = sum / std::sqrt(double(kDim));
    }
  std::vector<double> mixed(kRows);
  for (int row = 0; row < kRows; row++) {
    double most = -INFINITY;
    for (int key = 0; key <= row; key++) {
      double sum = 0;
      for (int a = 0; a < kKernelRows; a++)
        for (int b = 0; b < kKernelKeys; b++) {
          const int from_row = row + a - (kKernelRows - 1);
          const int from_key = key + b - (kKernelKeys - 1) / 2;
          if (from_row < 0 || from_key < 0 || from_key >= kRows) continue;
          sum += double(weight[a * kKernelKeys + b]) * scores[from_row * kRows + from_key];
        }
      mixed[key] = sum;
      most = std::fmax(most, sum);
    }
    double total = 0;
    for (int key = 0; key <= row; key++) total += std::exp(mixed[key] - most);
    for (int channel = 0; channel < kDim; channel++) {
      double sum = 0;
      for (int key = 0; key <= row; key++) sum += std::exp(mixed[key] - most) * v[key * kDim + channel];
      o[row * kDim + channel] = sum / total;
    }
  }
}

}  // namespace

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no CUDA device: compiled, but nothing was run\n");
    return 77;
  }
  std::mt19937 random(1);
  const std::size_t count = std::size_t(kBatches) * kHeads * kRows * kDim;
  const std::vector<float> q = normals(random, count, 1), k = normals(random, count, 1), v = normals(random, count, 1);
  const std::vector<float> parameters = normals(random, SEARCH_PARAMETER_COUNT, 0.2f);
  const DeviceArray<float> device_q(q), device_k(k), device_v(v), device_parameters(parameters), device_o(count);

  search_call call = {};
  call.batches = kBatches;
  call.query_rows = kRows;
  call.key_rows = kRows;
  call.q = device_q.get();
  call.k = device_k.get();
  call.v = device_v.get();
  call.o = device_o.get();
  call.parameters = device_parameters.get();

  const std::size_t bytes = search_workspace_bytes(&call);
  const DeviceArray<char> workspace(bytes > 0 ? bytes : 1);
  const int error = search_launch(&call, workspace.get(), bytes, nullptr);
  if (error != 0) {
    std::fprintf(stderr, "search_launch: %s\n", search_error_string(error));
    return 1;
  }
  check(cudaDeviceSynchronize(), "search");

  const std::vector<float> o = device_o.read();
  double difference = 0, norm = 0;
  std::vector<double> expected(std::size_t(kRows) * kDim);
  for (int matrix = 0; matrix < kBatches * kHeads; matrix++) {
    const std::size_t at = std::size_t(matrix) * kRows * kDim;
    const float *weight = parameters.data() + SEARCH_SCORES_CONV_WEIGHT_AT + matrix % kHeads * kKernelRows * kKernelKeys;
    attend(&q[at], &k[at], &v[at], weight, expected.data());
    for (std::size_t index = 0; index < expected.size(); index++) {
      difference += std::pow(o[at + index] - expected[index], 2);
      norm += std::pow(expected[index], 2);
    }
  }
  const double relative = std::sqrt(difference / norm);
  const bool agrees = relative <= kTolerance;
  std::printf("%d batch entries, %d rows: error %.1e of at most %.0e: %s\n", kBatches, kRows, relative, kTolerance,
              agrees ? "passed" : "FAILED");
  return agrees ? 0 : 1;
}
