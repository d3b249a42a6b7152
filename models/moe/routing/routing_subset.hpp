// Some requests of a source, or pieces of them, as a source.
#pragma once
#include <string>
#include <vector>

#include "models/moe/routing/routing.hpp"

namespace specmoe {

/// A view; the source must outlive it, and is read through it.
class RoutingSubset : public RoutingSource {
 public:
  /// A request, whole or a piece: its prefill rows or none of them, and decode_rows decoded tokens
  /// from first_decode on.
  struct Part {
    std::int64_t request = 0;
    bool prefill = true;
    std::int64_t first_decode = 0, decode_rows = 0;
  };
  /// @throws InputError if the source has no such rows.
  RoutingSubset(RoutingSource& source, std::vector<Part> parts);

  int layers() const override { return source_.layers(); }
  int experts() const override { return source_.experts(); }
  int top_k() const override { return source_.top_k(); }
  std::int64_t requests() const override { return std::ssize(parts_); }
  RequestInfo request(std::int64_t index) const override;
  void read(std::int64_t request, std::int64_t first_row, std::int64_t rows,
            std::span<std::int16_t> out) override;
  bool has_weights() const override { return source_.has_weights(); }
  void read_weights(std::int64_t request, std::int64_t first_row, std::int64_t rows,
                    std::span<float> out) override;
  std::string description() const override;
  const std::vector<Part>& parts() const { return parts_; }

 private:
  template <class Read>
  void pieces(std::int64_t request, std::int64_t first_row, std::int64_t rows, const Read& read) const;

  RoutingSource& source_;
  std::vector<Part> parts_;
};

/// A source cut in two, to fit on one part and to score on the other. Of several requests the held out are a seeded
/// random `share`, at least one; both parts are in seeded random order, since recordings are often sorted by data
/// set. Of a single request the last `share` of its decoded tokens is held out.
/// @param share 0 to 1; 0 holds out nothing.
/// @throws InputError if the share leaves nothing to fit on.
struct RoutingSplit {
  std::vector<RoutingSubset::Part> fit, held_out;
};
RoutingSplit split(const RoutingSource& source, double share, std::uint64_t seed);

}  // namespace specmoe
