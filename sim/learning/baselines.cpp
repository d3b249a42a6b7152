#include <fmt/format.h>

#include <array>

#include "sim/base/input_error.hpp"
#include "sim/learning/guesser.hpp"

namespace specmoe {

std::unique_ptr<Guesser> make_uniform_guesser(std::uint64_t seed);
std::unique_ptr<Guesser> make_popularity_guesser(std::uint64_t seed);
std::unique_ptr<Guesser> make_previous_token_guesser(std::uint64_t seed);
std::unique_ptr<Guesser> make_token_id_guesser(std::uint64_t seed);
std::unique_ptr<Guesser> make_transition_guesser(std::uint64_t seed);
std::unique_ptr<Guesser> make_trace_match_guesser(std::uint64_t seed);
std::unique_ptr<Guesser> make_ridge_guesser(std::uint64_t seed);

std::span<const BaselineKind> baseline_kinds() {
  static constexpr std::array kinds{
      BaselineKind{"uniform", "any experts", "", make_uniform_guesser},
      BaselineKind{"popularity", "the layer's most popular experts", "", make_popularity_guesser},
      BaselineKind{"previous-token", "what the token before used in the layer, then popularity", "",
                   make_previous_token_guesser},
      BaselineKind{"token-id", "what tokens of the same id used in the layer", "", make_token_id_guesser,
                   true},
      BaselineKind{"transition", "what tokens at the present layer's experts went on to",
                   "ExFlow (2401.08383)", make_transition_guesser},
      BaselineKind{"trace-match", "what the request used that is most like this one so far",
                   "MoE-Infinity (2401.14361)", make_trace_match_guesser},
      BaselineKind{"ridge", "linear in the experts of the last four layers and of the token before", "",
                   make_ridge_guesser},
  };
  return kinds;
}

const BaselineKind& baseline_named(const std::string& name) {
  std::string known;
  for (const auto& kind : baseline_kinds()) {
    if (kind.name == name) return kind;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", kind.name);
  }
  throw InputError("", 0, fmt::format("baseline \"{}\" is unknown", name), "one of " + known);
}

}  // namespace specmoe
