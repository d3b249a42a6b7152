// Routing made from a profile: as many requests and tokens as asked for.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/moe/routing/routing.hpp"
#include "models/moe/routing/routing_profile.hpp"
#include "sim/base/random.hpp"

namespace specmoe {

/// What is made from a profile.
struct ProfileOptions {
  std::int64_t requests = 1;
  /// Of every request: that many prefill rows, then that many decode rows.
  std::int64_t prompt_tokens = 0, output_tokens = 0;
  /// Where not empty, the lengths of each request instead: [request].
  std::vector<RequestInfo> lengths;
  std::uint64_t seed = 0;
};

/// Each request follows a path drawn at random from the profile's, from its start (or, where there is only one path,
/// from anywhere in it), and begins it again when it is longer; its prompt follows the path's prompt if that was
/// recorded, else its decoded tokens. Gate weights are drawn from those of the layer, beside the choice of experts.
/// A request's routing depends on the profile, the seed and its index alone, not on who reads it, when, or beside
/// which others. Reading a request forwards takes constant memory; reading an earlier row again starts it over.
class ProfileGenerator : public RoutingSource {
 public:
  /// @throws InputError for options that no routing can have.
  ProfileGenerator(RoutingProfile profile, ProfileOptions options);

  int layers() const override { return profile_.layers; }
  int experts() const override { return profile_.experts; }
  int top_k() const override { return profile_.top_k; }
  std::int64_t requests() const override { return options_.requests; }
  RequestInfo request(std::int64_t index) const override;
  void read(std::int64_t request, std::int64_t first_row, std::int64_t rows,
            std::span<std::int16_t> out) override;
  bool has_weights() const override { return !profile_.weights.empty(); }
  void read_weights(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                    std::span<float> out) override;
  std::string description() const override;
  const RoutingProfile& profile() const { return profile_; }

 private:
  // Where the reading of a request stands: its random stream and the row that was made last.
  struct Progress {
    Random random;
    const RoutingProfile::Path* path = nullptr;
    std::int64_t start = 0;  // segments into the path
    std::int64_t next_row = 0;
    std::vector<std::int16_t> row, before;  // [layer, rank]
  };

  void check_rows(std::int64_t request, std::int64_t first_row, std::int64_t rows, std::size_t size) const;
  Progress begin(std::int64_t request) const;
  void advance(Progress& progress, const RequestInfo& info);
  const float* segment_scores(const Progress& progress, const RequestInfo& info);

  RoutingProfile profile_;  // times its sharpness; together: e to that power
  ProfileOptions options_;
  std::vector<std::vector<float>> segment_scores_;  // [segment] -> [layer, expert], made when first needed
  std::vector<RoutingProfile::Active> active_;
  std::vector<float> scores_;
  std::map<std::int64_t, Progress> progress_;  // by request
};

}  // namespace specmoe
