// Predictions from a file.
#include <doctest/doctest.h>

#include "sim/base/h5.hpp"
#include "tests/moe/trace_helpers.hpp"
#include "tests/policies/steps.hpp"

using namespace specmoe;
using namespace specmoe::testing;

TEST_CASE("external: reads the rows of the requests' tokens, by layer and distance") {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, std::int64_t experts, bool confidence) {
    H5File file = H5File::create(folder / name);
    file.set("/", "format", "specmoe-predictions");
    file.set("/", "version", std::int64_t{1});
    file.set("/", "layers", std::int64_t{2});
    file.set("/", "experts", experts);
    // [token, layer, distance, rank]: three tokens, one distance, two ranks.
    file.write<std::int16_t>(
        "/experts", std::vector<std::int16_t>{1, 2, 0, -1, /**/ 3, 1, 0, 2, /**/ 4, 5, 6, 7}, {3, 2, 1, 2});
    if (confidence)
      file.write<float>("/confidence",
                        std::vector<float>{.9F, .2F, .9F, .9F, .9F, .9F, .9F, .9F, .9F, .9F, .9F, .9F},
                        {3, 2, 1, 2});
    file.write("/requests/first_token", std::vector<std::int64_t>{0, 2});
  };
  write("p.h5", 8, false);
  write("sure.h5", 8, true);
  write("other.h5", 16, false);
  PredictorContext c = context(2, 8, 1);
  const auto make = [&](const std::string& name, double confidence = 0) {
    c.parameters = {};
    c.parameters.set("file", (folder / name).string());
    c.parameters.set("confidence", confidence);
    return predictor_named("external").make(c);
  };
  StepRouting both = step_of(2, 1, {0, 0, 0, 0});  // row 0 of requests 0 and 1
  const auto predictor = make("p.h5");
  CHECK(ask(*predictor, both, nullptr, 0, 1) == Ids{{1, 1}, {1, 2}, {1, 4}, {1, 5}});
  CHECK(ask(*predictor, both, nullptr, 0, 2).empty());
  CHECK(ask(*predictor, both, &both, 1, 1) == Ids{{0, 0}, {0, 6}, {0, 7}});  // of the token after
  StepRouting second = step_of(2, 1, {0, 0});
  second.rows = {1};
  CHECK(ask(*predictor, second, nullptr, 0, 1) == Ids{{1, 3}, {1, 1}});
  CHECK(ask(*make("sure.h5", 0.5), both, nullptr, 0, 1) == Ids{{1, 1}, {1, 4}, {1, 5}});

  SUBCASE("a group /network says what computed them") {
    CHECK(predictor->network() == nullptr);
    const auto describe = [&](const char* name, std::vector<std::int64_t> layer,
                              std::vector<std::int64_t> shape) {
      write(name, 8, false);
      H5File file = H5File::modify(folder / name);
      file.set("/network", "name", "mlp");
      file.set("/network", "parameters", std::int64_t{12'345});
      file.write<std::int64_t>("/network/layer", layer, shape);
      file.write<std::int64_t>("/network/step_attention", std::vector<std::int64_t>{4, 64, -1}, {1, 3});
    };
    describe("n.h5", {3, 320, 960, 1, 960, 8}, {2, 3});
    const auto described = make("n.h5");
    const PredictorNetwork* const network = described->network();
    REQUIRE(network);
    CHECK(network->name == "mlp");
    CHECK(network->parameters == 12'345);
    CHECK(network->layer.products == std::vector<NetworkProduct>{{3, 320, 960}, {1, 960, 8}});
    CHECK(network->step.products.empty());
    CHECK(network->step.attention == std::vector<NetworkAttention>{{4, 64, -1}});
    describe("flat.h5", {3, 320, 960}, {3});
    CHECK(message_of([&] { make("flat.h5"); }).find("/network/layer has another shape; expected [n, 3]") !=
          std::string::npos);
    describe("none.h5", {3, 0, 960}, {1, 3});
    CHECK(message_of([&] { make("none.h5"); }).find("/network/layer: row 0 is 3, 0, 960") !=
          std::string::npos);
  }

  second.rows = {2};
  CHECK(message_of([&] {
          ask(*predictor, second, nullptr, 0, 1);
        }).find("no predictions for row 2 of request 0") != std::string::npos);
  second.requests = {7};
  CHECK(message_of([&] { ask(*predictor, second, nullptr, 0, 1); }).find("no predictions for request 7") !=
        std::string::npos);
  CHECK(message_of([&] { make("other.h5"); }).find("experts is 16; expected the model's 8") !=
        std::string::npos);
  folder.write("text.h5", "no HDF5");
  CHECK(message_of([&] { make("text.h5"); }).find("text.h5") != std::string::npos);
}
