// What the board draws: read from the driver while one kind of work keeps the GPU busy.
#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "validation/calibration/fit_power.hpp"
#include "validation/cuda/experiments.hpp"

namespace specmoe::cuda {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kPause = 3;  // s, before each kind of work, so that the one before has cooled down
constexpr double kLead =
    1.5;  // of work before the first reading: the driver's power is the mean of the last second
constexpr double kReading = 3;     // of readings
constexpr double kBetween = 0.05;  // readings of power
constexpr double kWindow = 1;      // of the energy counter, which moves some ten times a second

void sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// Work of one kind, in batches of about 10 ms.
struct Work {
  PowerOf what;
  /// Queues a batch; does nothing where the GPU idles.
  std::function<void()> queue;
  /// Of a batch: operations of compute_bound, bytes of the others.
  double amount;
};

class Reader {
 public:
  Reader(const Nvml& nvml, cudaStream_t stream) : nvml_(nvml), stream_(stream) {}

  void read(const Work& work) {
    const std::vector<std::int64_t> parameters{static_cast<std::int64_t>(work.what)};
    MeasuredPoint power{parameters, {}, 0}, counter{parameters, {}, 0}, rate{parameters, {}, 0};
    const auto begin = Clock::now();
    double next = kLead;
    std::optional<Mark> first, last;
    // Two batches are under way, so that the GPU does not wait for the host.
    for (std::int64_t batch = 0;; ++batch) {
      if (work.queue) {
        const OwnedEvent& end = ends_[batch % 2];
        if (batch >= 2) end.synchronize();
        work.queue();
        end.record(stream_);
      } else {
        sleep(kBetween / 4);
      }
      const double now = std::chrono::duration<double>(Clock::now() - begin).count();
      if (now < next) continue;
      next += kBetween;
      unsigned milliwatts = 0;
      if (nvml_.power(nvml_.device, &milliwatts) == 0) power.samples.push_back(1e-3 * milliwatts);
      unsigned long long millijoules = 0;
      const bool counts = nvml_.energy(nvml_.device, &millijoules) == 0;
      const Mark mark{now, std::max<std::int64_t>(0, batch - 1), 1e-3 * static_cast<double>(millijoules)};
      if (!first) first = last = mark;
      if (counts && mark.date - last->date >= kWindow) {
        counter.samples.push_back((mark.joules - last->joules) / (mark.date - last->date));
        last = mark;
      }
      if (mark.date - first->date < kReading) continue;
      if (work.amount > 0)
        rate.samples.push_back(static_cast<double>(mark.batches - first->batches) * work.amount /
                               (mark.date - first->date));
      break;
    }
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    for (const auto& [point, experiment] :
         {std::pair{&power, &power_}, {&counter, &counter_}, {&rate, &rate_}})
      if (!point->samples.empty()) experiment->points.push_back(std::move(*point));
  }

  void write(Measurement& out) const {
    for (const auto& [name, experiment] :
         {std::pair{"power/usage", &power_}, {"power/counter", &counter_}, {"power/rate", &rate_}})
      if (!experiment->points.empty()) out.experiments[name] = *experiment;
  }

 private:
  struct Mark {
    double date;
    std::int64_t batches;  // that had ended
    double joules;
  };

  const Nvml& nvml_;
  cudaStream_t stream_;
  OwnedEvent ends_[2];
  Experiment power_{
      "W of the board, 20 readings a second; what: 0 idle with a context, 1 products of one row, 2 products "
      "of "
      "4096 rows, 3 pinned copies in, 4 out",
      {"what"},
      {}};
  Experiment counter_{
      "W of the board: its energy counter over a second; what as in power/usage", {"what"}, {}};
  Experiment rate_{
      "what the GPU did a second meanwhile: operations of 2, bytes of the others; what as in power/usage",
      {"what"},
      {}};
};

}  // namespace

void measure_power(Bench& bench) {
  const Nvml* nvml = Nvml::find();
  if (!nvml) return bench.progress("power: the driver does not tell", 1);
  const cudaStream_t stream = bench.harness.stream();
  if (!bench.host.pinned()) bench.host.pin();
  constexpr std::int64_t kBytes = 64 << 20;
  constexpr int kCopies = 8;
  DeviceBuffer device(kBytes);

  const auto kernels = [&](PowerOf what, const Kernel& kernel, auto amount_of) -> Work {
    const auto launch = [&bench, stream, kernel](int) { bench.runner.launch(stream, kernel); };
    const int calls = 20 * bench.harness.calls_of(launch);  // of half a millisecond each
    return {what,
            [launch, calls] {
              for (int i = 0; i < calls; ++i) launch(i);
            },
            calls * amount_of(kernel)};
  };
  const auto copies = [&](PowerOf what, cudaMemcpyKind kind) -> Work {
    return {
        what,
        [&, kind] {
          for (int i = 0; i < kCopies; ++i) {
            char* host = bench.host.data() + i * kBytes;
            const bool in = kind == cudaMemcpyHostToDevice;
            check(cudaMemcpyAsync(in ? device.data() : host, in ? host : device.data(), kBytes, kind, stream),
                  "cudaMemcpyAsync");
          }
        },
        static_cast<double>(kCopies) * kBytes};
  };
  const Work works[] = {{PowerOf::idle, {}, 0},
                        kernels(PowerOf::memory_bound, {Gemm{1, 28672, 8192}},
                                [](const Kernel& k) { return static_cast<double>(memory_traffic(k).count); }),
                        kernels(PowerOf::compute_bound, {Gemm{4096, 14336, 4096}},
                                [](const Kernel& k) { return flops(k).value; }),
                        copies(PowerOf::copies_in, cudaMemcpyHostToDevice),
                        copies(PowerOf::copies_out, cudaMemcpyDeviceToHost)};
  Reader reader(*nvml, stream);
  for (std::size_t i = 0; i < std::size(works); ++i) {
    bench.progress("power", static_cast<double>(i) / static_cast<double>(std::size(works)));
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    sleep(kPause);
    reader.read(works[i]);
  }
  reader.write(bench.out);
}

}  // namespace specmoe::cuda
