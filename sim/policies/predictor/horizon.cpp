// The gate with an adaptive horizon (ExpertFlow, arXiv 2510.26730, whose step size grows when the GPU waits and shrinks
// when predictions fail). It looks 1 .. `window` layers ahead, at first 1. After each step the horizon grows by a layer
// if more than `missing` of the step's accesses found their expert not held, unless more than `wrong` of what had been
// named was not wanted: then it shrinks by one. ExpertFlow decides by measured times, bandwidth and the spread of the
// batch's embeddings; here it is counts alone, so that a real and a simulated GPU decide alike.
#include "sim/policies/predictor/spoiled.hpp"

namespace specmoe {
namespace {

class Horizon : public Predictor {
 public:
  explicit Horizon(const PredictorContext& context)
      : context_(context),
        truth_(context, "gate"),
        missing_(context.parameters.number("missing")),
        wrong_(context.parameters.number("wrong")),
        named_(static_cast<std::size_t>(context.layers)) {
    if (!context.held) throw std::logic_error("horizon: built without a cache to look into");
  }

  void observe(const StepRouting& step, int layer) override {
    if (layer == step.first_layer) adapt();
    wanted_.assign(static_cast<std::size_t>(context_.experts), false);
    for (std::int64_t token = 0; token < step.tokens; ++token)
      for (const std::int16_t expert : step.at(token, layer)) {
        if (expert < 0 || wanted_[static_cast<std::size_t>(expert)]) continue;
        wanted_[static_cast<std::size_t>(expert)] = true;
        ++accesses_;
        if (!context_.held({layer, expert})) ++misses_;
      }
    auto& named = named_[static_cast<std::size_t>(layer)];
    for (const ExpertId id : named) wrong_names_ += !wanted_[static_cast<std::size_t>(id.expert)];
    names_ += std::ssize(named);
    named.clear();
  }
  void predict(const StepRouting& step, const StepRouting*, int layer, int distance,
               std::vector<ExpertId>& out) override {
    const auto target = look_ahead(step, nullptr, layer, distance);
    if (!target || distance > horizon_) return;
    truth_.name(step, target->layer, truth_.accuracy(target->layer, distance), 0, out);
    auto& named = named_[static_cast<std::size_t>(target->layer)];
    named.insert(named.end(), out.begin(), out.end());
  }
  bool runs_router() const override { return true; }

 private:
  void adapt() {
    const auto above = [](std::int64_t part, std::int64_t of, double share) {
      return static_cast<double>(part) > share * static_cast<double>(of);
    };
    if (above(wrong_names_, names_, wrong_))
      horizon_ = std::max(1, horizon_ - 1);
    else if (above(misses_, accesses_, missing_))
      horizon_ = std::min(context_.window, horizon_ + 1);
    accesses_ = misses_ = names_ = wrong_names_ = 0;
  }

  PredictorContext context_;
  SpoiledTruth truth_;
  double missing_, wrong_;
  int horizon_ = 1;
  std::int64_t accesses_ = 0, misses_ = 0, names_ = 0, wrong_names_ = 0;  // of this step
  std::vector<std::vector<ExpertId>> named_;                              // [layer], for its coming pass
  std::vector<bool> wanted_;
};

}  // namespace

std::unique_ptr<Predictor> make_horizon(const PredictorContext& context) {
  return std::make_unique<Horizon>(context);
}

}  // namespace specmoe
