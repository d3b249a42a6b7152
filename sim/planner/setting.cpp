#include "sim/planner/setting.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/moe/routing/routing_profile.hpp"
#include "sim/base/input_error.hpp"
#include "sim/planner/candidates.hpp"

namespace specmoe {

namespace {

constexpr std::int64_t kWorkspaceMiB = 64;  // as of a scenario that does not say it

// Routing has no profile yet: that is known only with the model.
std::string document_text(const Question& question, const std::string& routing,
                          const std::vector<Candidate>& candidates) {
  std::string text = fmt::format(
      "name: plan\nseed: 1\nplatform: of the question\nmodel: of the question\nrouting: {}\n"
      "workload: {{requests: {}, batch: {}, prompt_tokens: {}, output_tokens: {}}}\n"
      "engine: {{workspace: {} MiB}}\nstrategies:\n",
      routing, question.sequences(), question.sequences(), kTrialTokens, kTrialTokens, kWorkspaceMiB);
  if (candidates.empty()) text += "  - {name: none}\n";
  for (const Candidate& candidate : candidates)
    text += fmt::format("  - {{name: \"{}\", {}\n", candidate.name, candidate.sections.substr(1));
  return text;
}

struct Reader {
  const Question& question;
  const std::vector<Edit>& changes;
  std::string routing = kTypicalRouting;

  /// @param more edits, which go before the question's
  Scenario read(std::vector<Edit> more, const std::vector<Candidate>& candidates,
                std::vector<RefusedStrategy>* refused) const {
    const Yaml document = Yaml::parse(document_text(question, routing, candidates), "");
    std::vector<Edit> edits{{"platform", Yaml::parse("?", "--platform").replaced(question.platform)},
                            {"model", Yaml::parse("?", "--model").replaced(question.model)}};
    edits.insert(edits.end(), question.changes.begin(), question.changes.end());
    edits.insert(edits.end(), changes.begin(), changes.end());
    edits.insert(edits.end(), more.begin(), more.end());
    return Scenario::read(document, edits, refused);
  }
};

Edit edit(const std::string& path, const std::string& value) {
  return {path, Yaml::parse("?", "plan").replaced(value)};
}

std::optional<MemoryId> find_memory(const Platform& platform, Memory::Kind kind) {
  for (std::size_t i = 0; i < platform.memories.size(); ++i)
    if (platform.memories[i].kind == kind) return MemoryId{static_cast<int>(i)};
  return std::nullopt;
}

// With the question's lengths in place of the trials'.
WorkloadPeak peak_of_question(const Question& question, const Scenario& scenario) {
  RoutingOrigin origin = scenario.routing;
  origin.generator.prompt_tokens = origin.from_profile.prompt_tokens = question.context - question.output;
  origin.generator.output_tokens = origin.from_profile.output_tokens = question.output;
  return peak_of(scenario.model, *origin.open(), scenario.workload);
}

// The model's own profile, if it routes as the model does.
std::string routing_key(const MoeModel& model) {
  const auto names = profile_names();
  if (std::find(names.begin(), names.end(), model.name) == names.end()) return kTypicalRouting;
  const RoutingProfile profile = RoutingProfile::load(model.name);
  const bool same =
      profile.layers == model.moe_layers && profile.experts == model.experts && profile.top_k == model.top_k;
  return same ? fmt::format("{{profile: {}}}", model.name) : kTypicalRouting;
}

}  // namespace

Formats native_precision(const Question& question) {
  std::vector<RefusedStrategy> refused;
  const Scenario scenario = Reader{question, {}}.read({}, {}, &refused);
  return {scenario.model.expert_format, scenario.model.format};
}

Setting read_setting(const Question& question, Formats precision, const std::vector<Edit>& changes) {
  if (question.output >= question.context)
    throw InputError("--output", 0, std::to_string(question.output),
                     fmt::format("less than the {} positions of --context", question.context));
  Reader reader{question, changes};
  std::vector<Edit> edits{edit("model.expert_format", std::string(name_of(precision.experts))),
                          edit("model.format", std::string(name_of(precision.rest)))};
  std::vector<RefusedStrategy> refused;
  Setting setting{precision, reader.read(edits, {}, &refused), {}, {}, {}, {}, {}, {}, {}, {}};
  const Platform& platform = setting.scenario.platform;
  const MoeModel& model = setting.scenario.model;
  if (model.encoder_decoder())
    throw InputError("--model", 0, fmt::format("\"{}\" has an encoder", question.model),
                     "a decoder, which has a context");
  reader.routing = routing_key(model);

  const DeviceId gpu = platform.first(Device::Kind::gpu);
  const auto free_of = [&](MemoryId id) { return platform[id].capacity - platform[id].reserved; };
  const auto host = find_memory(platform, Memory::Kind::host),
             disk = find_memory(platform, Memory::Kind::disk);
  std::vector<Edit> for_host;
  if (host) {
    setting.host_name = platform[*host].name;
    setting.host_free = free_of(*host);
  }
  if (question.host_memory) {
    if (!host)
      throw InputError(
          "--host-memory", 0, fmt::format("{} has one memory for CPU and GPU", platform.name),
          fmt::format("--set platform.memories.{}.capacity=...", platform[platform[gpu].memory].name));
    setting.host_free = *question.host_memory - platform[*host].reserved;
  }
  if (disk) {
    setting.disk_name = platform[*disk].name;
    setting.disk_free = free_of(*disk);
  }
  setting.bill = memory_bill(platform, gpu, model, peak_of_question(question, setting.scenario),
                             Bytes{kWorkspaceMiB << 20});
  setting.all_experts = model.expert_bytes() * (model.experts * model.moe_layers);
  const std::int64_t expert = model.expert_bytes().count;
  setting.gpu_room = std::min(Bytes{setting.bill.rest().count / expert * expert}, setting.all_experts);
  const Device& cpu = platform[platform.first(Device::Kind::cpu)];
  setting.candidates =
      candidates_of(setting, cpu.computes() && host && platform[cpu.memory].kind == Memory::Kind::host);
  if (setting.candidates.empty()) return setting;

  // Whether a candidate fits was settled above, more closely than a scenario can: it asks that the memory where experts
  // wait hold all of them, also those that never leave the GPU. A capacity moves no date.
  const auto enlarge = [&](const std::optional<MemoryId>& id, Bytes need) {
    if (!id || free_of(*id) >= need) return;
    edits.push_back(edit(fmt::format("platform.memories.{}.capacity", platform[*id].name),
                         fmt::format("{} B", (need + platform[*id].reserved).count)));
  };
  const bool from_disk = setting.candidates.front().way == Way::from_disk;
  enlarge(host, from_disk ? setting.host_free : setting.all_experts);
  if (!host) enlarge(disk, setting.all_experts);
  setting.scenario = reader.read(edits, setting.candidates, nullptr);
  return setting;
}

std::string routing_of(const Setting& setting) {
  const RoutingOrigin& routing = setting.scenario.routing;
  if (routing.profile)
    return fmt::format("made from the profile of {}{}", routing.profile->model,
                       routing.profile->marginals_only ? ", popularity alone" : "");
  return fmt::format(
      "made up with typical values (Zipf {}, reuse {}, correlation {}): there is no profile of this model",
      routing.generator.zipf, routing.generator.reuse, routing.generator.correlation);
}

std::string what_is_missing(const Question& question, const Setting& setting) {
  if (!setting.candidates.empty()) return "";
  const MemoryBill& bill = setting.bill;
  const Bytes expert = setting.scenario.model.expert_bytes();
  if (setting.gpu_room >= expert)
    return fmt::format(
        "{} of experts, of which GPU memory holds {}, need {} of host memory or disk, which have {} and {} "
        "free",
        gigabytes(setting.all_experts), gigabytes(setting.gpu_room),
        gigabytes(setting.all_experts - setting.gpu_room), gigabytes(setting.host_free),
        gigabytes(setting.disk_free));
  std::string text = fmt::format(
      "weights but the experts, KV cache, activations and one expert need {} of GPU memory, which has {}",
      gigabytes(bill.taken() + expert), gigabytes(bill.available));
  // The cache grows with the context as good as evenly.
  const auto cache = std::find_if(bill.items.begin(), bill.items.end(),
                                  [](const auto& item) { return item.first == "kv_cache"; });
  const Bytes room = bill.rest() + cache->second - expert;
  if (room > Bytes{0})
    text += fmt::format("; a context of {:.0f} would fit",
                        std::floor(room / cache->second * static_cast<double>(question.context) / 100) * 100);
  return text;
}

}  // namespace specmoe
