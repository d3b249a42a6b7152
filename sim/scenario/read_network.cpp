#include "sim/scenario/read_network.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace specmoe {

namespace {

using RunsOn = PredictorCost::RunsOn;

constexpr std::array kShapes{"step", "layer", "step_attention", "layer_attention"};

// Of a list of three whole numbers each. @param least of the last
std::vector<std::array<std::int64_t, 3>> read_triples(const std::optional<Yaml>& node, std::int64_t least,
                                                      const char* what) {
  std::vector<std::array<std::int64_t, 3>> triples;
  if (!node) return triples;
  for (const Yaml& item : node->items()) {
    const std::vector<Yaml> numbers = item.items();
    if (numbers.size() != 3) item.fail(what);
    const std::array triple{numbers[0].integer(1, kMostNetworkSize), numbers[1].integer(1, kMostNetworkSize),
                            numbers[2].integer(least, kMostNetworkSize)};
    if (triple[2] == 0) numbers[2].fail("-1 for all tokens before, or at least 1");
    triples.push_back(triple);
  }
  return triples;
}

NetworkPart read_part(const Yaml& node, const std::string& name) {
  NetworkPart part;
  for (const auto& [rows, inner, columns] :
       read_triples(node.find(name), 1, "three numbers: rows a token, inner, columns"))
    part.products.push_back({rows, inner, columns});
  for (const auto& [heads, width, keys] :
       read_triples(node.find(name + "_attention"), -1, "three numbers: heads, head width, keys"))
    part.attention.push_back({heads, width, keys});
  return part;
}

// Where it runs, in what precision.
void read_place(const Yaml& node, const Platform& platform, PredictorCost& cost) {
  if (const auto where = node.find("runs_on")) {
    cost.runs_on = where->choice<RunsOn>({{"stream", RunsOn::stream},
                                          {"compute", RunsOn::compute},
                                          {"cpu", RunsOn::cpu},
                                          {"free", RunsOn::free}});
    if (cost.runs_on == RunsOn::cpu && !platform[platform.first(Device::Kind::cpu)].computes())
      where->fail(fmt::format("stream, compute or free: {} has no kernels of its CPU", platform.name));
  }
  if (const auto precision = node.find("precision"))
    cost.precision = precision->choice<WeightFormat>({{"fp32", WeightFormat::fp32},
                                                      {"bf16", WeightFormat::bf16},
                                                      {"fp16", WeightFormat::bf16},  // costs the same
                                                      {"fp8", WeightFormat::fp8},
                                                      {"int8", WeightFormat::int8},
                                                      {"int4", WeightFormat::int4}});
}

}  // namespace

void read_network(const Section& prefetch, const std::optional<PredictorNetwork>& of_file,
                  const std::string& strategy, Scenario& scenario, EngineSettings& out) {
  const auto note = [&](const char* why) {
    scenario.notes.push_back(fmt::format("{}: what predicting costs is not charged: {}", strategy, why));
  };
  const auto node = prefetch.find("network");
  if (!out.predictor->maker) {
    // A scenario's network is that of the strategies that predict.
    if (prefetch.own && prefetch.own->find("network")) node->fail("no such key without a predictor");
    return;
  }
  if (!node) {
    if (of_file) out.predictor_cost = PredictorCost{*of_file};
    if (!of_file && !out.predictor_parameters.files().empty()) note("its file describes no network");
    return;
  }
  node->allow_only(
      {"runs_on", "precision", "parameters", "step", "layer", "step_attention", "layer_attention"});
  PredictorCost cost;
  read_place(*node, scenario.platform, cost);
  bool by_hand = false;
  for (const char* shapes : kShapes) by_hand = by_hand || node->find(shapes);
  if (by_hand) {
    cost.network = {"by hand", 0, read_part(*node, "step"), read_part(*node, "layer")};
    cost.network.parameters = cost.network.weights();
  } else if (of_file) {
    cost.network = *of_file;
  } else if (cost.runs_on != RunsOn::free) {
    node->fail("step or layer: the shapes of its products; or runs_on: free");
  }
  if (const auto parameters = node->find("parameters"))
    cost.network.parameters =
        std::llround(parameters->number(0, static_cast<double>(kMostNetworkParameters)));
  if (cost.runs_on == RunsOn::free) note("prefetch.network.runs_on is free");
  out.predictor_cost = std::move(cost);
}

}  // namespace specmoe
