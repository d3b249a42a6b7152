// Every kernel against a plain computation in double on the host, from the same rounded inputs.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.hpp"

namespace specmoe::cuda {
namespace {

// A result rounded to bf16 is off by up to 2^-9, about 0.0017 in the mean; weights inside attention round too.
constexpr double kTolerance = 1e-2;

void require(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

// Device memory with a poisoned margin behind it that no kernel may touch.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : bytes_(bytes) {
    require(cudaMalloc(&data_, bytes + kMargin), "cudaMalloc");
    poison();
  }
  ~Buffer() { cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  void poison() { require(cudaMemset(data_, 0xff, bytes_ + kMargin), "cudaMemset"); }  // all formats: NaN
  template <class V>
  std::vector<V> read() const {
    std::vector<unsigned char> raw(bytes_ + kMargin);
    require(cudaMemcpy(raw.data(), data_, raw.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
    if (std::any_of(raw.begin() + bytes_, raw.end(), [](unsigned char byte) { return byte != 0xff; }))
      throw std::runtime_error("wrote behind its output");
    std::vector<V> values(bytes_ / sizeof(V));
    std::memcpy(values.data(), raw.data(), values.size() * sizeof(V));
    return values;
  }

 private:
  static constexpr std::size_t kMargin = 1024;
  void* data_ = nullptr;
  std::size_t bytes_;
};

// Elements on the device, and their exact values on the host.
struct Tensor {
  Element element;
  std::size_t count;
  Buffer buffer;
  Tensor(Element e, std::size_t n) : element(e), count(n), buffer(n * 2) {}
  void* data() const { return buffer.data(); }
  std::vector<float> values() const {
    std::vector<float> result;
    result.reserve(count);
    if (element == Element::bf16)
      for (auto x : buffer.read<__nv_bfloat16>()) result.push_back(__bfloat162float(x));
    else
      for (auto x : buffer.read<__half>()) result.push_back(__half2float(x));
    return result;
  }
};

// ||out - expected|| / ||expected||; not finite if any number is not.
template <class A, class B>
double relative_error(const std::vector<A>& out, const std::vector<B>& expected) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double d = static_cast<double>(out[i]) - static_cast<double>(expected[i]);
    difference += d * d;
    norm += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  return norm > 0 ? std::sqrt(difference / norm) : difference;
}

class Checker {
 public:
  explicit Checker(std::FILE* log) : log_(log), element_(native_element()) {}
  int failures = 0;

  /// Runs `error`, which returns a relative error or throws.
  template <class F>
  void check(const std::string& name, F error) {
    try {
      const double value = error();
      const bool good = value <= kTolerance;  // NaN is not
      failures += !good;
      std::fprintf(log_, "%-4s %-62s error %.2e\n", good ? "ok" : "FAIL", name.c_str(), value);
    } catch (const std::exception& e) {
      ++failures;
      std::fprintf(log_, "FAIL %-62s %s\n", name.c_str(), e.what());
    }
  }

  void random(const Tensor& tensor, float scale) {
    require(fill_random(element_, tensor.data(), static_cast<std::int64_t>(tensor.count), scale, ++seed_, 0),
            "fill_random");
  }

  void gemm(const std::vector<int>& rows, int n, int k) {
    const int total = std::accumulate(rows.begin(), rows.end(), 0), groups = static_cast<int>(rows.size());
    std::string name = "grouped_gemm n " + std::to_string(n) + " k " + std::to_string(k) + " rows " +
                       std::to_string(total) + " in " + std::to_string(groups) + " groups";
    check(name, [&] {
      Tensor in(element_, std::size_t(total) * k), weights(element_, std::size_t(groups) * n * k),
          out(element_, std::size_t(total) * n);
      random(in, 1), random(weights, 1 / std::sqrt(float(k)));
      GroupedGemmArgs args{in.data(), out.data(), n, k, groups, {}, {}};
      for (int g = 0; g < groups; ++g) {
        args.weights[g] = static_cast<const char*>(weights.data()) + std::size_t(g) * n * k * 2;
        args.offsets[g + 1] = args.offsets[g] + rows[g];
      }
      require(grouped_gemm(element_, args, 0), "grouped_gemm");
      const auto x = in.values(), w = weights.values();
      std::vector<double> expected;
      for (int g = 0; g < groups; ++g)
        for (int r = args.offsets[g]; r < args.offsets[g + 1]; ++r)
          for (int c = 0; c < n; ++c) {
            const float *a = &x[std::size_t(r) * k], *b = &w[(std::size_t(g) * n + c) * k];
            expected.push_back(std::inner_product(a, a + k, b, 0.0));
          }
      return relative_error(out.values(), expected);
    });
  }

  // Twice with the same workspace: the first run must leave its counters at zero.
  void attend(int sequences, int queries, int positions, int heads, int kv_heads, int dim, bool causal,
              void* workspace) {
    std::string name = "attention " + std::to_string(sequences) + " x " + std::to_string(queries) + "/" +
                       std::to_string(positions) + " heads " + std::to_string(heads) + "/" +
                       std::to_string(kv_heads) + " x " + std::to_string(dim) + (causal ? " causal" : "");
    check(name, [&] {
      const std::size_t asked = std::size_t(sequences) * queries * heads * dim,
                        cached = std::size_t(sequences) * positions * kv_heads * dim;
      Tensor q(element_, asked), k(element_, cached), v(element_, cached), out(element_, asked);
      random(q, 2), random(k, 1), random(v, 1);
      AttentionArgs args{q.data(), k.data(),  v.data(), out.data(), workspace, sequences,
                         queries,  positions, heads,    kv_heads,   dim,       causal};
      require(attention(element_, args, 0), "attention");
      require(cudaDeviceSynchronize(), "attention");
      out.buffer.poison();
      require(attention(element_, args, 0), "attention");
      const auto qs = q.values(), ks = k.values(), vs = v.values();
      std::vector<double> expected(asked), weight(positions);
      for (std::size_t row = 0; row < asked / dim; ++row) {
        const std::size_t head = row % heads, query = row / heads % queries, sequence = row / heads / queries;
        const std::size_t cache = sequence * positions * kv_heads + head / (heads / kv_heads);
        const std::size_t visible = causal ? positions - queries + query + 1 : positions;
        double peak = -INFINITY, sum = 0;
        for (std::size_t p = 0; p < visible; ++p) {
          const float* key = &ks[(cache + p * kv_heads) * dim];
          weight[p] = std::inner_product(key, key + dim, &qs[row * dim], 0.0) / std::sqrt(double(dim));
          peak = std::max(peak, weight[p]);
        }
        for (std::size_t p = 0; p < visible; ++p) sum += weight[p] = std::exp(weight[p] - peak);
        for (std::size_t p = 0; p < visible; ++p)
          for (int d = 0; d < dim; ++d)
            expected[row * dim + d] += weight[p] / sum * vs[(cache + p * kv_heads) * dim + d];
      }
      return relative_error(out.values(), expected);
    });
  }

  void combine(std::int64_t rows, std::int64_t width, int reads, int writes) {
    check("elementwise " + std::to_string(rows) + " x " + std::to_string(width) + " reads " +
              std::to_string(reads) + " writes " + std::to_string(writes),
          [&] {
            const std::size_t count = rows * width, stride = (count + 7) / 8 * 8;
            Tensor in(element_, stride * reads), first(element_, count), second(element_, count);
            random(in, 2);
            ElementwiseArgs args{{}, {first.data(), second.data()}, reads, writes, std::int64_t(count)};
            for (int r = 0; r < reads; ++r) args.in[r] = static_cast<const char*>(in.data()) + r * stride * 2;
            require(elementwise(element_, args, 0), "elementwise");
            const auto x = in.values();
            std::vector<double> mean(count), active(count);
            for (std::size_t i = 0; i < count; ++i) {
              for (int r = 0; r < reads; ++r) mean[i] += x[r * stride + i] / double(reads);
              active[i] = mean[i] / (1 + std::exp(-mean[i]));
            }
            const double error = relative_error(first.values(), active);
            return writes == 1 ? error : std::max(error, relative_error(second.values(), mean));
          });
  }

  void rank(std::int64_t rows, int width, int k) {
    check("top_k " + std::to_string(k) + " of " + std::to_string(rows) + " x " + std::to_string(width), [&] {
      Tensor logits(element_, std::size_t(rows) * width);
      Buffer indices(rows * k * 4), weights(rows * k * 4);
      random(logits, 3);
      require(top_k(element_, logits.data(), rows, width, k, static_cast<std::int32_t*>(indices.data()),
                    static_cast<float*>(weights.data()), 0),
              "top_k");
      const auto x = logits.values();
      std::vector<std::int32_t> order(width), expected;
      std::vector<double> shares;
      for (std::int64_t r = 0; r < rows; ++r) {
        const float* row = &x[r * width];
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return row[a] > row[b]; });
        double sum = 0;
        for (int i = 0; i < width; ++i) sum += std::exp(double(row[i]) - row[order[0]]);
        for (int i = 0; i < k; ++i) {
          expected.push_back(order[i]);
          shares.push_back(std::exp(double(row[order[i]]) - row[order[0]]) / sum);
        }
      }
      if (indices.read<std::int32_t>() != expected) throw std::runtime_error("other indices");
      return relative_error(weights.read<float>(), shares);
    });
  }

  void helpers() {
    check("fill_random: mean 0, standard deviation 1", [&] {
      Tensor tensor(element_, 1 << 16);
      random(tensor, 1);
      double sum = 0, squares = 0;
      for (double x : tensor.values()) sum += x, squares += x * x;
      // Both within three standard errors of 65536 samples: 0.012 and 0.008.
      return std::max(std::abs(sum) / 65536 * 0.8, std::abs(std::sqrt(squares / 65536) - 1));
    });
    check("read_sum", [&] {
      Tensor tensor(element_, 100008);
      random(tensor, 1);
      Buffer sum(4);
      require(cudaMemset(sum.data(), 0, 4), "cudaMemset");
      require(read_sum(tensor.data(), 200016, static_cast<std::uint32_t*>(sum.data()), 0), "read_sum");
      std::uint32_t expected = 0;
      for (std::uint32_t word : tensor.buffer.read<std::uint32_t>()) expected += word;
      return sum.read<std::uint32_t>()[0] == expected ? 0.0 : 1.0;
    });
    check("spin: holds the stream until the flag is set", [&] {
      int *flag = nullptr, *mapped = nullptr;
      require(cudaHostAlloc(reinterpret_cast<void**>(&flag), sizeof(int), cudaHostAllocMapped),
              "cudaHostAlloc");
      require(cudaHostGetDevicePointer(reinterpret_cast<void**>(&mapped), flag, 0),
              "cudaHostGetDevicePointer");
      *static_cast<volatile int*>(flag) = 0;
      require(spin(mapped, 0), "spin");
      const auto begin = std::chrono::steady_clock::now();
      bool held = true;
      while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(20))
        held = held && cudaStreamQuery(0) == cudaErrorNotReady;
      *static_cast<volatile int*>(flag) = 1;
      require(cudaStreamSynchronize(0), "spin");
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      cudaFreeHost(flag);
      return held && seconds.count() < 0.5 ? 0.0 : 1.0;
    });
  }

 private:
  std::FILE* log_;
  Element element_;
  std::uint64_t seed_ = 0;
};

void check_all(Checker& checker) {
  checker.helpers();
  for (int rows : {1, 3, 17, 130}) {
    checker.gemm({rows}, 256, 512);
    checker.gemm({rows, 0, 1, rows}, 192, 320);
  }
  checker.gemm({16}, 100, 72);  // tails of n and k, rows not 16-byte aligned
  checker.gemm({40}, 100, 72);
  checker.gemm({5}, 9000, 64);      // 32-column tiles
  checker.gemm({70, 2}, 4544, 64);  // 64 x 64
  checker.gemm({2200}, 1032, 40);   // 128 x 128, two bands
  checker.gemm({300, 0, 129}, 4200, 72);
  std::vector<int> sixty(60);
  for (int g = 0; g < 60; ++g) sixty[g] = g % 7 == 0 ? 0 : g % 5;
  checker.gemm(sixty, 128, 128);
  checker.gemm(std::vector<int>(kMaxGroups, 2), 64, 64);
  checker.gemm({0, 0, 0}, 64, 64);

  Buffer workspace(attention_workspace_bytes());
  require(cudaMemset(workspace.data(), 0, attention_workspace_bytes()), "cudaMemset");
  for (int dim : {64, 128})
    for (int positions : {1, 63, 1000}) {
      checker.attend(2, 1, positions, 32, 8, dim, true, workspace.data());
      checker.attend(3, 1, positions, 16, 16, dim, false, workspace.data());
    }
  checker.attend(1, 1, 9000, 8, 1, 128, true, workspace.data());   // many ranges
  checker.attend(1, 1, 300, 40, 2, 64, true, workspace.data());    // 20 heads a kv head: two tiles
  checker.attend(40, 1, 70, 16, 16, 128, true, workspace.data());  // one range
  for (int dim : {64, 128})
    for (bool causal : {true, false}) {
      checker.attend(1, 2, 2, 4, 4, dim, causal, nullptr);
      checker.attend(2, 17, 100, 8, 2, dim, causal, nullptr);
      checker.attend(1, 130, 130, 8, 2, dim, causal, nullptr);
      checker.attend(1, 64, 1000, 4, 4, dim, causal, nullptr);
    }

  for (int reads : {1, 2, 3, 6, 10, 16})
    for (int writes : {1, 2}) checker.combine(17, 129, reads, writes);
  checker.combine(1, 8, 1, 1);
  checker.combine(1, 3, 2, 1);
  checker.combine(130, 2048, 2, 2);

  for (int k : {1, 2, 4, 6, 8})
    for (int width : {8, 60, 128, 32000}) checker.rank(width > 1000 ? 3 : 17, width, k);
  checker.rank(130, 1024, 16);
  checker.rank(2, 1025, 16);
  checker.rank(1, 151936, 1);
}

}  // namespace

int check_kernels(std::FILE* log) {
  Checker checker(log);
  try {
    check_all(checker);
  } catch (const std::exception& e) {
    std::fprintf(log, "FAIL %s\n", e.what());
    ++checker.failures;
  }
  std::fprintf(log, "%d failures\n", checker.failures);
  return checker.failures;
}

}  // namespace specmoe::cuda
