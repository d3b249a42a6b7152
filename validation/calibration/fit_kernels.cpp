#include "validation/calibration/fit_kernels.hpp"

#include <algorithm>
#include <boost/math/tools/minima.hpp>
#include <cmath>
#include <map>

#include "sim/base/random.hpp"

namespace specmoe {

namespace {

using Sample = std::vector<const TimedKernel*>;

// What is searched: four numbers, by their logarithms.
struct Parameter {
  double (*get)(const Saturation&);
  void (*set)(Saturation&, double);
  double least, most;
};

const Parameter kParameters[] = {
    {[](const Saturation& s) { return s.floor.value; }, [](Saturation& s, double x) { s.floor = {x}; }, 5e-7,
     1e-4},
    {[](const Saturation& s) { return s.memory_efficiency; },
     [](Saturation& s, double x) { s.memory_efficiency = x; }, 0.02, 4},
    {[](const Saturation& s) { return std::max(1.0, static_cast<double>(s.half_bytes.count)); },
     [](Saturation& s, double x) { s.half_bytes = {static_cast<std::int64_t>(x)}; }, 1, 1e9},
    {[](const Saturation& s) { return s.compute_efficiency; },
     [](Saturation& s, double x) { s.compute_efficiency = x; }, 0.002, 1},
};

class Search {
 public:
  Search(Platform& platform, DeviceId device, std::size_t kernel_class)
      : platform_(platform),
        device_(device),
        saturation_(platform.devices[static_cast<std::size_t>(device.index)].saturation[kernel_class]) {}

  double error(const Sample& sample) const {
    double sum = 0;
    for (const TimedKernel* each : sample) {
      const double e = std::log(roofline_time(platform_, device_, each->kernel) / each->time);
      sum += e * e;
    }
    return sum;
  }

  // Each parameter in turn, within a factor of what it was, until nothing gets better.
  double descend(const Sample& sample, int rounds) {
    double best = error(sample);
    for (int round = 0; round < rounds; ++round) {
      const double before = best;
      for (const Parameter& p : kParameters) {
        const double here = std::log(p.get(saturation_)), reach = std::log(round == 0 ? 30 : 4);
        const auto at = [&](double x) {
          p.set(saturation_, std::exp(x));
          return error(sample);
        };
        const auto [x, value] = boost::math::tools::brent_find_minima(
            at, std::max(std::log(p.least), here - reach), std::min(std::log(p.most), here + reach), 16);
        p.set(saturation_, std::exp(value < best ? x : here));
        best = std::min(best, value);
      }
      if (best > before * 0.999) break;
    }
    return best;
  }

  Saturation& saturation() { return saturation_; }

 private:
  Platform& platform_;
  DeviceId device_;
  Saturation& saturation_;
};

std::vector<Curve> curves_of(const Platform& platform, DeviceId device, const Sample& sample) {
  std::map<std::pair<std::array<double, 5>, WeightFormat>, std::map<double, double>> by_shape;
  for (const TimedKernel* each : sample) {
    const ShapePoint point = shape_point(each->kernel);
    by_shape[{point.shape, point.format}][point.along] =
        each->time / roofline_time(platform, device, each->kernel);
  }
  std::vector<Curve> curves;
  for (const auto& [shape, values] : by_shape) {
    Curve& curve = curves.emplace_back(Curve{shape.first, shape.second, {}, {}});
    for (const auto& [along, ratio] : values) {
      curve.along.push_back(along);
      curve.ratio.push_back(ratio);
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
  const bool product = kernel_class < 2;
  const Saturation start = search.saturation();
  Saturation best;
  double least = INFINITY;
  for (const std::int64_t tile :
       product ? std::vector<std::int64_t>{1, 16, 64, 128} : std::vector<std::int64_t>{1}) {
    search.saturation() = start;
    search.saturation().tile_rows = tile;
    const double error = search.descend(all, 8);
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
  FittedClass fitted{best, {}, {}, {}, {}, curves_of(platform, device, all)};
  Spread* const spreads[] = {&fitted.floor, &fitted.memory_efficiency, &fitted.half_bytes,
                             &fitted.compute_efficiency};
  for (std::size_t p = 0; p < std::size(kParameters); ++p)
    *spreads[p] = spread_of(kParameters[p].get(best), values[p]);
  return fitted;
}

}  // namespace specmoe
