#include "sim/networks/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

#include "sim/base/h5.hpp"
#include "sim/base/input_error.hpp"
#include "sim/base/unfinished_file.hpp"
#include "sim/networks/batches.hpp"
#include "sim/networks/checkpoint.hpp"
#include "sim/networks/validation.hpp"

namespace specmoe {
namespace {

using torch::Tensor;

constexpr double kWarmUp = 0.03, kLeastRate = 0.02;  // shares of the training, of the rate
constexpr std::int64_t kValidationRows = 4096;       // about so many, evenly from the validation requests
constexpr double kTellEvery = 10;                    // seconds
constexpr double kAverage = 0.995;                   // of the weights, from step to step

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Cross entropy against the chosen experts, each an equal share: for top-1 the usual one.
Tensor loss_of(const Tensor& logits, const Targets& targets) {
  const Tensor share = targets.truth / targets.truth.sum(-1, true).clamp_min(1);
  const Tensor loss = -(share * logits.log_softmax(-1)).sum(-1);
  const Tensor valid = targets.valid.to(loss.scalar_type());
  return (loss * valid).sum() / valid.sum().clamp_min(1);
}

class Training {
 public:
  Training(const LearningData& data, const Split& split, const SplitOptions& held_out,
           const TrainSettings& settings, const std::atomic<bool>& stop,
           const std::function<void(const EpochReport&)>& progress)
      : split_(split),
        settings_(settings),
        stop_(stop),
        progress_(progress),
        device_(find_device(settings.device)) {
    const Architecture& kind = find_architecture(settings.architecture);
    {  // that it can be written is better known before than after
      const UnfinishedFile out(settings.out);
      H5File::create(out.path());
    }
    if (kind.kind.needs_hidden) {
      if (settings.hidden.empty() || !HiddenStates::recorded(settings.hidden))
        throw InputError("--architecture", 0, fmt::format("\"{}\" needs hidden states", kind.kind.name),
                         "a trace with /hidden (record.py --hidden)");
      hidden_ = std::make_unique<HiddenStates>(settings.hidden);
    }
    if (data.layers < kDistances)
      throw InputError("the trace", 0, fmt::format("has {} MoE layers", data.layers),
                       fmt::format("{} at least", kDistances));
    best_.architecture = &kind;
    best_.known_ids = frequent_ids(data, split.train);
    best_.shape = {.layers = data.layers,
                   .experts = data.experts,
                   .top_k = data.top_k,
                   .vocabulary = std::ssize(best_.known_ids),
                   .hidden = hidden_ ? hidden_->width() : 0};
    best_.context = settings.context > 0 ? settings.context : kind.context;
    best_.seed = settings.seed;
    best_.trace = fmt::format("{} ({})", data.header.model, data.header.source);
    best_.recording = recording_id(data);
    for (const auto* part : {&split.train, &split.validation})
      for (const int request : *part) best_.learnt.push_back(request_id(data, request));
    std::sort(best_.learnt.begin(), best_.learnt.end());
    best_.split = held_out;
    best_.device = device_.is_cuda() ? "GPU" : fmt::format("CPU, {} threads", at::get_num_threads());
    batch_ = settings.batch > 0 ? settings.batch : kind.batch;
    layers_ = settings.layers > 0 ? settings.layers : kind.layers;
    rate_ = settings.learning_rate > 0 ? settings.learning_rate : kind.learning_rate;

    torch::manual_seed(settings.seed);
    network_ = kind.make(best_.shape);
    average_ = kind.make(best_.shape);
    network_->to(device_);
    average_->to(device_);
    copy(*network_, *average_);
    best_.network = kind.make(best_.shape);
    best_.network->to(device_);
    batches_ = std::make_unique<Batches>(data, best_.shape, best_.known_ids, device_, hidden_.get());
    // What has one dimension, as a norm or a bias, does not decay.
    std::vector<Tensor> decays, others;
    for (const auto& item : network_->named_parameters())
      (item.value().dim() > 1 ? decays : others).push_back(item.value());
    std::vector<torch::optim::OptimizerParamGroup> groups;
    groups.emplace_back(decays, std::make_unique<torch::optim::AdamWOptions>(
                                    torch::optim::AdamWOptions(rate_).weight_decay(kind.weight_decay)));
    groups.emplace_back(others, std::make_unique<torch::optim::AdamWOptions>(
                                    torch::optim::AdamWOptions(rate_).weight_decay(0)));
    optimizer_ = std::make_unique<torch::optim::AdamW>(groups, torch::optim::AdamWOptions(rate_));
    pieces_ = batches_->cut(split.train, best_.context);
    // Without validation requests the training ones choose: a fit of them, not a measure.
    const auto all = batches_->cut(split.validation.empty() ? split.train : split.validation, best_.context);
    std::int64_t rows = 0;
    for (const Piece& piece : all) rows += piece.rows;
    const std::int64_t every = std::max<std::int64_t>(1, rows / kValidationRows);
    for (std::size_t i = 0; i < all.size(); i += static_cast<std::size_t>(every))
      validation_.push_back(all[i]);
  }

  TrainReport run() {
    resume();
    TrainReport report;
    report.ended = "all epochs done";
    started_ = now() - elapsed_;
    while (epoch_ < settings_.epochs) {
      if (stop_) return interrupted(report);
      if (over_time()) {
        report.ended = "time limit";
        break;
      }
      if (epoch_ - best_epoch_ >= settings_.patience) {
        report.ended = "no better validation recall";
        break;
      }
      EpochReport epoch;
      epoch.loss = run_epoch();
      if (stop_) return interrupted(report);
      ++epoch_;
      elapsed_ = now() - started_;
      validate(epoch);
      progress_(epoch);
      told_ = now();
    }
    finish(report);
    return report;
  }

 private:
  bool over_time() const { return settings_.minutes > 0 && now() - started_ >= 60 * settings_.minutes; }

  double run_epoch() {
    std::mt19937_64 random(settings_.seed * 1'000'003 + static_cast<std::uint64_t>(epoch_));
    torch::manual_seed(random());
    std::vector<Piece> pieces = pieces_;
    std::shuffle(pieces.begin(), pieces.end(), random);
    // Alike in length within sixteen batches: less padding.
    const std::int64_t group = 16 * batch_;
    for (std::int64_t i = 0; i < std::ssize(pieces); i += group)
      std::stable_sort(pieces.begin() + i, pieces.begin() + std::min(std::ssize(pieces), i + group),
                       [](const Piece& a, const Piece& b) { return a.rows < b.rows; });
    const auto batches = (std::ssize(pieces) + batch_ - 1) / batch_;
    std::vector<std::int64_t> order(static_cast<std::size_t>(batches));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);

    network_->train();
    Tensor sum = torch::zeros({}, torch::TensorOptions(device_));
    std::int64_t done = 0;
    for (const std::int64_t i : order) {
      if (stop_ || (done > 0 && over_time())) break;
      const double share =
          std::max(static_cast<double>(epoch_) + static_cast<double>(done) / static_cast<double>(batches),
                   1e-9) /
          settings_.epochs;
      set_rate(settings_.minutes > 0 ? std::max(share, (now() - started_) / (60 * settings_.minutes))
                                     : share);
      const auto first = static_cast<std::size_t>(i * batch_);
      const Batch batch = batches_->make(std::span(pieces).subspan(
          first, std::min(static_cast<std::size_t>(batch_), pieces.size() - first)));
      const std::vector<std::int64_t> layers = draw_layers(random);
      const Tensor loss =
          loss_of(network_->forward(batch, layers), targets_of(batch, layers, best_.shape, false));
      optimizer_->zero_grad();
      loss.backward();
      torch::nn::utils::clip_grad_norm_(network_->parameters(), 1.0);
      optimizer_->step();
      average();
      sum += loss.detach();
      ++done;
      if (now() - told_ > kTellEvery) {
        told_ = now();
        progress_({.epoch = epoch_ + 1,
                   .share = static_cast<double>(done) / static_cast<double>(batches + 1),
                   .loss = sum.item<double>() / static_cast<double>(done),
                   .seconds = now() - started_});
      }
    }
    return sum.item<double>() / static_cast<double>(std::max<std::int64_t>(done, 1));
  }

  // Some of the source layers, or all.
  std::vector<std::int64_t> draw_layers(std::mt19937_64& random) const {
    std::vector<std::int64_t> all = all_layers(best_.shape);
    if (layers_ == 0 || layers_ >= best_.shape.layers) return all;
    std::shuffle(all.begin(), all.end(), random);
    all.resize(static_cast<std::size_t>(layers_));
    std::sort(all.begin(), all.end());
    return all;
  }

  // Up in a line, down in a cosine.
  void set_rate(double share) {
    share = std::min(share, 1.0);
    const double fall = (share - kWarmUp) / (1 - kWarmUp);
    const double factor =
        share < kWarmUp ? share / kWarmUp : kLeastRate + (1 - kLeastRate) * 0.5 * (1 + std::cos(M_PI * fall));
    for (auto& group : optimizer_->param_groups())
      static_cast<torch::optim::AdamWOptions&>(group.options()).lr(rate_ * factor);
  }

  static void copy(const Network& from, Network& to) {
    torch::NoGradGuard guard;
    const auto a = from.parameters(), b = to.parameters();
    for (std::size_t i = 0; i < a.size(); ++i) b[i].copy_(a[i]);
  }

  void average() {
    torch::NoGradGuard guard;
    ++steps_;
    const double keep = std::min(kAverage, static_cast<double>(steps_) / static_cast<double>(steps_ + 9));
    const auto a = network_->parameters(), b = average_->parameters();
    for (std::size_t i = 0; i < a.size(); ++i) b[i].lerp_(a[i], 1 - keep);
  }

  void validate(EpochReport& epoch) {
    const Validation found = validate_network(*average_, *batches_, validation_, batch_);
    epoch.epoch = epoch_;
    epoch.validation_loss = found.loss;
    epoch.validation_recall = found.recall;
    epoch.seconds = elapsed_;
    const double recall = std::accumulate(found.recall.begin(), found.recall.end(), 0.0);
    epoch.best = recall > best_recall_;
    if (epoch.best) {
      best_recall_ = recall;
      best_epoch_ = epoch_;
      best_.validation_recall = found.recall;
      best_.calibration = found.calibration;
      best_.epochs = epoch_;
      best_.seconds = elapsed_;
      copy(*average_, *best_.network);
    }
    save_state();
  }

  std::filesystem::path state_file() const { return settings_.out.string() + ".resume"; }
  // What must be equal for a state to be gone on from.
  std::string fingerprint() const {
    return fmt::format("{} {} {} {} {} {} {} {} {} | {}", settings_.architecture, best_.recording, best_.seed,
                       best_.context, batch_, layers_, rate_, settings_.epochs, settings_.minutes,
                       split_.description);
  }
  void save_state() {
    torch::serialize::OutputArchive archive, weights, averaged, best, optimizer;
    network_->save(weights);
    average_->save(averaged);
    best_.network->save(best);
    optimizer_->save(optimizer);
    archive.write("fingerprint", c10::IValue(fingerprint()));
    archive.write("numbers",
                  torch::tensor({double(epoch_), double(best_epoch_), best_recall_, elapsed_, double(steps_)},
                                torch::kDouble));
    archive.write("network", weights);
    archive.write("average", averaged);
    archive.write("best", best);
    archive.write("about", c10::IValue(best_.about()));
    archive.write("optimizer", optimizer);
    UnfinishedFile whole(state_file());
    archive.save_to(whole.path().string());
    whole.publish();
  }
  void resume() {
    if (!std::filesystem::exists(state_file())) return;
    torch::serialize::InputArchive archive, weights, averaged, best, optimizer;
    std::string belongs;
    Tensor numbers;
    try {
      archive.load_from(state_file().string(), device_);
      c10::IValue text;
      archive.read("fingerprint", text);
      belongs = text.toStringRef();
      if (belongs == fingerprint()) {
        archive.read("numbers", numbers);
        archive.read("network", weights);
        archive.read("average", averaged);
        archive.read("best", best);
        archive.read("about", text);
        archive.read("optimizer", optimizer);
        network_->load(weights);
        average_->load(averaged);
        best_.network->load(best);
        best_.set_about(text.toStringRef());
        optimizer_->load(optimizer);
      }
    } catch (const std::exception&) {  // LibTorch has several kinds
      throw InputError(state_file().string(), 0, "cannot be read",
                       "what an interrupted training left; remove it to begin anew");
    }
    if (belongs != fingerprint())
      throw InputError(state_file().string(), 0, "belongs to other settings (" + belongs + ")",
                       "the same settings, or another --out; remove it to begin anew");
    for (const auto& network : {network_, average_, best_.network}) network->to(device_);
    const Tensor on_cpu = numbers.to(torch::kCPU);
    const auto value = on_cpu.accessor<double, 1>();
    epoch_ = static_cast<int>(value[0]);
    best_epoch_ = static_cast<int>(value[1]);
    best_recall_ = value[2];
    elapsed_ = value[3];
    steps_ = static_cast<std::int64_t>(value[4]);
  }

  TrainReport interrupted(TrainReport report) {
    report.ended = "interrupted";
    report.interrupted = true;
    fill(report);
    if (best_epoch_ > 0) best_.save(settings_.out);
    return report;
  }
  void finish(TrainReport& report) {
    fill(report);
    best_.save(settings_.out);
    std::filesystem::remove(state_file());
  }
  void fill(TrainReport& report) const {
    report.parameters = count_parameters(*network_);
    report.epochs = epoch_;
    report.best_epoch = best_epoch_;
    report.seconds = now() - started_;
    report.validation_recall = best_.validation_recall;
    report.device = best_.device;
  }

  const Split& split_;
  const TrainSettings& settings_;
  const std::atomic<bool>& stop_;
  const std::function<void(const EpochReport&)>& progress_;
  torch::Device device_;
  std::unique_ptr<HiddenStates> hidden_;
  Checkpoint best_;
  std::int64_t batch_ = 0, layers_ = 0;
  double rate_ = 0;
  std::shared_ptr<Network> network_, average_;
  std::unique_ptr<Batches> batches_;
  std::unique_ptr<torch::optim::AdamW> optimizer_;
  std::vector<Piece> pieces_, validation_;
  int epoch_ = 0, best_epoch_ = 0;
  std::int64_t steps_ = 0;
  double best_recall_ = -1, elapsed_ = 0, started_ = 0, told_ = now();
};

}  // namespace

TrainReport train(const LearningData& data, const Split& split, const SplitOptions& held_out,
                  const TrainSettings& settings, const std::atomic<bool>& stop,
                  const std::function<void(const EpochReport&)>& progress) {
  return Training(data, split, held_out, settings, stop, progress).run();
}

}  // namespace specmoe
