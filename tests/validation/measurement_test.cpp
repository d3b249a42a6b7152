#include "validation/calibration/measurement.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "sim/base/h5.hpp"
#include "tests/moe/trace_helpers.hpp"

using namespace specmoe;

namespace {

// A file as it ought to be, of one experiment with two points of two parameters and three samples.
H5File good_file(const std::filesystem::path& name) {
  H5File file = H5File::create(name);
  file.set("/", "format", "specmoe-measurements");
  file.set("/", "version", std::int64_t{1});
  file.write_strings("/about/keys", {"gpu"});
  file.write_strings("/about/values", {"H100"});
  file.set("/copy/one", "description", "seconds a copy");
  file.set("/copy/one", "names", "direction,bytes");
  file.write<std::int64_t>("/copy/one/parameters", std::vector<std::int64_t>{0, 64, 1, 64}, {2, 2});
  file.write<float>("/copy/one/samples", std::vector<float>(6, 0.5F), {2, 3});
  file.write("/copy/one/discarded", std::vector<std::int32_t>{0, 0});
  return file;
}

// The file with one dataset in place of what was there.
template <class T>
std::string refusal(const std::string& dataset, const std::vector<T>& data) {
  const TemporaryFolder folder;
  const std::filesystem::path name = folder / "bad.h5";
  {
    H5File good = good_file(folder / "good.h5");
    H5File bad = H5File::create(name);
    bad.set("/", "format", "specmoe-measurements");
    bad.copy_from(good, "/about", "/about");
    bad.set("/copy/one", "description", "");
    bad.set("/copy/one", "names", "direction,bytes");
    for (const char* each : {"/copy/one/parameters", "/copy/one/samples", "/copy/one/discarded"})
      if (each != dataset) bad.copy_from(good, each, each);
    bad.write(dataset, data);
  }
  const std::string message = message_of([&] { Measurement::read(name); });
  const std::string file = name.string() + ": ";
  return message.rfind(file, 0) == 0 ? message.substr(file.size()) : "not named: " + message;
}

}  // namespace

TEST_CASE("measurement: what was written is read - ragged samples, counts of discarded ones, nested names") {
  const TemporaryFolder folder;
  Measurement written;
  written.about = {{"gpu", "NVIDIA H100"}, {"driver", ""}};
  // Numbers that float32 holds exactly.
  written.experiments["copy/one"] = {"seconds a copy: 0 in, 1 out",
                                     {"direction", "bytes"},
                                     {{{0, 64}, {0.5, 0.25, 0.75}, 0}, {{1, 1LL << 40}, {2}, 7}}};
  written.experiments["copy/two/deep"] = {"", {"one"}, {{{1}, {1.5, 1.25}, 2}}};
  written.experiments["host"] = {"no samples left", {"threads"}, {{{-3}, {}, 12}, {{4}, {8}, 0}}};
  written.experiments["nothing"] = {"no points", {"a", "b", "c"}, {}};
  written.write(folder / "a.h5");
  const Measurement read = Measurement::read(folder / "a.h5");
  CHECK(read.about == written.about);
  REQUIRE(read.experiments.size() == 4);
  for (const auto& [name, experiment] : written.experiments) {
    CAPTURE(name);
    REQUIRE(read.has(name));
    CHECK(read[name].description == experiment.description);
    CHECK(read[name].names == experiment.names);
    REQUIRE(read[name].points.size() == experiment.points.size());
    for (std::size_t i = 0; i < experiment.points.size(); ++i) {
      CHECK(read[name].points[i].parameters == experiment.points[i].parameters);
      CHECK(read[name].points[i].samples == experiment.points[i].samples);
      CHECK(read[name].points[i].discarded == experiment.points[i].discarded);
    }
  }
  CHECK_FALSE(read.has("copy"));  // part of names
  CHECK_FALSE(read.has("about"));
}

TEST_CASE(
    "measurement: the file keeps raw samples, in the unit of their description, NaN where there are none") {
  const TemporaryFolder folder;
  Measurement written;
  written.experiments["copy"] = {"s", {"bytes"}, {{{64}, {0.5}, 0}, {{128}, {0.75, 0.25}, 0}}};
  written.write(folder / "a.h5");
  const H5File file = H5File::open(folder / "a.h5");
  CHECK(file.get_string("/", "format") == "specmoe-measurements");
  CHECK(file.get_string("/copy", "names") == "bytes");
  CHECK((file.shape("/copy/samples") == std::vector<std::int64_t>{2, 2}));
  const auto samples = file.read<float>("/copy/samples");
  CHECK(samples[0] == 0.5F);
  CHECK(std::isnan(samples[1]));
  CHECK(samples[2] == 0.75F);  // in the order of the run
  CHECK(samples[3] == 0.25F);
}

TEST_CASE("measurement: median and spread of samples in any order") {
  const auto point = [](std::vector<double> samples) { return MeasuredPoint{{}, std::move(samples), 0}; };
  CHECK(point({10, 1, 4, 2, 3}).median() == 3);
  // Quartiles of 1 2 3 4 10 are 2 and 4: half of what lies between, over the median, is 1 / 3.
  CHECK(point({10, 1, 4, 2, 3}).spread() == doctest::Approx(1.0 / 3));
  CHECK(point({3, 1}).median() == 2);
  CHECK(point({3, 1}).spread() == doctest::Approx(0.25));  // quartiles 1.5 and 2.5: (2.5 - 1.5) / 2 / 2
  CHECK(point({5}).median() == 5);
  CHECK(point({5}).spread() == 0);
  CHECK(std::isnan(point({}).median()));
  CHECK(std::isnan(point({}).spread()));
  CHECK(median_of({4, 1, 2, 3}) == 2.5);
}

TEST_CASE("measurement: a file of another format, no file and a damaged one are errors of one line") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& name) {
    const std::string message = message_of([&] { Measurement::read(folder / name); });
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.rfind((folder / name).string() + ": ", 0) == 0);
    return message.substr((folder / name).string().size() + 2);
  };
  { good_file(folder / "good.h5"); }
  CHECK_NOTHROW(Measurement::read(folder / "good.h5"));
  {
    H5File other = good_file(folder / "other.h5");
    other.set("/", "format", "specmoe-runs");
    H5File::create(folder / "none.h5").write("/x", std::vector<double>{1});
  }
  const std::string no_measurement =
      "not a file of measurements; expected what specmoe-calibrate measure writes";
  CHECK(refused("other.h5") == no_measurement);
  CHECK(refused("none.h5") == no_measurement);
  CHECK(refused("missing.h5") != "");
  folder.write("text.h5", "gpu: H100\n");
  CHECK(refused("text.h5") != "");
  const std::string whole = read_text(folder / "good.h5");
  folder.write("cut.h5", whole.substr(0, whole.size() / 2));
  CHECK(refused("cut.h5") != "");
}

TEST_CASE("measurement: an experiment that is not there is an error that names it and the file") {
  const TemporaryFolder folder;
  { good_file(folder / "good.h5"); }
  const Measurement read = Measurement::read(folder / "good.h5");
  CHECK(read["copy/one"].points.size() == 2);
  CHECK(message_of([&] { read["copy/train"]; }) ==
        (folder / "good.h5").string() +
            ": no experiment \"copy/train\"; expected what specmoe-calibrate measure writes");
}

TEST_CASE("measurement: columns of different lengths are an error that names the experiment") {
  const std::string says =
      "/copy/one: parameters, samples and discarded differ in length; expected as many rows in each";
  CHECK(refusal("/copy/one/parameters", std::vector<std::int64_t>{0, 64, 1}) == says);
  CHECK(refusal("/copy/one/parameters", std::vector<std::int64_t>{0, 64}) == says);
  CHECK(refusal("/copy/one/samples", std::vector<float>(5, 0.5F)) == says);
  CHECK(refusal("/copy/one/discarded", std::vector<std::int32_t>{0, 0, 0}) == says);
}

TEST_CASE("measurement: keys without values about the machine are an error") {
  const TemporaryFolder folder;
  {
    H5File file = H5File::create(folder / "a.h5");
    file.set("/", "format", "specmoe-measurements");
    file.write_strings("/about/keys", {"gpu", "driver"});
    file.write_strings("/about/values", {"H100"});
  }
  CHECK(message_of([&] { Measurement::read(folder / "a.h5"); }) ==
        (folder / "a.h5").string() +
            ": /about: keys and values differ in length; expected a value for each key");
}
