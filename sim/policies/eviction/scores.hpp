// Held experts by a score: what policies that rank by a number share. A victim costs a look at each layer's lowest and
// a search of the layers that have changed, not of all experts.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "sim/policies/eviction.hpp"

namespace specmoe {

/// The scores of all experts, held or not.
class Scores {
 public:
  explicit Scores(const EvictionContext& context)
      : context_(context),
        entries_(context.all_experts()),
        layers_(static_cast<std::size_t>(context.layers)) {}

  /// Of an expert held or not; 0 at first.
  double score(ExpertId id) const { return entry(id).score; }
  void set_score(ExpertId id, double score) {
    entry(id).score = score;
    if (entry(id).held) layer(id).known = false;
  }
  /// An expert is of group 0 or 1, at first 0. Victims are weighed by layer, group and score.
  void set_group(ExpertId id, bool group) {
    if (entry(id).group == group) return;
    entry(id).group = group;
    if (entry(id).held) layer(id).known = false;
  }

  void entered(ExpertId id) {
    entry(id).held = true;
    ++layer(id).held;
    touch(id);
  }
  /// Among equals the one touched longest ago is the lowest.
  void touch(ExpertId id) {
    entry(id).last = ++clock_;
    layer(id).known = false;
  }
  void left(ExpertId id) {
    entry(id).held = false;
    --layer(id).held;
    layer(id).known = false;
  }

  /// The held expert of the least weight(layer, group, score). @param weight must not fall where the score rises
  template <class Weight>
  std::optional<ExpertId> lowest(const std::function<bool(ExpertId)>& may_leave, Weight weight) {
    std::optional<ExpertId> best;
    double best_weight = 0;
    const auto better = [&](int at, int group, ExpertId id) {
      const double w = weight(at, group, entry(id).score);
      return !best || w < best_weight || (w == best_weight && entry(id).last < entry(*best).last);
    };
    const auto take = [&](int at, int group, ExpertId id) {
      best = id;
      best_weight = weight(at, group, entry(id).score);
    };
    for (int at = 0; at < context_.layers; ++at) {
      Layer& here = layers_[static_cast<std::size_t>(at)];
      if (here.held == 0) continue;
      if (!here.known) look(at);
      for (const int group : {0, 1}) {
        const ExpertId first{at, here.lowest[group]};
        if (first.expert < 0 || !better(at, group, first)) continue;
        if (may_leave(first)) {
          take(at, group, first);
          continue;
        }
        for (ExpertId id{at, 0}; id.expert < context_.experts; ++id.expert)
          if (entry(id).held && entry(id).group == (group == 1) && better(at, group, id) && may_leave(id))
            take(at, group, id);
      }
    }
    return best;
  }
  std::optional<ExpertId> lowest(const std::function<bool(ExpertId)>& may_leave) {
    return lowest(may_leave, [](int, int, double score) { return score; });
  }

 private:
  struct Entry {
    double score = 0;
    std::int64_t last = 0;
    bool held = false, group = false;
  };
  struct Layer {
    int held = 0;
    bool known = false;        // whether `lowest` is
    int lowest[2] = {-1, -1};  // of each group
  };
  Entry& entry(ExpertId id) { return entries_[context_.index(id)]; }
  const Entry& entry(ExpertId id) const { return entries_[context_.index(id)]; }
  Layer& layer(ExpertId id) { return layers_[static_cast<std::size_t>(id.layer)]; }

  void look(int at) {
    Layer& here = layers_[static_cast<std::size_t>(at)];
    here = {here.held, true, {-1, -1}};
    const Entry* const first = &entry({at, 0});
    for (int expert = 0; expert < context_.experts; ++expert) {
      const Entry& each = first[expert];
      if (!each.held) continue;
      int& lowest = here.lowest[each.group ? 1 : 0];
      if (lowest < 0 || each.score < first[lowest].score ||
          (each.score == first[lowest].score && each.last < first[lowest].last))
        lowest = expert;
    }
  }

  EvictionContext context_;
  std::vector<Entry> entries_;
  std::vector<Layer> layers_;
  std::int64_t clock_ = 0;
};

}  // namespace specmoe
