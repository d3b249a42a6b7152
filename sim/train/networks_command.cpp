#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "sim/train/commands.hpp"

namespace specmoe {
namespace {

struct Listing {
  std::filesystem::path trace;
  std::vector<std::filesystem::path> networks;
  std::string device = "auto";
};

// Multiplications and additions of the products of a token at one layer, without attention; the step's part, which runs
// once a token, is spread over layers.
double operations(const PredictorNetwork& network, std::int64_t layers) {
  const auto of = [](const NetworkPart& part) {
    double sum = 0;
    for (const auto& p : part.products)
      sum +=
          2.0 * static_cast<double>(p.rows) * static_cast<double>(p.inner) * static_cast<double>(p.columns);
    return sum;
  };
  return of(network.layer) + of(network.step) / static_cast<double>(layers);
}

void list() {
  fmt::print("{:12} {}\n", "network", "what it is (source)");
  for (const NetworkKind& kind : network_kinds())
    fmt::print("{:12} {} ({}){}\n", kind.name, kind.summary, kind.source,
               kind.needs_hidden ? "; needs recorded hidden states" : "");
}

void measure(const Listing& l) {
  const LearningData data = load(l.trace);
  fmt::print("{:20} {:>10} {:>13} {:>10} {:>12} {:>14}\n", "network", "parameters", "MFLOP a layer",
             "trained (s)", "a token (us)", "64 tokens (us)");
  for (const auto& file : l.networks) {
    const auto guesser = load_guesser(file, data, l.trace, l.device);
    const LearnedAbout& about = guesser->about();
    fmt::print("{:20} {:10} {:13.2f} {:10.0f} {:12.0f} {:14.0f}\n", guesser->name(), about.network.parameters,
               operations(about.network, about.shape.layers) / 1e6, about.seconds,
               1e6 * guesser->forward_seconds(1), 1e6 * guesser->forward_seconds(64));
  }
}

}  // namespace

void add_networks_command(CLI::App& app) {
  auto l = std::make_shared<Listing>();
  CLI::App* command = app.add_subcommand(
      "networks",
      "Lists the architectures; with networks, their size, operations and measured time at one layer");
  command->add_option("--trace", l->trace, "What they were trained on; its first tokens are run");
  command->add_option("--network", l->networks, "A trained network; again for more")->needs("--trace");
  command->add_option("--device", l->device, "cpu, cuda, or auto")->capture_default_str();
  command->callback([l] { l->networks.empty() ? list() : measure(*l); });
}

}  // namespace specmoe
