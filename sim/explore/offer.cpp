#include "sim/explore/offer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "sim/base/input_error.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/study/whatif.hpp"

namespace specmoe {

namespace {

Scenario read(const Study& base, const std::string& platform) {
  std::vector<Edit> edits = base.edits(0, 0);
  if (!platform.empty()) edits.push_back({"platform", base.scenario.replaced(platform)});
  std::vector<RefusedStrategy> refused;
  Scenario scenario = Scenario::read(base.scenario, edits, &refused);
  if (scenario.strategies.empty()) throw InputError("", 0, refused.front().why);
  return scenario;
}

OfferedPlatform offered(const std::string& name, const Scenario& scenario) {
  const Platform& platform = scenario.platform;
  const EngineSettings& s = scenario.strategies.front().settings;
  const MemoryId gpu = platform[s.gpu].memory;
  OfferedPlatform out{
      name, {}, {std::numeric_limits<double>::infinity()}, platform[gpu].name, platform[gpu].capacity};
  for (const Hop& hop : platform.route(s.expert_home, gpu).hops) {
    const Link& link = platform.links[static_cast<std::size_t>(hop.link)];
    out.links.push_back(link.name);
    out.bandwidth = std::min(out.bandwidth, link.direction(hop.forward, HostMemory::pinned).bandwidth);
  }
  return out;
}

std::string link_path(const std::string& link) { return "platform.links." + link + ".bandwidth"; }
std::string memory_path(const std::string& memory) { return "platform.memories." + memory + ".capacity"; }

}  // namespace

Offer Offer::of(const Study& base) {
  const Yaml document = base.document();
  const Scenario scenario = read(base, "");
  Offer offer{base.name,
              base.description,
              {},
              {"cache.capacity"},
              paths_of_key(document, "prefetch.accuracy"),
              std::numeric_limits<double>::quiet_NaN(),
              scenario.workload.batch,
              scenario.workload.requests};
  if (offer.description.empty()) offer.description = scenario.description;
  for (const std::string& path : paths_of_key(document, "cache.capacity"))
    if (path != "cache.capacity") offer.cache.push_back(path);
  if (!offer.accuracy.empty())
    if (const Yaml accuracy = *document.at(offer.accuracy.front()); accuracy.is_scalar())
      offer.first_accuracy = accuracy.number(0, 1);
  const std::string own = document["platform"].text();
  offer.platforms.push_back(offered(own, scenario));
  for (const std::string& name : platform_names()) {
    if (name == own) continue;
    try {
      offer.platforms.push_back(offered(name, read(base, name)));
    } catch (const InputError&) {
      // It lacks what the scenario names, or is too small for it.
    }
  }
  return offer;
}

bool Offer::has_path(const std::string& path) const {
  const auto among = [&](const std::vector<std::string>& paths) {
    return std::find(paths.begin(), paths.end(), path) != paths.end();
  };
  return path == "platform" || path == "workload.batch" || path == "workload.requests" || among(cache) ||
         among(accuracy) || std::any_of(platforms.begin(), platforms.end(), [&](const OfferedPlatform& p) {
           return path == memory_path(p.memory) ||
                  std::any_of(p.links.begin(), p.links.end(),
                              [&](const auto& link) { return path == link_path(link); });
         });
}

bool Offer::takes(const std::string& path, const std::string& value) const {
  if (path == "platform")
    return std::any_of(platforms.begin(), platforms.end(), [&](const auto& p) { return p.name == value; });
  return !value.empty() && value.size() <= 40 &&
         value.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .%/-") ==
             std::string::npos;
}

std::string Offer::json() const {
  using Json = nlohmann::ordered_json;
  const auto number = [](double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); };
  Json out{{"scenario", scenario}, {"description", description}, {"platforms", Json::array()}};
  for (const OfferedPlatform& p : platforms) {
    Json links = Json::array();
    for (const std::string& link : p.links) links.push_back(link_path(link));
    out["platforms"].push_back({{"name", p.name},
                                {"links", p.links},
                                {"link_paths", links},
                                {"bandwidth", number(p.bandwidth.value)},
                                {"memory", p.memory},
                                {"memory_path", memory_path(p.memory)},
                                {"capacity", p.capacity.count}});
  }
  out["cache_paths"] = cache;
  out["accuracy_paths"] = accuracy;
  out["accuracy"] = number(first_accuracy);
  out["batch"] = batch;
  out["requests"] = requests;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace specmoe
