#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "models/moe/model.hpp"
#include "validation/calibration/shapes.hpp"
#include "validation/cuda/experiments.hpp"

namespace specmoe::cuda {

namespace {

constexpr std::int64_t kLargest = 1 << 30;

// 4 B to 1 GiB in steps of 4, or of 2 from 64 KiB on; `odd` ones lie between and are for scoring.
std::vector<std::int64_t> sizes(bool odd) {
  std::vector<std::int64_t> all;
  for (std::int64_t size = 4; size <= kLargest; size *= size < (1 << 16) ? 4 : 2)
    if (!odd)
      all.push_back(size);
    else if (size < kLargest)
      all.push_back((size * (size < (1 << 16) ? 2 : 3) / (size < (1 << 16) ? 1 : 2) + 3) / 4 * 4);
  return all;
}

enum Direction { in = 0, out = 1, within = 2 };

// Copies walk through the host's and the GPU's memory, so that no cache holds them.
class Copies {
 public:
  explicit Copies(Bench& bench) : bench_(bench), device_(2 * std::size_t{kLargest}) {
    check(fill_random(bench.runner.element(), device_.data(), kLargest, 1.0F, 3, nullptr), "fill_random");
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  }

  void copy(Direction direction, std::int64_t bytes, cudaStream_t stream) {
    const auto size = static_cast<std::size_t>(bytes);
    char* host = bench_.host.data() + walk(host_at_, bytes, bench_.host.size().count);
    char* device = device_.data() + walk(device_at_, bytes, 2 * kLargest);
    if (direction == within) {
      char* other = device_.data() + walk(device_at_, bytes, 2 * kLargest);
      check(cudaMemcpyAsync(other, device, size, cudaMemcpyDeviceToDevice, stream), "cudaMemcpyAsync");
    } else if (direction == in) {
      check(cudaMemcpyAsync(device, host, size, cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
    } else {
      check(cudaMemcpyAsync(host, device, size, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
    }
  }

  /// Copies so many bytes in, out and in again: what is read back must be what was sent.
  bool verified(std::int64_t bytes) {
    const auto size = static_cast<std::size_t>(bytes);
    std::vector<char> back(size);
    const cudaStream_t stream = bench_.harness.stream();
    check(cudaMemcpyAsync(device_.data(), bench_.host.data(), size, cudaMemcpyHostToDevice, stream),
          "cudaMemcpyAsync");
    check(cudaMemcpyAsync(back.data(), device_.data(), size, cudaMemcpyDeviceToHost, stream),
          "cudaMemcpyAsync");
    bench_.harness.stream().synchronize();
    return std::equal(back.begin(), back.end(), bench_.host.data());
  }

 private:
  static std::int64_t walk(std::int64_t& at, std::int64_t bytes, std::int64_t room) {
    constexpr std::int64_t kAlign = 4096;
    if (at + bytes > room) at = 0;
    const std::int64_t here = at;
    at += (bytes + kAlign - 1) / kAlign * kAlign;
    return here;
  }

  Bench& bench_;
  DeviceBuffer device_;
  std::int64_t host_at_ = 0, device_at_ = 0;
};

// Sizes of every shipped model's expert, and the matrices that it is made of.
std::set<std::pair<std::int64_t, std::int64_t>> experts() {
  std::set<std::pair<std::int64_t, std::int64_t>> all;
  for (const std::string& name : model_names()) {
    const MoeModel model = MoeModel::load(name);
    all.insert({model.expert_bytes().count, model.expert.gated ? 3 : 2});
  }
  return all;
}

void verify(Copies& copies) {
  for (const std::int64_t bytes : {std::int64_t{4}, std::int64_t{4099}, std::int64_t{1} << 24})
    if (!copies.verified(bytes)) throw std::runtime_error("a copy did not bring back what it was given");
}

}  // namespace

namespace {

// A host's speed drifts: sizes are measured in rounds, those to fit on and those to score beside each other, and a point
// has the samples of all rounds.
struct SizeSweep {
  std::string name, description;
  bool fit_only = false;
  Experiment fit{description, {"direction", "bytes"}, {}}, score = fit;

  void add(bool odd, const MeasuredPoint& point) {
    std::vector<MeasuredPoint>& points = (odd ? score : fit).points;
    for (MeasuredPoint& known : points)
      if (known.parameters == point.parameters) {
        known.samples.insert(known.samples.end(), point.samples.begin(), point.samples.end());
        known.discarded += point.discarded;
        return;
      }
    points.push_back(point);
  }
  void give(Measurement& out) {
    if (!fit_only) out.experiments[name + "_score"] = std::move(score);
    out.experiments[name] = std::move(fit);
  }
};

// Calls `measure(direction, bytes, odd)` for all sizes up to `most`, round after round.
void sweep(int rounds, std::initializer_list<Direction> directions, std::int64_t most,
           const std::function<void(Direction, std::int64_t, bool)>& measure) {
  std::map<std::int64_t, bool> all;
  for (const bool odd : {false, true})
    for (const std::int64_t bytes : sizes(odd))
      if (bytes <= most) all[bytes] = odd;
  for (int round = 0; round < rounds; ++round)
    for (const Direction direction : directions)
      for (const auto& [bytes, odd] : all) measure(direction, bytes, odd);
}

}  // namespace

void measure_pageable_copies(Bench& bench) {
  Copies copies(bench);
  verify(copies);
  const OwnedStream& stream = bench.harness.stream();
  SizeSweep one{"copy/pageable_one",
                "seconds of the host for one pageable copy and its end: direction 0 in, 1 out"};
  SizeSweep train{
      "copy/pageable_train",
      "seconds of the host a pageable copy, one after the other, and the end of all; an event after each"};
  const OwnedEvent event;
  constexpr int kRounds = 4;
  sweep(kRounds, {in, out}, 1 << 28, [&](Direction direction, std::int64_t bytes, bool odd) {
    copies.copy(direction, bytes, stream);
    stream.synchronize();
    one.add(odd, bench.harness.repeat({direction, bytes}, [&] {
      const int count = std::clamp<int>(static_cast<int>((1 << 22) / bytes), 1, 20);
      return host_seconds([&] {
               for (int i = 0; i < count; ++i) {
                 copies.copy(direction, bytes, stream);
                 stream.synchronize();
               }
             }) /
             count;
    }));
    train.add(odd, bench.harness.repeat({direction, bytes}, [&] {
      const int count = copy_train_length(bytes, true);
      return host_seconds([&] {
               for (int i = 0; i < count; ++i) {
                 copies.copy(direction, bytes, stream);
                 event.record(stream);
               }
               stream.synchronize();
             }) /
             count;
    }));
    bench.progress("copies, pageable", std::log2(static_cast<double>(bytes)) / 30);
  });
  one.give(bench.out);
  train.give(bench.out);
}

void measure_pinned_copies(Bench& bench) {
  bench.progress("pinning host memory", 0);
  bench.host.pin();
  Copies copies(bench);
  verify(copies);
  Harness& harness = bench.harness;
  const OwnedStream& stream = harness.stream();
  const OwnedEvent after;
  SizeSweep one{"copy/one",
                "seconds on the GPU of one copy on an idle engine: direction 0 in, 1 out, 2 within"};
  SizeSweep train{"copy/train", "seconds on the GPU a copy, back to back, an event after each"};
  SizeSweep bare{"copy/train_without_events", "seconds on the GPU a copy, back to back, no events", true};
  SizeSweep call{"copy/call", "seconds of the host to queue a copy", true};
  constexpr int kRounds = 2;
  sweep(kRounds, {in, out, within}, kLargest, [&](Direction direction, std::int64_t bytes, bool odd) {
    const auto copy = [&](int) { copies.copy(direction, bytes, stream); };
    const auto copy_and_record = [&](int) {
      copies.copy(direction, bytes, stream);
      after.record(stream);
    };
    harness.train(2, copy);
    one.add(odd, harness.repeat({direction, bytes}, [&] { return harness.train(1, copy).device; }));
    const int length = copy_train_length(bytes, false);
    train.add(odd, harness.repeat({direction, bytes},
                                  [&] { return harness.train(length, copy_and_record).device; }));
    if (!odd) {
      const auto both = harness.repeat_all({direction, bytes}, [&] {
        const CallTime time = harness.train(length, copy);
        return std::vector<double>{time.device, time.host};
      });
      bare.add(odd, both[0]);
      if (bytes <= (1 << 20)) call.add(odd, both[1]);
    }
    bench.progress("copies, pinned", std::log2(static_cast<double>(bytes)) / 30);
  });
  for (SizeSweep* each : {&one, &train, &bare, &call}) each->give(bench.out);

  // Both ways at once; two streams one way. A stream's copies end long before or after the other's: the rate is that of
  // the time in which both were busy.
  const OwnedStream other;
  Experiment both{"seconds on the GPU a copy in, and a copy out, while both directions are busy",
                  {"direction", "bytes"},
                  {}};
  Experiment two{"seconds on the GPU a copy in, on two streams at once: of all copies", {"bytes"}, {}};
  const OwnedEvent start[2], end[2];
  for (const std::int64_t bytes : {std::int64_t{1} << 20, std::int64_t{1} << 24, std::int64_t{1} << 28}) {
    const int length = std::max(4, copy_train_length(bytes, false));
    const auto run = [&](Direction first, Direction second) {
      harness.block(stream);
      start[0].record(stream);
      check(cudaStreamWaitEvent(other, start[0], 0), "cudaStreamWaitEvent");
      start[1].record(other);
      for (int i = 0; i < length; ++i) {
        copies.copy(first, bytes, stream);
        copies.copy(second, bytes, other);
      }
      end[0].record(stream);
      end[1].record(other);
      harness.let_go();
      end[0].synchronize();
      end[1].synchronize();
      return std::vector<double>{seconds_between(start[0], end[0]) / length,
                                 seconds_between(start[1], end[1]) / length};
    };
    const auto points = harness.repeat_all({in, bytes}, [&] { return run(in, out); });
    both.points.push_back(points[0]);
    both.points.push_back(points[1]);
    both.points.back().parameters[0] = out;
    two.points.push_back(harness.repeat({bytes}, [&] {
      const std::vector<double> times = run(in, in);
      return std::max(times[0], times[1]) / 2;
    }));
  }
  bench.out.experiments["copy/both_ways"] = std::move(both);
  bench.out.experiments["copy/two_streams"] = std::move(two);

  Experiment pieces{
      "seconds on the GPU an expert copied in so many pieces, back to back, an event after each expert",
      {"bytes", "pieces"},
      {}};
  for (const auto& [bytes, matrices] : experts())
    for (const std::int64_t count : {std::int64_t{1}, matrices}) {
      const auto expert = [&, each = bytes / count](int) {
        for (std::int64_t i = 0; i < count; ++i) copies.copy(in, each, stream);
        after.record(stream);
      };
      harness.train(1, expert);
      pieces.points.push_back(harness.repeat({bytes, count}, [&] {
        return harness.train(std::max(2, copy_train_length(bytes, false)), expert).device;
      }));
    }
  bench.out.experiments["copy/expert"] = std::move(pieces);
}

}  // namespace specmoe::cuda
