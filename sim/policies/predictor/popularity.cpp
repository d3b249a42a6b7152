// The most popular experts of a coming layer, whatever the token: counted before the run.
#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "sim/policies/predictor.hpp"

namespace specmoe {
namespace {

class Popularity : public Predictor {
 public:
  explicit Popularity(const PredictorContext& context) : width_(context.names()) {
    if (!context.popularity) throw std::logic_error("popularity: built without counts");
    for (const auto& counts : *context.popularity) {
      std::vector<std::int32_t> order(counts.size());
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
        return counts[static_cast<std::size_t>(a)] > counts[static_cast<std::size_t>(b)];
      });
      order.resize(width_);
      order_.push_back(std::move(order));
    }
  }

  void predict(const StepRouting& step, const StepRouting* next, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, next, layer, distance);
    if (!target) return;
    for (const std::int32_t expert : order_[static_cast<std::size_t>(target->layer)])
      out.push_back({target->layer, expert});
  }

 private:
  std::size_t width_;
  std::vector<std::vector<std::int32_t>> order_;  // [layer][rank]
};

}  // namespace

std::unique_ptr<Predictor> make_popularity(const PredictorContext& context) {
  return std::make_unique<Popularity>(context);
}

}  // namespace specmoe
