// What is measured, run and compared: three kinds of files.
#include <filesystem>
#include <string>
#include <vector>

#include "sim/base/h5.hpp"
#include "tests/fuzz/h5_edits.hpp"
#include "validation/calibration/measurement.hpp"
#include "validation/calibration/runs.hpp"
#include "validation/compare/comparison.hpp"

using namespace specmoe;
using fuzz::written;
using Path = std::filesystem::path;

namespace {

std::vector<std::string> sound_measurements() {
  return {
      written([](const Path& file) {
        Measurement m;
        m.about = {{"gpu", "g"}, {"host", "h"}};
        m.experiments["copy/one"] = {"copies", {"bytes", "in"}, {{{1, 2}, {0.5, 1}, 0}, {{3, 4}, {1}, 1}}};
        m.experiments["gemm"] = {"products", {"m"}, {{{1}, {0.5}, 0}}};
        m.write(file);
      }),
      written([](const Path& file) {
        RunTable table;
        table.about = {{"gpu", "g"}};
        RunStep step;
        step.tokens = 1;
        table.runs = {{"s/a", 5, {{step, step}, {step}}, {{1, 0}, {2, 0}}}, {"s/b", 6, {{step}}}};
        table.write(file);
      }),
      written([](const Path& file) {
        write_comparisons({{"h100", "kernels", "gemm", "m 1", 1e-5, 1.1e-5}}, file);
      })};
}

void read_measurements(const Path& file) {
  const H5File opened = H5File::open(file);
  const std::string format = opened.has("/", "format") ? opened.get_string("/", "format") : "";
  if (format == "specmoe-measurements")
    Measurement::read(file).check_times();
  else if (format == "specmoe-runs")
    (void)RunTable::read(file);
  else
    (void)read_comparisons(file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::change_and_read(sound_measurements, read_measurements, data, size);
}
