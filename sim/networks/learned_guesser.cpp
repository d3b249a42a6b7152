#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <tuple>

#include "sim/base/fnv.hpp"
#include "sim/base/input_error.hpp"
#include "sim/networks/batches.hpp"
#include "sim/networks/checkpoint.hpp"

namespace specmoe {
namespace {

using torch::Tensor;

class Learned : public LearnedGuesser {
 public:
  Learned(const std::filesystem::path& file, const LearningData& data, const std::filesystem::path& trace,
          const std::string& device)
      : name_(file.stem().string()), device_(find_device(device)), saved_(Checkpoint::load(file)) {
    const NetworkShape& shape = saved_.shape;
    for (const auto& [what, is, wants] : {std::tuple{"MoE layers", std::int64_t{data.layers}, shape.layers},
                                          {"experts", data.experts, shape.experts},
                                          {"experts a token", data.top_k, shape.top_k}})
      if (is != wants)
        throw InputError(file.string(), 0, fmt::format("its network is for {} {}", wants, what),
                         fmt::format("the recording's {}", is));
    if (shape.hidden > 0) {
      hidden_ = std::make_unique<HiddenStates>(trace);
      if (hidden_->width() != shape.hidden)
        throw InputError(trace.string(), 0, fmt::format("hidden states of {}", hidden_->width()),
                         fmt::format("{}, as the network was trained on", shape.hidden));
    }
    saved_.network->to(device_);
    batches_ = std::make_unique<Batches>(data, shape, saved_.known_ids, device_, hidden_.get());
    layers_ = all_layers(shape);
    std::vector<float> a, b;
    for (const auto& [slope, offset] : saved_.calibration) {
      a.push_back(static_cast<float>(slope));
      b.push_back(static_cast<float>(offset));
    }
    slope_ = torch::tensor(a).to(device_).view({-1, 1});
    offset_ = torch::tensor(b).to(device_).view({-1, 1});
    about_ = {.trace = saved_.trace,
              .recording = saved_.recording,
              .learnt = saved_.learnt,
              .split = saved_.split,
              .shape = shape,
              .seconds = saved_.seconds,
              .network = describe(*saved_.network, name_)};
  }

  std::string name() const override { return name_; }
  bool gives_probabilities() const override { return true; }
  const LearnedAbout& about() const override { return about_; }
  void fit(const LearningData&, std::span<const int>, std::span<const int>) override {}

  void score(const LearningData& data, int request, std::vector<float>& scores) override {
    torch::NoGradGuard guard;
    // The data may have changed since (a test changes it); the copy on the device is of what was loaded.
    if (&data != &batches_->data())
      throw std::logic_error("a learned guesser scores the data that it was loaded for");
    scores.resize(score_size(data, request));
    const std::span<const int> one(&request, 1);
    std::size_t done = 0;
    for (const Piece& piece : batches_->cut(one, saved_.context)) {
      const Tensor z =
          log_odds(saved_.network->forward(batches_->make({&piece, 1}), layers_), saved_.shape.top_k);
      const Tensor p = (z * slope_ + offset_).sigmoid().to(torch::kCPU).contiguous();
      std::copy_n(p.data_ptr<float>(), p.numel(), scores.begin() + static_cast<std::ptrdiff_t>(done));
      done += static_cast<std::size_t>(p.numel());
    }
  }

  double forward_seconds(std::int64_t tokens) override {
    torch::NoGradGuard guard;
    const auto& requests = batches_->data().requests;
    const auto longest = std::max_element(requests.begin(), requests.end(),
                                          [](const auto& a, const auto& b) { return a.rows < b.rows; });
    const Piece piece{static_cast<int>(longest - requests.begin()), 0, std::min(tokens, longest->rows)};
    const Batch batch = batches_->make({&piece, 1});
    const std::vector<std::int64_t> middle{saved_.shape.layers / 2};
    std::vector<double> seconds;
    for (int i = 0; i < 120; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      saved_.network->forward(batch, middle).max().item<float>();  // waits for the device
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
      if (i >= 20) seconds.push_back(taken.count());
    }
    std::nth_element(seconds.begin(), seconds.begin() + std::ssize(seconds) / 2, seconds.end());
    return seconds[seconds.size() / 2];
  }

 private:
  std::string name_;
  torch::Device device_;
  Checkpoint saved_;
  std::unique_ptr<HiddenStates> hidden_;
  std::unique_ptr<Batches> batches_;
  std::vector<std::int64_t> layers_;
  Tensor slope_, offset_;  // [distances, 1]
  LearnedAbout about_;
};

}  // namespace

std::unique_ptr<LearnedGuesser> load_guesser(const std::filesystem::path& file, const LearningData& data,
                                             const std::filesystem::path& trace, const std::string& device) {
  return std::make_unique<Learned>(file, data, trace, device);
}

std::string recording_id(const LearningData& data) {
  std::uint64_t hash = fnv1a(std::as_bytes(std::span(data.chosen)));
  hash = fnv1a(std::as_bytes(std::span(data.weights)), hash);
  hash = fnv1a(std::as_bytes(std::span(data.token_ids)), hash);
  return fmt::format("{}-{:016x}", data.rows(), hash);
}

std::uint64_t request_id(const LearningData& data, int request) {
  return fnv1a(std::as_bytes(data.chosen_of(request)));
}

}  // namespace specmoe
