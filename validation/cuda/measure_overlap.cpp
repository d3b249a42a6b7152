#include <algorithm>

#include "validation/cuda/experiments.hpp"

namespace specmoe::cuda {

namespace {

struct Probe {
  const char* name;
  Kernel kernel;
};

// Bound by memory: products with few rows, attention in decode, elementwise; by arithmetic: products with many rows.
const Probe kProbes[] = {{"gemm 1 x 14336 x 4096", {Gemm{1, 14336, 4096}}},
                         {"gemm 1 x 2816 x 2048", {Gemm{1, 2816, 2048}}},
                         {"gemm 16 x 28672 x 4096", {Gemm{16, 28672, 4096}}},
                         {"grouped 4 of 1 x 2816 x 2048", {GroupedGemm{4, 4, 2816, 2048}}},
                         {"attention 16 x 4096", {Attention{16, 16, 65536, 65536, 32, 8, 128}}},
                         {"elementwise 1 x 2048", {Elementwise{1, 2048}}},
                         {"elementwise 4096 x 14336", {Elementwise{4096, 14336, 2, 1}}},
                         {"gemm 4096 x 4096 x 4096", {Gemm{4096, 4096, 4096}}},
                         {"gemm 512 x 2816 x 2048", {Gemm{512, 2816, 2048}}}};

}  // namespace

void measure_overlap(Bench& bench) {
  Harness& harness = bench.harness;
  const OwnedStream& compute = harness.stream();
  const OwnedStream copies[2];
  constexpr std::int64_t kBytes = 16 << 20;
  constexpr int kCopies = 100;  // about 30 ms
  DeviceBuffer device(2 * kBytes);
  const OwnedEvent start, end, copy_start[2], copy_end[2];
  Experiment kernels{
      "seconds a kernel beside copies: copies 0 none, 1 in, 2 out, 3 both; kernel as in measure_overlap.cpp",
      {"kernel", "copies"},
      {}};
  Experiment moved{
      "seconds a copy of 16 MiB beside kernels that never stop: direction 0 in, 1 out; kernel -1: none",
      {"kernel", "direction"},
      {}};

  // Kernels for about 2 ms in the midst of copies that last longer, and the other way round.
  const auto copy = [&](int direction, int count) {
    char* host = bench.host.data();
    for (int i = 0; i < count; ++i) {
      char* at = host + static_cast<std::int64_t>(i) * kBytes % (bench.host.size().count - kBytes);
      if (direction == 0)
        check(cudaMemcpyAsync(device.data(), at, kBytes, cudaMemcpyHostToDevice, copies[0]),
              "cudaMemcpyAsync");
      else
        check(cudaMemcpyAsync(at, device.data() + kBytes, kBytes, cudaMemcpyDeviceToHost, copies[1]),
              "cudaMemcpyAsync");
    }
  };
  for (int i = 0; i < static_cast<int>(std::size(kProbes)); ++i) {
    bench.progress("overlap", static_cast<double>(i) / static_cast<double>(std::size(kProbes)));
    const auto launch = [&](int) { bench.runner.launch(compute, kProbes[i].kernel); };
    const int calls = std::max(6, harness.calls_of(launch));
    for (const std::int64_t which : {0, 1, 2, 3}) {
      kernels.points.push_back(harness.repeat({i, which}, [&] {
        for (int attempt = 0; attempt < 3; ++attempt) {
          harness.block(compute);
          start.record(compute);
          for (int j = 0; j < calls; ++j) launch(j);
          end.record(compute);
          for (int direction = 0; direction < 2; ++direction)
            if (which & (1 << direction)) copy(direction, kCopies);
          harness.let_go();
          end.synchronize();
          bool busy = true;
          for (int direction = 0; direction < 2; ++direction) {
            if (which & (1 << direction))
              busy = busy && cudaStreamQuery(copies[direction]) == cudaErrorNotReady;
          }
          for (const OwnedStream& each : copies) each.synchronize();
          if (busy) return seconds_between(start, end) / calls;
        }
        return seconds_between(start, end) / calls;
      }));
    }
    for (const int direction : {0, 1}) {
      moved.points.push_back(harness.repeat({i, direction}, [&] {
        const int few = 10;  // about 3 ms, beside kernels that last longer
        const int many =
            std::clamp(static_cast<int>(6e-3 / kernels.points[kernels.points.size() - 4].median()), 2, 700);
        harness.block(compute);
        for (int j = 0; j < many; ++j) launch(j);
        end.record(compute);
        harness.let_go();
        copy_start[direction].record(copies[direction]);
        copy(direction, few);
        copy_end[direction].record(copies[direction]);
        copy_end[direction].synchronize();
        end.synchronize();
        return seconds_between(copy_start[direction], copy_end[direction]) / few;
      }));
    }
  }
  for (const int direction : {0, 1})
    moved.points.push_back(harness.repeat({-1, direction}, [&] {
      copy_start[direction].record(copies[direction]);
      copy(direction, 10);
      copy_end[direction].record(copies[direction]);
      copy_end[direction].synchronize();
      return seconds_between(copy_start[direction], copy_end[direction]) / 10;
    }));
  // Weights that a copy has just brought may still be in the L2 cache.
  Experiment fresh{
      "seconds a product of 1 x 2816 x 2048 between two events, after a copy in of as many bytes: fresh 1 "
      "reads what "
      "the copy brought, 0 other weights",
      {"fresh"},
      {}};
  constexpr std::int64_t kWeights = 2 * 2816 * 2048;
  for (const std::int64_t which : {0, 1})
    fresh.points.push_back(harness.repeat({which}, [&] {
      char* target = bench.runner.next({kWeights});
      check(cudaMemcpyAsync(target, bench.host.data(), kWeights, cudaMemcpyHostToDevice, compute),
            "cudaMemcpyAsync");
      start.record(compute);
      bench.runner.launch(compute, kProbes[1].kernel, which ? target : bench.runner.next({kWeights}));
      end.record(compute);
      end.synchronize();
      return seconds_between(start, end);
    }));
  bench.out.experiments["overlap/fresh"] = std::move(fresh);
  bench.out.experiments["overlap/kernel"] = std::move(kernels);
  bench.out.experiments["overlap/copy"] = std::move(moved);
}

}  // namespace specmoe::cuda
