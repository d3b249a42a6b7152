// Which steps of a run keep their spans.
#include <doctest/doctest.h>

#include "sim/results/step_spans.hpp"
#include "tests/machine/test_platform.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;
using namespace specmoe::testing;

namespace {

// Spans of a run whose steps follow each other; a step of n ms is one kernel of n ms.
struct Steps {
  Platform platform = test_platform();
  StepSpans spans{platform};
  double now = 0;

  Steps() { spans.stream({0}, "gpu compute"); }
  void step(bool prefill, double milliseconds) {
    const double start = now;
    now += milliseconds * 1e-3;
    spans.kernel({0}, kernel(1000, "work"), {start}, {now});
    spans.step_ended(prefill, {start}, {now});
  }
  H5File written(const TemporaryFolder& folder) const {
    H5File file = H5File::create(folder / "spans.h5");
    spans.write(file);
    return file;
  }
};

using Integers = std::vector<std::int64_t>;

}  // namespace

TEST_CASE(
    "step spans: the first prefill step, the first two decode steps and the longest later one are kept") {
  const TemporaryFolder folder;
  Steps run;
  run.step(true, 9);   // 0
  run.step(true, 20);  // 1: prefill, but not the first
  for (const double milliseconds : {5.0, 2.0, 6.0, 8.0, 7.0, 8.0}) run.step(false, milliseconds);  // 2 .. 7
  const H5File file = run.written(folder);
  CHECK(file.read<std::int64_t>("/timeline/steps/step") == Integers{0, 2, 3, 5});
  CHECK(file.read<std::int64_t>("/timeline/steps/phase") == Integers{0, 1, 1, 1});
  CHECK(file.read<std::int64_t>("/timeline/steps/count") == Integers{1, 1, 1, 1});
  const auto duration = file.read<double>("/timeline/spans/duration");
  CHECK(duration[3] == doctest::Approx(8e-3).scale(0));
  CHECK(file.read<double>("/timeline/spans/start") == std::vector<double>(4, 0));
  CHECK(file.read_strings("/timeline/rows/name") == std::vector<std::string>{"gpu compute"});
  CHECK(file.read_strings("/timeline/labels") == std::vector<std::string>{"work"});
}

TEST_CASE("step spans: a run whose first decode steps are its longest keeps no other") {
  const TemporaryFolder folder;
  Steps run;
  for (const double milliseconds : {5.0, 6.0, 5.5, 1.0}) run.step(false, milliseconds);
  CHECK(run.written(folder).read<std::int64_t>("/timeline/steps/step") == Integers{0, 1});
}

TEST_CASE(
    "step spans: a copy under way at a step's end is of both steps, on its stream, its links and its disk") {
  const TemporaryFolder folder;
  Steps run;
  run.spans.stream({1}, "gpu copies");
  run.step(false, 10);
  // From 8 to 13 ms, over nvme -> ram -> switch -> vram0; 5 MB.
  const Route route{kNvme, kVram, {{1, true}, {0, true}, {2, true}}};
  run.spans.copy({1}, {"load", 3, 7}, route, {5'000'000}, {8e-3}, {13e-3});
  run.step(false, 10);
  const H5File file = run.written(folder);
  CHECK(file.read<std::int64_t>("/timeline/steps/count") == Integers{6, 6});
  CHECK(file.read_strings("/timeline/rows/name") ==
        std::vector<std::string>{"gpu compute", "gpu copies", "pcie: ram -> switch", "m.2: nvme -> ram",
                                 "slot0: switch -> vram0", "nvme"});
  CHECK(file.read_strings("/timeline/rows/kind") ==
        std::vector<std::string>{"stream", "stream", "link", "link", "link", "disk"});
  CHECK(file.read_strings("/timeline/labels") == std::vector<std::string>{"load L3 E7", "work"});
  const auto start = file.read<double>("/timeline/spans/start");
  CHECK(start[1] == doctest::Approx(8e-3).scale(0));   // of the first step
  CHECK(start[6] == doctest::Approx(-2e-3).scale(0));  // of the second, which it precedes
  CHECK(file.read<std::int64_t>("/timeline/spans/bytes")[6] == 5'000'000);
}

TEST_CASE("step spans: a step of very many keeps the first and says how many there were") {
  const TemporaryFolder folder;
  Steps run;
  for (std::size_t i = 0; i < StepSpans::kMostSpans + 9; ++i)
    run.spans.kernel({0}, kernel(1000, "work"), {0}, {1e-6});
  run.step(false, 1);
  const H5File file = run.written(folder);
  CHECK(file.read<std::int64_t>("/timeline/steps/count") == Integers{StepSpans::kMostSpans});
  CHECK(file.read<std::int64_t>("/timeline/steps/all") == Integers{StepSpans::kMostSpans + 10});
}
