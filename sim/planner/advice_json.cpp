#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/planner/advice.hpp"

namespace specmoe {

namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

const char* name_of(Way way) {
  switch (way) {
    case Way::resident:
      return "gpu";
    case Way::fetched:
      return "host";
    case Way::shared:
      return "host, shared with the CPU";
    case Way::on_cpu:
      return "cpu";
    case Way::from_disk:
      return "disk";
  }
  return "";
}

Json row_json(const Row& row) {
  const Trial& t = row.trial;
  return {{"experts", specmoe::name_of(row.precision.experts)},
          {"rest", specmoe::name_of(row.precision.rest)},
          {"tokens_per_second", number(t.tokens_per_second)},
          {"tpot", number(t.tpot)},
          {"ttft", number(row.ttft)},
          {"hit_rate", number(t.hit_rate)},
          {"energy_per_token", number(t.energy_per_token)},
          {"gpu_memory", row.gpu_memory.count},
          {"gpu_experts", row.candidate.gpu_experts.count},
          {"host_memory", row.candidate.host.count},
          {"disk", row.candidate.disk.count},
          {"where", name_of(row.candidate.way)},
          {"way", row.candidate.name},
          {"cpu_layers", row.candidate.cpu_layers},
          {"settings", row.candidate.sections},
          {"bottleneck", describe(t.bottleneck())}};
}

}  // namespace

std::string advice_json(const Advice& advice) {
  const Setting& setting = advice.setting;
  Json bill{{"experts", setting.all_experts.count}};
  for (const auto& [name, bytes] : setting.bill.items) bill[name] = bytes.count;
  bill["gpu_memory"] = setting.bill.available.count;
  bill["left_for_experts"] = setting.bill.rest().count;
  bill["host_free"] = setting.host_free.count;
  bill["disk_free"] = setting.disk_free.count;
  Json json{{"feasible", advice.feasible()},
            {"answer", answer_of(advice)},
            {"missing", advice.missing.empty() ? Json(nullptr) : Json(advice.missing)},
            {"model", advice.model},
            {"platform", advice.platform},
            {"routing", advice.routing},
            {"context", advice.question.context},
            {"output", advice.question.output},
            {"batch", advice.question.sequences()},
            {"target", advice.question.target ? Json(*advice.question.target) : Json(nullptr)},
            {"bill_precision", specmoe::name_of(setting.precision)},
            {"bill", bill},
            {"rows", Json::array()},
            {"recommended", advice.best ? Json(*advice.best) : Json(nullptr)},
            {"reason", advice.reason},
            {"interval", nullptr},
            {"bottleneck", nullptr},
            {"upgrades", Json::array()},
            {"best_batch", nullptr},
            {"flags", Json::array()},
            {"notes", advice.notes}};
  for (const Row& row : advice.rows) json["rows"].push_back(row_json(row));
  if (advice.best) {
    const Row& best = advice.rows[*advice.best];
    json["bottleneck"] = describe(best.trial.bottleneck());
    if (advice.errors)
      json["interval"] = {{"low", best.trial.tokens_per_second * advice.errors->range.low},
                          {"high", best.trial.tokens_per_second * advice.errors->range.high},
                          {"class", advice.errors->of},
                          {"published_rows", advice.errors->range.rows}};
  }
  for (const Upgrade& upgrade : advice.upgrades)
    json["upgrades"].push_back({{"what", upgrade.what},
                                {"gain", number(upgrade.gain)},
                                {"tokens_per_second", number(upgrade.tokens_per_second)},
                                {"way", upgrade.way}});
  if (advice.best_batch)
    json["best_batch"] = {{"batch", advice.best_batch->batch},
                          {"tokens_per_second", number(advice.best_batch->tokens_per_second)}};
  for (const EngineFlags& flags : advice.flags)
    json["flags"].push_back(
        {{"engine", flags.engine},
         {"command", flags.command},
         {"note", flags.note},
         {"tokens_per_second", flags.tokens_per_second ? Json(*flags.tokens_per_second) : Json(nullptr)}});
  return json.dump(2) + "\n";
}

}  // namespace specmoe
