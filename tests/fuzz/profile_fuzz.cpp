// Routing profiles, and some tokens made from them.
#include <filesystem>
#include <string>
#include <vector>

#include "models/moe/routing/profile_generator.hpp"
#include "tests/fuzz/h5_edits.hpp"

using namespace specmoe;
using fuzz::written;
using Path = std::filesystem::path;

namespace {

constexpr int kLayers = 2, kExperts = 8, kTopK = 2;

std::vector<std::string> sound_profiles() {
  return {written([](const Path& file) {
    RoutingProfile p;
    p.layers = kLayers;
    p.experts = kExperts;
    p.top_k = kTopK;
    p.segment_tokens = 2;
    for (const auto part : {RoutingProfile::base, RoutingProfile::latent}) p.resize(part, 1);
    for (const auto part :
         {RoutingProfile::previous_layers, RoutingProfile::previous_token, RoutingProfile::together})
      p.resize(part, kExperts);
    p.resize(RoutingProfile::position, 2);
    p.position_first = {0, 4};
    p.path = {{0, 1, 2}, {3, 0, 1}};
    p.paths = {0.5F, 1, -1, 0};
    p.weights.assign(kLayers * 3 * kTopK, 0.5F);
    p.fitted = {{0, 3}, {1, 2}};
    p.save(file);
  })};
}

void read_profile(const Path& file) {
  ProfileOptions options;
  options.requests = 1;
  options.prompt_tokens = 3;
  options.output_tokens = 6;
  const RoutingProfile profile = RoutingProfile::load(file.string());
  // What a scenario checks before it makes tokens.
  if (profile.layers != kLayers || profile.experts != kExperts || profile.top_k != kTopK) return;
  ProfileGenerator made(profile, options);
  std::vector<std::int16_t> rows(9 * kLayers * kTopK);
  made.read(0, 0, 9, rows);
  std::vector<float> weights(rows.size());
  if (made.has_weights()) made.read_weights(0, 0, 9, weights);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::change_and_read(sound_profiles, read_profile, data, size);
}
