#include <fmt/format.h>

#include "validation/calibration/shapes.hpp"
#include "validation/cuda/experiments.hpp"

namespace specmoe::cuda {

namespace {

// A kernel of each shape: on the GPU, and the host's time to launch it.
void measure(Bench& bench, std::size_t kernel_class, const std::vector<Kernel>& kernels,
             const std::string& suffix, const std::string& purpose) {
  const std::string name = kKernelClasses[kernel_class] + suffix;
  Experiment device{"seconds a kernel in a train of its like, weights from memory; " + purpose,
                    parameter_names(kernel_class),
                    {}};
  Experiment host{"seconds of the host to launch it", parameter_names(kernel_class), {}};
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    const Kernel& kernel = kernels[i];
    if (const auto* gemm = std::get_if<Gemm>(&kernel.work); gemm && !bench.runner.supports(gemm->weights))
      continue;
    if (memory_traffic(kernel) > bench.runner.arena()) continue;  // on a small GPU
    const auto call = [&](int) { bench.runner.launch(bench.harness.stream(), kernel); };
    const int calls = bench.harness.calls_of(call);
    const auto points = bench.harness.repeat_all(parameters_of(kernel), [&] {
      const CallTime time = bench.harness.train(calls, call);
      return std::vector<double>{time.device, time.host};
    });
    device.points.push_back(points[0]);
    host.points.push_back(points[1]);
    bench.progress("kernels/" + name, static_cast<double>(i + 1) / static_cast<double>(kernels.size()));
  }
  bench.out.experiments["kernels/" + name] = std::move(device);
  bench.out.experiments["launch/" + name] = std::move(host);
}

void measure_passes(Bench& bench) {
  Experiment result{
      "seconds a forward pass of a predictor: index of shapes.hpp's predictor_passes()", {"pass"}, {}};
  const std::vector<PredictorPass> passes = predictor_passes();
  for (std::size_t i = 0; i < passes.size(); ++i) {
    const auto call = [&](int) {
      for (const Kernel& kernel : passes[i].kernels) bench.runner.launch(bench.harness.stream(), kernel);
    };
    call(0);
    bench.harness.stream().synchronize();
    result.points.push_back(bench.harness.repeat({static_cast<std::int64_t>(i)},
                                                 [&] { return bench.harness.train(6, call).device; }));
  }
  bench.out.experiments["kernels/predictor_score"] = std::move(result);
}

}  // namespace

void measure_kernels(Bench& bench) {
  for (std::size_t i = 0; i < std::size(kKernelClasses); ++i) {
    if (bench.out.has(std::string("kernels/") + kKernelClasses[i] + "_score")) continue;
    measure(bench, i, shapes_to_fit(i), "", "to fit");
    measure(bench, i, shapes_to_score(i), "_score", "to score the fit");
    bench.save();
  }
  measure_passes(bench);
}

}  // namespace specmoe::cuda
