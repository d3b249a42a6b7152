#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>

#include "sim/base/input_error.hpp"
#include "sim/networks/trainer.hpp"
#include "sim/train/commands.hpp"

namespace specmoe {
namespace {

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

std::string percent(const std::vector<double>& shares) {
  std::string out;
  for (const double share : shares) out += fmt::format("{}{:.1f}", out.empty() ? "" : " ", 100 * share);
  return out;
}

void tell(const EpochReport& e) {
  if (e.share < 1) {
    fmt::print(stderr, "{:6.0f} s  epoch {:3}  loss {:.4f}  {:.0f} % of it done\n", e.seconds, e.epoch,
               e.loss, 100 * e.share);
    return;
  }
  fmt::print(stderr, "{:6.0f} s  epoch {:3}  loss {:.4f}  validation {:.4f}  recall % {}{}\n", e.seconds,
             e.epoch, e.loss, e.validation_loss, percent(e.validation_recall), e.best ? "  best" : "");
}

void run(const Recorded& recorded, TrainSettings settings) {
  const LearningData data = load(recorded.trace);
  const Split split = split_requests(data, recorded.split);
  fmt::print(stderr, "{}\n", split.description);
  settings.hidden = recorded.trace;
  std::signal(SIGINT, [](int) { stop = true; });
  std::signal(SIGTERM, [](int) { stop = true; });
  const TrainReport report = train(data, split, recorded.split, settings, stop, tell);
  fmt::print("{}: {}, {} parameters, {:.0f} s on {}, {} epochs, the best was {} ({})\n",
             settings.out.string(), settings.architecture, report.parameters, report.seconds, report.device,
             report.epochs, report.best_epoch, report.ended);
  if (report.best_epoch > 0)
    fmt::print("validation recall@{} at distance 1 .. {}: {} %\n", data.top_k, kDistances,
               percent(report.validation_recall));
  if (report.interrupted) throw std::runtime_error("interrupted; the same command goes on");
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto recorded = std::make_shared<Recorded>();
  auto settings = std::make_shared<TrainSettings>();
  CLI::App* command =
      app.add_subcommand("train", "Trains a network; the same command goes on with an interrupted one");
  add_recording(*command, *recorded);
  command->add_option("--architecture", settings->architecture, "One of: specmoe-train networks")->required();
  command->add_option("--out", settings->out, "The network; with .resume beside it until training has ended")
      ->required();
  command->add_option("--epochs", settings->epochs, "At most")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command
      ->add_option("--patience", settings->patience, "Epochs without a better validation recall that end it")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--minutes", settings->minutes, "At most; the learning rate falls along them")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--seed", settings->seed, "Of weights, order and dropout")->capture_default_str();
  command->add_option("--device", settings->device, "cpu, cuda, or auto: a GPU where there is one")
      ->capture_default_str();
  command
      ->add_option("--context", settings->context,
                   "Tokens of a request that it sees at most (by architecture)")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--batch", settings->batch, "Pieces of requests a step (by architecture)")
      ->check(CLI::Range(1, 1'000'000));
  command
      ->add_option("--layers", settings->layers,
                   "Layers, drawn anew, that a step learns (by architecture; all)")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--learning-rate", settings->learning_rate, "The highest (by architecture)")
      ->check(CLI::PositiveNumber);
  command->callback([recorded, settings] { run(*recorded, *settings); });
}

}  // namespace specmoe
