#include "sim/engine/routing_score.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "models/moe/routing/profile_generator.hpp"
#include "models/moe/routing/routing_subset.hpp"
#include "models/moe/routing/routing_trace.hpp"
#include "models/moe/routing/trace_import.hpp"
#include "sim/engine/next_layer_recall.hpp"
#include "tests/temporary_folder.hpp"

namespace specmoe {

TEST_CASE("score: recall of a table where the next layer's expert is certain, and where it is not") {
  // Two requests of 8 tokens, top-1 of 4: layer 1 is layer 0's expert plus one.
  DecodedRows rows{2, 4, 1, {{}, {}}};
  for (auto& request : rows.requests)
    for (std::int16_t token = 0; token < 8; ++token) {
      request.push_back(token % 4);
      request.push_back((token + 1) % 4);
    }
  CHECK(transition_recall(rows) == 1);
  CHECK(ridge_recall(rows) == 1);
  // Of one request the first half is learnt from: expert 3 of layer 0 is then never seen, and its row names the
  // first of all, expert 0, which is right once; every second token of the other half is right.
  DecodedRows one{2, 4, 1, {{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 3, 2, 0, 1, 3, 0}}};
  CHECK(transition_recall(one) == 0.75);
}

// A shipped profile against what it was not fitted on.
static void check_score(const std::string& profile_name, const std::string& recording,
                        const MeasureOptions& options, int runs, std::size_t least_held) {
  const auto input = std::filesystem::path(SPECMOE_SOURCE_DIR) / "../shared/data" / recording;
  if (!std::filesystem::exists(input)) {
    MESSAGE("SKIPPED: no " << recording << " beside the sources");
    return;
  }
  const TemporaryFolder folder;
  TraceImport import;
  import.inputs = {input};
  import.out = folder / "trace.h5";
  import_trace(import);
  const auto trace = RoutingTrace::open(import.out);
  const auto profile = RoutingProfile::load(profile_name);
  REQUIRE(profile.trace_requests == trace->requests());
  REQUIRE(profile.trace_tokens == trace->tokens());
  const auto parts = split(*trace, 0.5, 1);  // as it was fitted
  REQUIRE(profile.fitted.size() == parts.fit.size());
  for (std::size_t i = 0; i < parts.fit.size(); ++i) {
    REQUIRE(profile.fitted[i].request == parts.fit[i].request);
    REQUIRE(profile.fitted[i].decode_rows == parts.fit[i].decode_rows);
  }
  RoutingSubset held_out(*trace, parts.held_out);
  const auto lines =
      score_routing(held_out, options, runs, [&](const std::vector<RequestInfo>& lengths, int run) {
        ProfileOptions made;
        made.lengths = lengths;
        made.seed = static_cast<std::uint64_t>(run) + 1;
        return std::make_unique<ProfileGenerator>(profile, made);
      });
  std::size_t held = 0, targets = 0;
  for (const ScoreLine& line : lines) {
    if (line.target == 0) continue;
    ++targets;
    held += line.holds();
    if (!line.holds())
      MESSAGE(line.name << ": " << line.real << " recorded, " << line.generated << " generated");
  }
  INFO(held << " of " << targets << " targets");
  CHECK(held >= least_held);
}

TEST_CASE("score: the shipped profile of gpt-oss-20b holds every target on requests that it has not seen") {
  MeasureOptions options;
  options.tokens = 20'000;
  options.capacities = {0.2, 0.5};
  check_score("gpt-oss-20b", "gpt-oss-20b-routing", options, 1, 16);
}

TEST_CASE("score: the shipped profile of Gemma on the half of its one request that it has not seen") {
  MeasureOptions options;
  options.capacities = {0.1, 0.2, 0.5};
  check_score("gemma-4-26b-a4b", "bigmoeonedge-routing/gemma.route.csv.gz", options, 4, 19);
}

}  // namespace specmoe
