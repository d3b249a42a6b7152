// FineMoE's expert maps (arXiv 2502.05370): a map holds the gate's probabilities of one pass of a sequence, [layer,
// expert]. The pass under way goes on as the stored map whose layers up to the present one are most alike (cosine, the
// trajectory search of section 4.2.2). Of a coming layer it names the likeliest experts until their probabilities sum up
// to clip(1 - cosine, 0, 1), and at least top-k: the less sure, the more. A full store replaces the map most like the new
// one. Traces hold the chosen experts' weights, not all probabilities, and no embeddings: the search by meaning that
// FineMoE uses for its first layers is left out. Without weights each chosen expert has 1 / k. A prompt's chunk is one
// pass, its tokens together.
#include <cmath>
#include <map>

#include "sim/policies/predictor.hpp"
#include "sim/policies/predictor/ranking.hpp"

namespace specmoe {
namespace {

class ExpertMap : public Predictor {
 public:
  explicit ExpertMap(const PredictorContext& context)
      : context_(context),
        store_(static_cast<std::size_t>(context.parameters.whole("maps"))),
        maps_(at(context.layers) * store_),
        squares_(static_cast<std::size_t>(context.layers) * store_),
        ranking_(context.experts) {}

  void observe(const StepRouting& step, int layer) override {
    if (layer == step.first_layer) passes_.clear();
    for (std::int64_t token = 0; token < step.tokens;) {
      const std::int64_t request = step.request_of(token);
      Pass& pass = passes_[request];
      pass.map.resize(at(context_.layers));
      pass.products.resize(store_);
      float* const row = &pass.map[at(layer)];
      const std::int64_t first = token;
      while (token < step.tokens && step.request_of(token) == request) ++token;
      for (std::int64_t each = first; each < token; ++each) {
        const auto weights = step.weights_at(each, layer);
        const auto experts = step.at(each, layer);
        for (std::size_t rank = 0; rank < experts.size(); ++rank)
          if (experts[rank] >= 0)
            row[experts[rank]] += (weights.empty() ? 1.0F / static_cast<float>(step.top_k) : weights[rank]) /
                                  static_cast<float>(token - first);
      }
      for (int expert = 0; expert < context_.experts; ++expert) {
        if (row[expert] == 0) continue;
        pass.square += row[expert] * row[expert];
        const float* const stored = &maps_[at(layer, expert) * store_];
        for (std::size_t i = 0; i < stored_; ++i) pass.products[i] += row[expert] * stored[i];
      }
      find_match(pass, layer);
    }
    if (layer + 1 == step.end_layer)
      for (auto& [request, pass] : passes_) keep(pass);
  }
  void predict(const StepRouting& step, const StepRouting*, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, nullptr, layer, distance);
    if (!target) return;
    ranking_.clear();
    for (const auto& [request, pass] : passes_) {
      if (pass.match == stored_) continue;
      float sum = 0;
      const auto enough = [&, cosine = pass.cosine](std::size_t before, float probability) {
        const bool stop = before >= static_cast<std::size_t>(context_.top_k) && sum >= 1 - cosine;
        sum += probability;
        return stop;
      };
      probabilities_.clear();
      for (int expert = 0; expert < context_.experts; ++expert)
        probabilities_.push_back(maps_[at(target->layer, expert) * store_ + pass.match]);
      ranking_.name(probabilities_, target->layer, probabilities_.size(), enough, out);
    }
  }

 private:
  struct Pass {
    std::vector<float> map;       // [layer, expert]
    float square = 0;             // of its layers so far
    std::vector<float> products;  // [stored] with its layers so far
    std::size_t match = 0;        // the most alike; stored_ for none
    float cosine = 0;
  };
  std::size_t at(int layer, int expert = 0) const {
    return static_cast<std::size_t>(layer) * static_cast<std::size_t>(context_.experts) +
           static_cast<std::size_t>(expert);
  }
  void find_match(Pass& pass, int layer) const {
    pass.match = stored_;
    pass.cosine = -1;
    const float* const squares = &squares_[static_cast<std::size_t>(layer) * store_];
    for (std::size_t i = 0; i < stored_; ++i) {
      const float product = pass.square * squares[i];
      const float cosine = product > 0 ? pass.products[i] / std::sqrt(product) : 0;
      if (cosine <= pass.cosine) continue;
      pass.cosine = cosine;
      pass.match = i;
    }
  }
  void keep(const Pass& pass) {
    const std::size_t place = stored_ < store_ ? stored_++ : pass.match;
    float square = 0;
    for (int layer = 0; layer < context_.layers; ++layer) {
      for (int expert = 0; expert < context_.experts; ++expert) {
        const float probability = pass.map[at(layer, expert)];
        square += probability * probability;
        maps_[at(layer, expert) * store_ + place] = probability;
      }
      squares_[static_cast<std::size_t>(layer) * store_ + place] = square;
    }
  }

  PredictorContext context_;
  std::size_t store_, stored_ = 0;       // how many it keeps, and has
  std::vector<float> maps_;              // [layer, expert, stored]
  std::vector<float> squares_;           // [layer, stored], summed up to the layer
  std::map<std::int64_t, Pass> passes_;  // of this step, by request
  Ranking ranking_;
  std::vector<float> probabilities_;
};

}  // namespace

std::unique_ptr<Predictor> make_expert_map(const PredictorContext& context) {
  return std::make_unique<ExpertMap>(context);
}

}  // namespace specmoe
