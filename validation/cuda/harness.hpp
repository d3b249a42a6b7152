// How a GPU is timed here: trains of calls queue up behind a blocking kernel, so that gaps between launches do not count;
// samples are repeated until their median is steady, and thrown away where the clocks were throttled meanwhile.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "validation/calibration/measurement.hpp"
#include "validation/cuda/cuda.hpp"
#include "validation/cuda/nvml.hpp"

namespace specmoe::cuda {

/// What the driver's management library tells; without it nothing is known and nothing is thrown away.
class Clocks {
 public:
  /// The GPU is held below its clocks by heat or by its power limit.
  bool throttled() const;
  /// "SM 1980 MHz, memory 2619 MHz", or "unknown".
  std::string text() const;
  std::string driver() const;

 private:
  const Nvml* nvml_ = Nvml::find();
};

/// Seconds a call: on the GPU, and of the host to queue it.
struct CallTime {
  double device, host;
};

class Harness {
 public:
  Harness();

  const OwnedStream& stream() const { return stream_; }
  const Clocks& clocks() const { return clocks_; }

  /// Queues `calls` calls on stream() behind a blocking kernel and lets them go. What two events take that stand side by
  /// side is taken off.
  CallTime train(int calls, const std::function<void(int)>& call);
  /// So many calls that a train takes about half a millisecond: 3 to 50.
  int calls_of(const std::function<void(int)>& call);
  /// Samples of something that takes a few milliseconds, until the middle half of them lies within 1 % of the median:
  /// 5 to 25, at most about 30 ms.
  MeasuredPoint repeat(std::vector<std::int64_t> parameters, const std::function<double()>& sample);
  /// As repeat, of what gives several numbers at once: a point each.
  std::vector<MeasuredPoint> repeat_all(std::vector<std::int64_t> parameters,
                                        const std::function<std::vector<double>()>& sample);
  /// Blocks the stream until let_go(). What is queued meanwhile must not need the host.
  void block(const OwnedStream& stream);
  void let_go();

 private:
  OwnedStream stream_;
  Clocks clocks_;
  PinnedBuffer flag_;
  OwnedEvent start_, end_;
  double empty_ = 0;
};

/// Seconds of the host.
double host_seconds(const std::function<void()>& work);

}  // namespace specmoe::cuda
