#include "sim/engine/prefetcher.hpp"

#include <algorithm>

namespace specmoe {

Prefetcher::Prefetcher(const RoutingSource& source, const EngineSettings& settings, ExpertLoads& loads)
    : settings_(settings),
      loads_(loads),
      experts_(source.experts()),
      protected_(static_cast<std::size_t>(source.layers())),
      queue_(static_cast<std::size_t>(source.layers())) {
  if (settings.predictor)
    predictor_ = settings.predictor->make(
        {source.layers(), experts_, source.top_k(), settings.seed, &settings.popularity, settings.accuracy,
         settings.width, settings.window, [this](ExpertId expert) { return loads_.cache().holds(expert); },
         settings.predictor_parameters});
  if (settings.prefetch_queue)
    loads_.on_eviction = [this](ExpertId leaver) {
      std::erase(queue_[static_cast<std::size_t>(leaver.layer)], leaver);
    };
}

void Prefetcher::begin_layer(int layer, const std::vector<std::vector<ExpertUse>>& waves,
                             StepRecord& record) {
  std::vector<ExpertId> waiting = std::move(queue_[static_cast<std::size_t>(layer)]);
  queue_[static_cast<std::size_t>(layer)].clear();
  if (waiting.empty()) return;
  std::vector<bool> wanted(static_cast<std::size_t>(experts_), false);
  for (const auto& wave : waves)
    for (const ExpertUse& use : wave) wanted[static_cast<std::size_t>(use.expert)] = true;
  for (const ExpertId expert : waiting) {
    const bool partial = loads_.is_partial(expert);
    if (wanted[static_cast<std::size_t>(expert.expert)]) {
      if (partial) loads_.finish(expert, record);
    } else if (partial) {
      // Its pins are those of this layer's expectations.
      while (loads_.cache().pinned(expert)) {
        auto& held = protected_[static_cast<std::size_t>(layer)];
        held.erase(std::find(held.begin(), held.end(), expert));
        loads_.cache().unpin(expert);
      }
      loads_.drop(expert, record);
    } else if (!loads_.cache().holds(expert)) {
      ++record.counters.dropped;
    }
  }
}

bool Prefetcher::affords(Bytes bytes) const {
  if (settings_.prefetch_budget && visit_issued_ + bytes > *settings_.prefetch_budget) return false;
  return !settings_.prefetch_step_budget || step_issued_ + bytes <= *settings_.prefetch_step_budget;
}

void Prefetcher::hold(ExpertId expert) {
  loads_.cache().predicted(expert);
  loads_.cache().pin(expert);
  protected_[static_cast<std::size_t>(expert.layer)].push_back(expert);
}

void Prefetcher::prefetch(const StepRouting& step, const StepRouting* next, int layer, StepRecord& record) {
  if (!predictor_) return;
  visit_issued_ = {};
  for (int distance = 1; distance <= settings_.window; ++distance) {
    predictions_.clear();
    predictor_->predict(step, next, layer, distance, predictions_);
    for (const ExpertId expert : predictions_) {
      if (expert.layer < settings_.cpu_layers) continue;
      if (loads_.cache().holds(expert)) {
        hold(expert);
        continue;
      }
      auto& queue = queue_[static_cast<std::size_t>(expert.layer)];
      if (settings_.prefetch_queue) {
        if (std::find(queue.begin(), queue.end(), expert) != queue.end()) continue;
        queue.push_back(expert);
        ++record.counters.requested;
        continue;
      }
      ++record.counters.requested;
      const Bytes bytes = loads_.bytes(expert);
      if (!affords(bytes) || !loads_.load(expert, true, record)) continue;
      ++record.counters.issued;
      visit_issued_ += bytes;
      step_issued_ += bytes;
      hold(expert);
    }
  }
  if (settings_.prefetch_queue) issue_queue(layer, record);
}

void Prefetcher::issue_queue(int layer, StepRecord& record) {
  const int layers = static_cast<int>(queue_.size());
  for (int ahead = 1; ahead <= layers; ++ahead) {
    auto& queue = queue_[static_cast<std::size_t>((layer + ahead) % layers)];
    const std::vector<ExpertId> waiting = queue;  // what is begun may evict another that was
    for (const ExpertId expert : waiting) {
      if (std::find(queue.begin(), queue.end(), expert) == queue.end()) continue;
      if (!loads_.cache().holds(expert)) {
        if (!affords(settings_.pieces.piece(loads_.bytes(expert)))) return;
        if (!loads_.begin(expert, loads_.bytes(expert), true, record)) continue;
        ++record.counters.issued;
        hold(expert);
      }
      while (loads_.next_piece(expert) > Bytes{0}) {
        const Bytes bytes = loads_.next_piece(expert);
        if (!affords(bytes)) return;
        loads_.copy_piece(expert, true, record);
        visit_issued_ += bytes;
        step_issued_ += bytes;
      }
      std::erase(queue, expert);
    }
  }
}

void Prefetcher::release(int layer) {
  for (const ExpertId expert : protected_[static_cast<std::size_t>(layer)]) loads_.cache().unpin(expert);
  protected_[static_cast<std::size_t>(layer)].clear();
}

void Prefetcher::release_all() {
  for (int layer = 0; layer < static_cast<int>(protected_.size()); ++layer) release(layer);
}

}  // namespace specmoe
