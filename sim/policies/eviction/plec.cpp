// ExpertFlow's predictive locality-aware expert caching (arXiv 2410.17954, the expert cache engine), as a rule for who
// leaves: first what was predicted for a layer that then did not want it, then, by recency, what has no prediction, so
// that slots of layers already computed serve the coming ones; last what is predicted for a coming layer. Slots go to
// layers by predicted demand, not in equal parts. Meant for the predictor "path", which predicts all layers of a pass at
// once; without a predictor it is LRU.
//
// The seed's expertflow_plec ran an online heuristic instead (co-occurrence and recency), prefetched (id, score) pairs as
// if they were ids, and crashed on ties of its queue.
#include "sim/policies/eviction/order.hpp"

namespace specmoe {
namespace {

class Plec : public EvictionPolicy {
 public:
  explicit Plec(const EvictionContext& context)
      : context_(context),
        unwanted_(context),
        plain_(context),
        expected_(context),
        entries_(context.all_experts()),
        predicted_(static_cast<std::size_t>(context.layers)) {}

  void predicted(ExpertId id) override {
    if (place(id) != Place::expected) predicted_[static_cast<std::size_t>(id.layer)].push_back(id.expert);
    move(id, Place::expected);
  }
  void routed(const StepRouting& step, int layer) override {
    auto& predicted = predicted_[static_cast<std::size_t>(layer)];
    if (predicted.empty()) return;
    wanted_.assign(static_cast<std::size_t>(context_.experts), false);
    for (std::int64_t token = 0; token < step.tokens; ++token)
      for (const std::int16_t expert : step.at(token, layer))
        if (expert >= 0) wanted_[static_cast<std::size_t>(expert)] = true;
    for (const std::int32_t expert : predicted)
      if (place({layer, expert}) == Place::expected)
        move({layer, expert}, wanted_[static_cast<std::size_t>(expert)] ? Place::plain : Place::unwanted);
    predicted.clear();
  }
  void entered(ExpertId id) override {
    place(id) = Place::plain;
    plain_.add_last(id);
  }
  void used(ExpertId id) override { move(id, Place::plain); }
  void left(ExpertId id) override {
    order(place(id)).remove(id);
    place(id) = Place::plain;
  }
  std::optional<ExpertId> victim(const std::function<bool(ExpertId)>& may_leave) override {
    for (LeavingOrder* each : {&unwanted_, &plain_, &expected_})
      if (const auto id = each->first(may_leave)) return id;
    return std::nullopt;
  }

 private:
  enum class Place : std::uint8_t { plain, unwanted, expected };
  Place& place(ExpertId id) { return entries_[context_.index(id)]; }
  LeavingOrder& order(Place at) {
    return at == Place::plain ? plain_ : at == Place::unwanted ? unwanted_ : expected_;
  }
  void move(ExpertId id, Place to) {
    order(place(id)).remove(id);
    place(id) = to;
    order(to).add_last(id);
  }

  EvictionContext context_;
  LeavingOrder unwanted_, plain_, expected_;
  std::vector<Place> entries_;
  std::vector<std::vector<std::int32_t>> predicted_;  // [layer], for its coming pass
  std::vector<bool> wanted_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_plec(const EvictionContext& context) {
  return std::make_unique<Plec>(context);
}

}  // namespace specmoe
