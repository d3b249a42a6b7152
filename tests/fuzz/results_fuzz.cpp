// results.h5 and study.h5, as reports and the page read them.
#include <filesystem>
#include <string>
#include <vector>

#include "sim/report/page_data.hpp"
#include "sim/report/report.hpp"
#include "sim/results/run.hpp"
#include "sim/scenario/scenario.hpp"
#include "tests/fuzz/h5_edits.hpp"
#include "tests/fuzz/small_machine.hpp"
#include "tests/moe/tiny_model.hpp"
#include "tests/report/small_study.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;
using fuzz::written;
using Path = std::filesystem::path;

namespace {

std::vector<std::string> sound_results() {
  const std::string ran = written([](const Path& file) {
    const TemporaryFolder folder;
    folder.write("small", fuzz::kSmallMachine);
    folder.write("tiny", kTinyDecoder);
    const auto text = R"(name: small
seed: 1
platform: small
model: tiny
routing: {generate: {zipf: 0.5, reuse: 0, correlation: 0}}
workload: {requests: 1, batch: 1, prompt_tokens: 2, output_tokens: 2}
cache: {capacity: auto}
strategies: [{name: a}]
)";
    RunOptions options;
    options.out = folder / "out";
    options.timeline = folder / "timeline.json";
    std::filesystem::copy(run_scenario(Scenario::load(folder.write("s.yaml", text)), options), file);
  });
  return {ran, written([](const Path& file) { write_small_study(file, "grid"); }),
          written([](const Path& file) { write_small_study(file, "one-at-a-time"); })};
}

void read_results(const Path& file) {
  fuzz::read([&] { (void)ResultsOverview::read(file); });
  (void)page_data({file});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::change_and_read(sound_results, read_results, data, size);
}
