#include "validation/calibration/fit_kernels.hpp"

#include <algorithm>
#include <boost/math/tools/minima.hpp>
#include <cmath>
#include <map>

#include "sim/base/random.hpp"

namespace specmoe {

namespace {

using Sample = std::vector<const TimedKernel*>;

// What is searched: numbers, by their logarithms.
struct Parameter {
  bool of_blocks;
  double (*get)(const Saturation&);
  void (*set)(Saturation&, double);
  double least, most;
};

const Parameter kParameters[] = {
    {false, [](const Saturation& s) { return s.memory_efficiency; },
     [](Saturation& s, double x) { s.memory_efficiency = x; }, 0.02, 4},
    {false, [](const Saturation& s) { return std::max(1.0, static_cast<double>(s.half_bytes.count)); },
     [](Saturation& s, double x) { s.half_bytes = {static_cast<std::int64_t>(x)}; }, 1, 1e9},
    {false, [](const Saturation& s) { return s.compute_efficiency; },
     [](Saturation& s, double x) { s.compute_efficiency = x; }, 0.002, 1},
    {false, [](const Saturation& s) { return s.start.value; }, [](Saturation& s, double x) { s.start = {x}; },
     1e-7, 1e-4},
    {true, [](const Saturation& s) { return s.block.value; }, [](Saturation& s, double x) { s.block = {x}; },
     1e-8, 1e-4},
    {true, [](const Saturation& s) { return s.serial.value; },
     [](Saturation& s, double x) { s.serial = {x}; }, 1e-12, 1e-6},
};

class Search {
 public:
  Search(Platform& platform, DeviceId device, std::size_t kernel_class)
      : platform_(platform),
        device_(device),
        has_blocks_(kernel_class == 2 || kernel_class == 4),
        saturation_(platform.devices[static_cast<std::size_t>(device.index)].saturation[kernel_class]) {}

  double error(const Sample& sample) const {
    double sum = 0;
    for (const TimedKernel* each : sample) {
      const double e = std::log(roofline_time(platform_, device_, each->kernel) / each->time);
      sum += e * e;
    }
    return sum;
  }

  // Each parameter in turn, within a factor of what it was, then all together as the turns have moved them (Powell),
  // so that two which make up for each other move along their valley. Until nothing gets better.
  double descend(const Sample& sample, int rounds) {
    double best = error(sample);
    int still = 0;
    for (int round = 0; round < rounds; ++round) {
      const double before = best;
      const Saturation from = saturation_;
      for (const Parameter& p : kParameters) {
        if (p.of_blocks && !has_blocks_) continue;
        const double here = std::log(p.get(saturation_)), reach = std::log(round == 0  ? 30
                                                                           : round % 2 ? 1.3
                                                                                       : 4);
        const auto at = [&](double x) {
          p.set(saturation_, std::exp(x));
          return error(sample);
        };
        const auto [x, value] = boost::math::tools::brent_find_minima(
            at, std::max(std::log(p.least), here - reach), std::min(std::log(p.most), here + reach), 16);
        p.set(saturation_, std::exp(value < best ? x : here));
        best = std::min(best, value);
      }
      const Saturation to = saturation_;
      const auto along = [&](double t) {
        for (const Parameter& p : kParameters) {
          if (p.of_blocks && !has_blocks_) continue;
          const double x = std::log(p.get(to)) + t * std::log(p.get(to) / p.get(from));
          p.set(saturation_, std::exp(std::clamp(x, std::log(p.least), std::log(p.most))));
        }
        return error(sample);
      };
      const auto [t, value] = boost::math::tools::brent_find_minima(along, 0.0, 8.0, 16);
      if (value < best)
        best = along(t);
      else
        saturation_ = to;
      still = best > before * 0.9999 ? still + 1 : 0;
      if (still == 2) break;  // neither from afar nor close by
    }
    return best;
  }

  Saturation& saturation() { return saturation_; }

 private:
  Platform& platform_;
  DeviceId device_;
  bool has_blocks_;
  Saturation& saturation_;
};

std::vector<Curve> curves_of(const Platform& platform, DeviceId device, const Sample& sample) {
  std::map<std::pair<std::array<double, 5>, WeightFormat>, std::map<double, std::vector<double>>> by_shape;
  for (const TimedKernel* each : sample) {
    const std::size_t kernel_class = each->kernel.work.index();
    const ShapePoint point = shape_point(each->kernel, platform[device].saturation[kernel_class].tile_rows);
    by_shape[{point.shape, point.format}][point.along].push_back(
        std::log(each->time / roofline_time(platform, device, each->kernel)));
  }
  std::vector<Curve> curves;
  for (const auto& [shape, values] : by_shape) {
    Curve& curve = curves.emplace_back(Curve{shape.first, shape.second, {}, {}});
    for (const auto& [along, logs] : values) {
      double mean = 0;
      for (const double x : logs) mean += x / static_cast<double>(logs.size());
      curve.along.push_back(along);
      curve.ratio.push_back(std::exp(mean));
    }
  }
  return curves;
}

Spread spread_of(double value, const std::vector<double>& others) {
  double mean = 0, square = 0;
  for (const double x : others) mean += x / static_cast<double>(others.size());
  for (const double x : others) square += (x - mean) * (x - mean) / static_cast<double>(others.size());
  return {value, std::sqrt(square)};
}

}  // namespace

FittedClass fit_kernels(Platform platform, DeviceId device, std::size_t kernel_class,
                        const std::vector<TimedKernel>& kernels) {
  Sample all;
  for (const TimedKernel& each : kernels) all.push_back(&each);
  Search search(platform, device, kernel_class);
  const bool attention = kernel_class == 2;
  Saturation start = search.saturation();
  start.start = {std::max(start.floor.value, 1e-6)};
  start.floor = {};
  if (attention) start.block = {1e-6}, start.serial = {1e-8};
  if (kernel_class == 4) start.block = {3e-7}, start.serial = {1e-10};
  Saturation best;
  double least = INFINITY;
  const std::vector<std::int64_t> none{1}, tiles{1, 16, 64, 128}, attention_tiles{16, 32, 64, 128},
      room{1, 2, 3, 4};
  for (const std::int64_t tile : kernel_class < 2 ? tiles : attention ? attention_tiles : none)
    for (const std::int64_t resident : attention ? room : none) {
      search.saturation() = start;
      search.saturation().tile_rows = tile;
      search.saturation().resident = resident;
      const double error = search.descend(all, 40);
      if (error < least) {
        least = error;
        best = search.saturation();
      }
    }
  constexpr int kBootstraps = 12;
  Random random = Random::stream(1, "bootstrap", kernel_class);
  std::vector<double> values[std::size(kParameters)];
  for (int i = 0; i < kBootstraps; ++i) {
    Sample drawn;
    for (std::size_t j = 0; j < all.size(); ++j) drawn.push_back(all[random.below(all.size())]);
    search.saturation() = best;
    search.descend(drawn, 2);
    for (std::size_t p = 0; p < std::size(kParameters); ++p)
      values[p].push_back(kParameters[p].get(search.saturation()));
  }
  search.saturation() = best;
  FittedClass fitted{best, {}, {}, {}, {}, {}, {}, curves_of(platform, device, all)};
  Spread* const spreads[] = {&fitted.memory_efficiency,
                             &fitted.half_bytes,
                             &fitted.compute_efficiency,
                             &fitted.start,
                             &fitted.block,
                             &fitted.serial};
  for (std::size_t p = 0; p < std::size(kParameters); ++p)
    *spreads[p] = spread_of(kParameters[p].get(best), values[p]);
  return fitted;
}

}  // namespace specmoe
