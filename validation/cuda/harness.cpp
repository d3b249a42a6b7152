#include "validation/cuda/harness.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "validation/cuda/kernels.hpp"

namespace specmoe::cuda {

namespace {
using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }
}  // namespace

double host_seconds(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return since(start);
}

bool Clocks::throttled() const {
  // power cap, hardware slow-down, heat of software's and of hardware's limit, power brake
  constexpr unsigned long long kThrottled = 0x4 | 0x8 | 0x20 | 0x40 | 0x80;
  unsigned long long reasons = 0;
  return nvml_ && nvml_->reasons(nvml_->device, &reasons) == 0 && (reasons & kThrottled) != 0;
}

std::string Clocks::text() const {
  unsigned sm = 0, memory = 0;
  if (!nvml_ || nvml_->clock(nvml_->device, 1, &sm) != 0 || nvml_->clock(nvml_->device, 2, &memory) != 0)
    return "unknown";
  return fmt::format("SM {} MHz, memory {} MHz", sm, memory);
}

std::string Clocks::driver() const {
  char text[96] = "unknown";
  if (nvml_) nvml_->driver(text, sizeof text);
  return text;
}

Harness::Harness() : flag_(64) {
  std::vector<double> pairs;
  for (int i = 0; i < 21; ++i) pairs.push_back(train(1, [](int) {}).device);
  empty_ = median_of(pairs);
}

void Harness::block(const OwnedStream& on) {
  auto* flag = reinterpret_cast<volatile int*>(flag_.data());
  *flag = 0;
  check(spin(const_cast<const int*>(flag), on), "spin");
}

void Harness::let_go() { *reinterpret_cast<volatile int*>(flag_.data()) = 1; }

CallTime Harness::train(int calls, const std::function<void(int)>& call) {
  block(stream_);
  start_.record(stream_);
  const double host = host_seconds([&] {
    for (int i = 0; i < calls; ++i) call(i);
  });
  end_.record(stream_);
  let_go();
  end_.synchronize();
  return {(seconds_between(start_, end_) - empty_) / calls, host / calls};
}

int Harness::calls_of(const std::function<void(int)>& call) {
  // Loads modules and chooses kernels; behind a blocking kernel that would wait for its time-out.
  call(0);
  stream_.synchronize();
  const double each = train(3, call).device;
  return static_cast<int>(std::clamp(5e-4 / each, 3.0, 50.0));
}

std::vector<MeasuredPoint> Harness::repeat_all(std::vector<std::int64_t> parameters,
                                               const std::function<std::vector<double>()>& sample) {
  constexpr std::size_t kLeast = 5, kMost = 25;
  constexpr double kSteady = 0.01, kSeconds = 0.03;
  constexpr std::int64_t kAttempts = 3;
  for (std::int64_t discarded = 0;;) {
    std::vector<MeasuredPoint> points;
    const auto start = Clock::now();
    for (std::size_t taken = 0; taken < kMost; ++taken) {
      if (taken >= kLeast && (points[0].spread() < kSteady || since(start) > kSeconds)) break;
      const std::vector<double> values = sample();
      if (points.empty()) points.assign(values.size(), {parameters, {}, discarded});
      for (std::size_t i = 0; i < values.size(); ++i) points[i].samples.push_back(values[i]);
    }
    // Asked once a point: the question takes longer than a sample.
    if (discarded >= kAttempts * static_cast<std::int64_t>(kLeast) || !clocks_.throttled()) return points;
    discarded += static_cast<std::int64_t>(points[0].samples.size());
  }
}

MeasuredPoint Harness::repeat(std::vector<std::int64_t> parameters, const std::function<double()>& sample) {
  return repeat_all(std::move(parameters), [&] { return std::vector<double>{sample()}; }).front();
}

}  // namespace specmoe::cuda
