#include "tests/report/small_study.hpp"

#include <limits>
#include <vector>

#include "sim/base/h5.hpp"

namespace specmoe {

namespace {
using Numbers = std::vector<double>;
using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
const Texts kStrategies{"base", "fast <b>"};

std::size_t write_points(H5File& file, bool grid) {
  const auto text = [&](const std::string& path, const Texts& values) { file.write_strings(path, values); };
  if (grid) {
    text("/axes/name", {"batch", "capacity"});
    text("/axes/path", {"workload.batch", "cache.capacity"});
    text("/points/label", {"1, 25 %", "4, 25 %", "1, 50 %", "4, 50 %"});
    text("/points/values/batch", {"1", "4", "1", "4"});
    text("/points/values/capacity", {"25 %", "25 %", "50 %", "50 %"});
    file.write("/points/numbers/batch", Numbers{1, 4, 1, 4});
    file.write("/points/numbers/capacity", Numbers{0.25, 0.25, 0.5, 0.5});
    file.write("/points/batch", Integers{1, 4, 1, 4});
    file.write("/points/capacity_share", Numbers{0.25, 0.25, 0.5, 0.5});
  } else {
    text("/axes/name", {"links.pcie"});
    text("/axes/path", {"links.pcie"});
    text("/points/label", {"base", "half", "twice"});
    text("/points/values/links.pcie", {"20 GB/s", "10 GB/s", "40 GB/s"});
    file.write("/points/numbers/links.pcie", Numbers{20e9, 10e9, 40e9});
    text("/points/changed", {"", "links.pcie", "links.pcie"});
    file.write("/points/factor", Numbers{1, 0.5, 2});
    file.write("/points/batch", Integers{1, 1, 1});
    file.write("/points/capacity_share", Numbers{0.25, 0.25, 0.25});
  }
  const std::size_t count = grid ? 4 : 3;
  text("/points/platform", Texts(count, "rtx4090"));
  text("/points/model", Texts(count, "gpt-oss-20b"));
  file.write("/points/price", Numbers(count, kNone));
  return count;
}

void write_cell_metric(H5File& file, const std::string& name, const Numbers& values, double half) {
  Numbers low, high;
  for (const double value : values) {
    low.push_back(value - half);
    high.push_back(value + half);
  }
  file.write("/cells/" + name, values);
  file.write("/cells/" + name + "_low", low);
  file.write("/cells/" + name + "_high", high);
}
}  // namespace

void write_small_study(const std::filesystem::path& path, const std::string& design) {
  H5File file = H5File::create(path);
  for (const auto& [name, value] : {std::pair{"format", "specmoe-study"},
                                    {"specmoe", "0.1.0"},
                                    {"study", "small"},
                                    {"description", "by hand"},
                                    {"baseline", "base"}})
    file.set("/", name, value);
  file.set("/", "design", design);
  file.set("/", "version", std::int64_t{1});
  const std::size_t points = write_points(file, design == "grid");

  Integers run_point, replication, seed, first, count, cell_point, cell_runs;
  Texts run_strategy, refused, cell_strategy;
  Numbers speed, memory, share, cell_speed, gain, none;
  std::vector<float> steps;
  for (std::size_t p = 0; p < points; ++p)
    for (int s = 1; s <= 2; ++s) {
      const double tokens = 10.0 * static_cast<double>((p + 1) * static_cast<std::size_t>(s));
      for (int r = 0; r < 2; ++r) {
        const bool runs = s == 1 || r == 0 || p + 1 < points;
        run_point.push_back(static_cast<std::int64_t>(p));
        replication.push_back(r);
        seed.push_back(r);
        run_strategy.push_back(kStrategies[static_cast<std::size_t>(s - 1)]);
        refused.push_back(runs ? "" : "does not fit");
        speed.push_back(runs ? tokens + r : kNone);
        memory.push_back(runs ? 1e9 * static_cast<double>(10 + p) : kNone);
        share.push_back(runs ? 0.5 : kNone);
        first.push_back(static_cast<std::int64_t>(steps.size()));
        count.push_back(runs ? 3 : 0);
        for (int step = 1; runs && step <= 3; ++step) steps.push_back(1e-3F * static_cast<float>(step * s));
      }
      const bool whole = s == 1 || p + 1 < points;
      cell_point.push_back(static_cast<std::int64_t>(p));
      cell_strategy.push_back(run_strategy.back());
      cell_runs.push_back(whole ? 2 : 1);
      cell_speed.push_back(tokens + (whole ? 0.5 : 0));
      gain.push_back(s);
      none.push_back(kNone);
    }
  file.write("/runs/point", run_point);
  file.write("/runs/replication", replication);
  file.write("/runs/seed", seed);
  file.write_strings("/runs/strategy", run_strategy);
  file.write_strings("/runs/refused", refused);
  file.write("/runs/tokens_per_second", speed);
  file.write("/runs/peak_gpu_memory", memory);
  file.write("/runs/deduplicated", share);
  for (const auto& [name, value] :
       {std::pair{"critical_path", 0.01}, {"expert_wait", 0.02}, {"exposed_stall", 0.025}})
    file.write(std::string("/runs/") + name, Numbers(speed.size(), value));
  file.write("/decode_steps/first", first);
  file.write("/decode_steps/count", count);
  file.write("/decode_steps/duration", steps);
  file.write("/cells/point", cell_point);
  file.write_strings("/cells/strategy", cell_strategy);
  file.write("/cells/runs", cell_runs);
  write_cell_metric(file, "tokens_per_second", cell_speed, 1);
  Numbers tpot;
  for (const double tokens : cell_speed) tpot.push_back(1 / tokens);
  write_cell_metric(file, "tpot", tpot, 0);
  write_cell_metric(file, "ttft", none, 0);
  write_cell_metric(file, "hit_rate", Numbers(none.size(), 0.75), 0.25);
  write_cell_metric(file, "energy_per_token", none, 0);
  write_cell_metric(file, "gain", gain, 0.5);
  write_cell_metric(file, "effect", none, 0);
  file.write("/cells/p", none);
}

}  // namespace specmoe
