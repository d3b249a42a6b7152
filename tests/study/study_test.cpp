// Study files: axes, replications, baselines.
#include <doctest/doctest.h>

#include "sim/base/input_error.hpp"
#include "sim/study/study.hpp"
#include "tests/temporary_folder.hpp"

using namespace specmoe;

namespace {

const std::string kHead = R"(name: s
scenario: {name: base, seed: 7, platform: rtx4090, workload: {requests: 2, batch: 1}}
)";

Study read(const std::string& rest) {
  const TemporaryFolder folder;
  folder.write("study.yaml", kHead + rest);
  return Study::load(folder / "study.yaml");
}

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> all;
  for (const AxisValue& value : axis.values) all.push_back(value.label);
  return all;
}

std::string error_of(const std::string& rest) {
  try {
    read(rest);
  } catch (const InputError& error) {
    const std::string what = error.what();
    return what.substr(what.find("study.yaml"));
  }
  return "";
}

using Labels = std::vector<std::string>;

}  // namespace

TEST_CASE("study: axes as lists, ranges, ranges on a log scale, zipped, as variants") {
  const Study study = read(R"(axes:
  workload.batch: [1, 2]
  a: {key: cache.capacity, from: 1 GB, to: 2 GB, step: 0.5 GB}
  b: {key: x, from: 1, to: 64, points: 7, scale: log}
  c: {key: x, from: 0.5, to: 0.9, points: 3}
  z: {keys: [workload.batch, workload.requests], values: [[4, 8], [8, 16]]}
  v:
    variants:
      as it is:
      PCIe 6: {platform.links.pcie.bandwidth: x2, platform.links.pcie.latency: x0.5}
)");
  REQUIRE(study.axes.size() == 6);
  CHECK(labels(study.axes[0]) == Labels{"1", "2"});
  CHECK(labels(study.axes[1]) == Labels{"1 GB", "1.5 GB", "2 GB"});
  CHECK(labels(study.axes[2]) == Labels{"1", "2", "4", "8", "16", "32", "64"});
  CHECK(labels(study.axes[3]) == Labels{"0.5", "0.7", "0.9"});
  CHECK(labels(study.axes[4]) == Labels{"4 / 8", "8 / 16"});
  CHECK(labels(study.axes[5]) == Labels{"as it is", "PCIe 6"});
  CHECK(study.axes[1].values[1].number == 1.5e9);
  CHECK(study.axes[5].values[1].edits.size() == 2);
  CHECK(study.points() == 2 * 3 * 7 * 3 * 2 * 2);
  // The last axis changes fastest.
  CHECK(study.label(1) == "workload.batch 1, a 1 GB, b 1, c 0.5, z 4 / 8, PCIe 6");
  CHECK(study.point(study.places(77)) == 77);
}

TEST_CASE("study: one at a time is the base and every factor of every parameter") {
  const Study study =
      read("axes: {what: {one_at_a_time: [workload.batch, cache.capacity], factors: [x0.5, x2]}}\n");
  CHECK(labels(study.axes[0]) == Labels{"base", "workload.batch x0.5", "workload.batch x2",
                                        "cache.capacity x0.5", "cache.capacity x2"});
}

TEST_CASE("study: replications have the seeds of every point in common, or go on in the trace's requests") {
  const Study seeds = read("axes: {workload.batch: [1, 2]}\nreplications: 3\n");
  CHECK(seeds.seed(2) == 9);
  for (const std::size_t point : {0, 1}) {
    const auto edits = seeds.edits(point, 2);
    CHECK(edits.back().path == "seed");
    CHECK(edits.back().value.text() == "9");
  }
  CHECK(seeds.edits(0, 0).size() == 1);
  const Study requests = read("axes: {workload.requests: [2, 5]}\nreplications: {count: 3, by: requests}\n");
  CHECK(requests.seed(2) == 7);
  CHECK(requests.edits(0, 2).back().path == "workload.first_request");
  CHECK(requests.edits(0, 2).back().value.text() == "4");
  CHECK(requests.edits(1, 2).back().value.text() == "10");
}

TEST_CASE("study: a baseline is a strategy, values of axes, or both") {
  CHECK(read("baseline: LRU\n").baseline.strategy == "LRU");
  const Study study = read("axes: {workload.batch: [1, 2]}\nbaseline: {workload.batch: 2, strategy: LRU}\n");
  CHECK(study.baseline.strategy == "LRU");
  CHECK(study.baseline.axes.at("workload.batch") == 1);
}

TEST_CASE("study: errors say where and what is expected") {
  CHECK(error_of("axis: 1\n") == "study.yaml:3: axis: unknown key; expected \"axes\"");
  CHECK(error_of("axes: {a: {from: 1, to: 4}}\n") ==
        "study.yaml:3: axes.a: neither or both of points and step; expected one of them");
  CHECK(error_of("axes: {a: {from: 1 GB, to: 4 MB, points: 2}}\n") ==
        "study.yaml:3: axes.a.to: \"4 MB\"; expected the unit of from: \" GB\"");
  CHECK(error_of("axes: {a: {from: 0, to: 4, points: 2, scale: log}}\n") ==
        "study.yaml:3: axes.a.from: \"0\"; expected a number above 0, as is to, on a log scale");
  CHECK(error_of("axes: {a: [1, 1]}\n") ==
        "study.yaml:3: axes.a: a list; expected values that differ; \"1\" stands twice");
  CHECK(error_of("axes: {a: {keys: [x, y], values: [[1]]}}\n") ==
        "study.yaml:3: axes.a.values[0]: a list; expected a value for each of 2 keys");
  CHECK(error_of("axes: {a: [1]}\nbaseline: {a: 2}\n") ==
        "study.yaml:4: baseline.a: \"2\"; expected one of 1 (did you mean \"1\"?)");
  CHECK(error_of("replications: 0\n") ==
        "study.yaml:3: replications: \"0\"; expected a whole number from 1 to 100000");
  CHECK(error_of("axes: {a: {from: 1, to: 1000000, points: 1000000}, b: [1, 2]}\n") ==
        "study.yaml:3: axes.b: a list; expected a grid of at most 1000000 points");
}

TEST_CASE("study: a linear range keeps its fractions, whatever its ends") {
  const Study study = read(R"(axes:
  a: {key: x, from: 0, to: 1, points: 5}
  b: {key: x, from: 1000001, to: 1000003, step: 1}
  c: {key: x, from: 0.1, to: 0.3, step: 0.1}
)");
  CHECK(labels(study.axes[0]) == Labels{"0", "0.25", "0.5", "0.75", "1"});
  CHECK(labels(study.axes[1]) == Labels{"1000001", "1000002", "1000003"});
  CHECK(labels(study.axes[2]) == Labels{"0.1", "0.2", "0.3"});
  CHECK(error_of("axes: {a: {from: 1, to: 2, points: 3, scale: log}}\n")
            .find("fewer points: some would be the same") != std::string::npos);
}

TEST_CASE("study: axes that could not be told apart are refused") {
  CHECK(error_of("set: {workload.batch: 4}\naxes: {workload.batch: [1, 2]}\n") ==
        "study.yaml:4: axes.workload.batch: a list; expected an axis whose name is not set above");
  CHECK(error_of("axes: {.: [1]}\n").find("study.yaml:3: ") == 0);
  CHECK(error_of("axes: {a: {keys: [], values: [[]]}}\n") ==
        "study.yaml:3: axes.a.keys: a list; expected at least one path");
}
