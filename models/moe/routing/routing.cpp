#include "models/moe/routing/routing.hpp"

#include <stdexcept>

namespace specmoe {

void RoutingSource::read_weights(std::int64_t, std::int64_t, std::int64_t, std::span<float>) {
  throw std::logic_error("this routing has no gate weights");
}

}  // namespace specmoe
