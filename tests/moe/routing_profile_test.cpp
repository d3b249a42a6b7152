#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "models/moe/routing/profile_fit.hpp"
#include "models/moe/routing/profile_generator.hpp"
#include "models/moe/routing/routing_generator.hpp"
#include "models/moe/routing/routing_subset.hpp"
#include "models/moe/routing/trace_statistics.hpp"
#include "sim/base/h5.hpp"
#include "tests/moe/trace_helpers.hpp"

namespace specmoe {

// Every expert as likely as another.
static RoutingProfile flat(int layers, int experts, int top_k) {
  RoutingProfile profile;
  profile.layers = layers;
  profile.experts = experts;
  profile.top_k = top_k;
  profile.model = "test";
  profile.resize(RoutingProfile::base, 1);
  return profile;
}

static ProfileGenerator generator(RoutingProfile profile, std::int64_t prompt, std::int64_t output,
                                  std::int64_t requests = 1) {
  ProfileOptions options;
  options.requests = requests;
  options.prompt_tokens = prompt;
  options.output_tokens = output;
  options.seed = 1;
  return ProfileGenerator(std::move(profile), options);
}

TEST_CASE("profile: every layer of every token has distinct experts of the model") {
  auto made = generator(flat(3, 6, 4), 20, 500);
  const auto rows = rows_of(made, 0);
  for (std::size_t first = 0; first < rows.size(); first += 4) {
    const std::set<int> chosen(rows.begin() + static_cast<std::ptrdiff_t>(first),
                               rows.begin() + static_cast<std::ptrdiff_t>(first + 4));
    REQUIRE(chosen.size() == 4);
    REQUIRE(*chosen.begin() >= 0);
    REQUIRE(*chosen.rbegin() < 6);
  }
  CHECK(made.request(0).prefill_rows == 20);
  CHECK(made.request(0).decode_rows == 500);
}

TEST_CASE("profile: scores are log odds, drawn rank by rank from the experts left") {
  auto profile = flat(1, 4, 2);
  for (int e = 0; e < 4; ++e)
    profile.row(RoutingProfile::base, 0, 0)[e] = std::log(static_cast<float>(4 - e));
  auto made = generator(profile, 0, 200'000);
  const auto rows = rows_of(made, 0);
  double first[4] = {}, any[4] = {};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    any[rows[i]] += 1 / 200'000.0;
    if (i % 2 == 0) first[rows[i]] += 1 / 200'000.0;
  }
  // Odds 4 3 2 1: the sums of routing_generator_test. Standard deviation of a share: at most .0011.
  const double p[4] = {0.4, 0.3, 0.2, 0.1}, inclusion[4] = {0.71587, 0.60833, 0.44127, 0.23452};
  for (int e = 0; e < 4; ++e) {
    CHECK(std::abs(first[e] - p[e]) < 0.005);
    CHECK(std::abs(any[e] - inclusion[e]) < 0.005);
  }
}

TEST_CASE("profile: a table of the previous token makes its experts come again") {
  auto profile = flat(2, 8, 2);
  profile.resize(RoutingProfile::previous_token, 8);
  // Odds 1 to e^40 for the experts chosen before: certain.
  for (int layer = 0; layer < 2; ++layer)
    for (int e = 0; e < 8; ++e) profile.row(RoutingProfile::previous_token, layer, e)[e] = 40;
  auto made = generator(profile, 5, 50);
  CHECK(statistics(made).decode_overlap == 2);
}

TEST_CASE("profile: a layer follows the layers before it, the first one the previous token's last") {
  auto profile = flat(3, 4, 1);
  profile.resize(RoutingProfile::previous_layers, 4);
  for (int layer = 0; layer < 3; ++layer)
    for (int e = 0; e < 4; ++e) profile.row(RoutingProfile::previous_layers, layer, e)[(e + 1) % 4] = 40;
  auto made = generator(profile, 0, 10);
  const auto rows = rows_of(made, 0);
  for (std::size_t i = 1; i < rows.size(); ++i) REQUIRE(rows[i] == (rows[i - 1] + 1) % 4);
}

TEST_CASE("profile: a path says which experts, segment by segment, for prompt and decoded tokens") {
  auto profile = flat(1, 4, 1);
  profile.segment_tokens = 2;
  profile.resize(RoutingProfile::latent, 1);
  // Scores 0, 40, 80, 120 times z: z = 1 names expert 3, z = -1 expert 0.
  for (int e = 0; e < 4; ++e) profile.row(RoutingProfile::latent, 0, 0)[e] = 40.0f * static_cast<float>(e);
  profile.path = {{0, 1, 2}, {3, 1, 2}};
  profile.paths = {1, -1, 1, 1, -1, 1};
  auto made = generator(profile, 3, 6);
  // Prompt: its one segment again and again. Decoded: -1, 1, then from its start.
  CHECK(rows_of(made, 0) == std::vector<std::int16_t>{3, 3, 3, 0, 0, 3, 3, 0, 0});
}

TEST_CASE("profile: experts chosen together follow from the ranks above") {
  auto profile = flat(1, 6, 2);
  profile.resize(RoutingProfile::together, 6);
  for (int e = 0; e < 6; ++e) profile.row(RoutingProfile::together, 0, e)[(e + 3) % 6] = 40;
  auto made = generator(profile, 0, 100);
  const auto rows = rows_of(made, 0);
  for (std::size_t i = 0; i < rows.size(); i += 2) REQUIRE(rows[i + 1] == (rows[i] + 3) % 6);
}

TEST_CASE("profile: a request does not depend on who reads it, when, or beside which others") {
  auto profile = flat(2, 16, 2);
  profile.weights = {0.75f, 0.25f, 0.5f, 0.5f};
  auto a = generator(profile, 3, 20, 4), b = generator(profile, 3, 20, 4);
  const auto second = rows_of(a, 1);
  rows_of(b, 3);
  std::vector<std::int16_t> row(4);
  b.read(1, 20, 1, row);  // ahead, then back
  CHECK(std::equal(row.begin(), row.end(), second.begin() + 20 * 4));
  CHECK(rows_of(b, 1) == second);
  CHECK(rows_of(a, 0) != second);
  std::vector<float> together(8), single(4);
  a.read_weights(2, 4, 2, together);
  b.read_weights(2, 5, 1, single);
  CHECK(std::equal(single.begin(), single.end(), together.begin() + 4));
  CHECK_THROWS_AS(a.read(0, 23, 1, row), InputError);
  CHECK_THROWS_AS(a.read(4, 0, 1, row), InputError);
}

TEST_CASE("profile: marginals match the counts, and layers without any take their neighbour's") {
  auto profile = fit_marginals({{40, 30, 20, 10}, {0, 0, 0, 0}}, 2, 1);
  CHECK(profile.marginals_only);
  auto made = generator(profile, 0, 100'000);
  CHECK(made.description().find("popularity alone") != std::string::npos);
  const auto counts = statistics(made).counts;
  // 200,000 draws a layer; the fit simulates 20,000 tokens: standard deviation of a share about .003.
  for (std::size_t e = 0; e < 4; ++e)
    CHECK(std::abs(static_cast<double>(counts[0][e]) / 200'000 - 0.1 * static_cast<double>(4 - e)) < 0.01);
  auto other = counts[1];
  std::sort(other.rbegin(), other.rend());
  for (std::size_t e = 0; e < 4; ++e)
    CHECK(std::abs(static_cast<double>(other[e]) / 200'000 - 0.1 * static_cast<double>(4 - e)) < 0.01);
  CHECK(message_of([] { fit_marginals({{0, 0}}, 1, 1); }).find("no counts") != std::string::npos);
  CHECK(message_of([] {
          fit_marginals({{5, 0}}, 2, 1);
        }).find("1 experts with a count") != std::string::npos);
}

TEST_CASE("profile: a fit finds popularity, reuse and what follows in the next layer") {
  RoutingOptions options;
  options.layers = 3;
  options.experts = 8;
  options.top_k = 2;
  options.requests = 40;
  options.output_tokens = 200;
  options.zipf = 1;
  options.reuse = 0.4;
  options.correlation = 0.6;
  options.seed = 1;
  RoutingGenerator truth(options);
  ProfileFit fit;
  fit.latents = 2;
  fit.passes = 2;
  auto made = generator(fit_profile(truth, fit), 0, 200, 40);
  const auto a = statistics(truth), b = statistics(made);
  CHECK(b.decode_overlap == doctest::Approx(a.decode_overlap).epsilon(0.05));
  for (std::size_t layer = 0; layer < 3; ++layer)
    for (std::size_t e = 0; e < 8; ++e)  // shares of tokens, of about 3,000 that are independent
      CHECK(std::abs(static_cast<double>(a.counts[layer][e] - b.counts[layer][e]) / 8'000) < 0.06);
}

TEST_CASE("profile: a saved file reads back the same, and another fit of the same seed is the same") {
  RoutingOptions options;
  options.layers = 2;
  options.experts = 8;
  options.top_k = 2;
  options.requests = 3;
  options.prompt_tokens = 10;
  options.output_tokens = 40;
  RoutingGenerator truth(options);
  ProfileFit fit;
  fit.latents = 3;
  fit.passes = 2;
  fit.pairs = true;
  auto profile = fit_profile(truth, fit);
  profile.model = "m";
  profile.notes = "n";
  const TemporaryFolder folder;
  profile.save(folder / "p.h5");
  const auto read = RoutingProfile::load((folder / "p.h5").string());
  CHECK(read.model == "m");
  CHECK(read.notes == "n");
  auto a = generator(profile, 5, 30), b = generator(read, 5, 30),
       c = generator(fit_profile(truth, fit), 5, 30);
  CHECK(rows_of(a, 0) == rows_of(b, 0));
  CHECK(rows_of(a, 0) == rows_of(c, 0));
}

TEST_CASE("profile: files that are none, or contradict themselves, are refused") {
  const TemporaryFolder folder;
  const auto name = (folder / "p.h5").string();
  CHECK(message_of([] {
          RoutingProfile::load("nothing");
        }).find("no routing profile \"nothing\"; expected a file, or") != std::string::npos);
  const auto broken = [&](const auto& change) {
    auto profile = flat(2, 4, 1);
    profile.save(name);
    {
      H5File file = H5File::modify(name);
      change(file);
    }
    return message_of([&] { RoutingProfile::load(name); });
  };
  CHECK(broken([](H5File&) {}) == "");
  CHECK(broken([](H5File& f) { f.set("/", "format", "other"); }).find("is no routing profile") !=
        std::string::npos);
  CHECK(broken([](H5File& f) { f.set("/", "version", std::int64_t{9}); }).find("version 9") !=
        std::string::npos);
  CHECK(broken([](H5File& f) { f.set("/", "top_k", std::int64_t{5}); }).find("top_k = 5; expected 1 to 4") !=
        std::string::npos);
  CHECK(broken([](H5File& f) { f.set("/", "experts", std::int64_t{5}); }).find("/base: another shape") !=
        std::string::npos);
  CHECK(broken([](H5File& f) { f.set("/", "sharpness", -1.0); }).find("sharpness") != std::string::npos);
  CHECK(broken([](H5File& f) {  // the sum of both lengths is beyond an int
          f.write<std::int8_t>("/latent", std::vector<std::int8_t>(8), {2, 1, 4});
          f.write("/latent_scale", std::vector<float>{1, 1});
          f.write<std::int8_t>("/paths", std::vector<std::int8_t>(2), {2, 1});
          f.write("/paths_scale", std::vector<float>{1});
          f.write("/path_prefill", std::vector<std::int32_t>{INT32_MAX});
          f.write("/path_decode", std::vector<std::int32_t>{INT32_MAX});
        })
            .find("path 0; expected segments of /paths, which has 2") != std::string::npos);
  CHECK(broken([](H5File& f) {
          f.write("/position_first", std::vector<std::int32_t>{0});
        }).find("/position") != std::string::npos);
}

TEST_CASE("subset: requests in another order, and pieces of one") {
  RoutingOptions options;
  options.layers = 2;
  options.experts = 8;
  options.top_k = 2;
  options.requests = 3;
  options.prompt_tokens = 4;
  options.output_tokens = 6;
  RoutingGenerator source(options);
  const auto whole = rows_of(source, 2);
  RoutingSubset subset(source, {{2, true, 0, 6}, {2, false, 4, 2}, {2, true, 3, 1}});
  CHECK(rows_of(subset, 0) == whole);
  CHECK(rows_of(subset, 1) == std::vector<std::int16_t>(whole.end() - 2 * 4, whole.end()));
  auto prompt_and_one = std::vector<std::int16_t>(whole.begin(), whole.begin() + 4 * 4);
  prompt_and_one.insert(prompt_and_one.end(), whole.begin() + 7 * 4, whole.begin() + 8 * 4);
  CHECK(rows_of(subset, 2) == prompt_and_one);
  CHECK_THROWS_AS(RoutingSubset(source, {{2, true, 4, 3}}), InputError);

  const auto halves = split(source, 0.4, 1);  // 1.2 of 3 requests
  CHECK(halves.fit.size() == 2);
  CHECK(halves.held_out.size() == 1);
  options.requests = 1;
  RoutingGenerator single(options);
  const auto tokens = split(single, 0.5, 1);
  CHECK(tokens.fit.front().decode_rows == 3);
  CHECK(tokens.held_out.front().first_decode == 3);
}

}  // namespace specmoe
