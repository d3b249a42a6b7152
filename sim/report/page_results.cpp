// A run for the page: all of results.h5 but the columns a step, of which it takes distributions and sums.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "sim/base/input_error.hpp"
#include "sim/report/page_json.hpp"
#include "sim/results/summary.hpp"

namespace specmoe {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kDistributionPoints = 400;
/// Of all runs of a file together: the page stays a few MB.
constexpr std::size_t kMostSpans = 120'000;

struct SummaryToJson {
  const H5File& file;
  const std::string& group;
  Json& json;
  // Files of earlier versions lack the numbers that came later.
  template <class T>
  void operator()(const char* name, const T&) const {
    json[name] = file.has(group, name) ? number(file.get_number(group, name)) : Json(nullptr);
  }
};

void require_rows(const H5File& file, const std::string& group, std::size_t rows,
                  std::initializer_list<std::size_t> columns) {
  for (const std::size_t column : columns)
    if (column != rows)
      throw InputError(file.name(), 0, group + ": columns differ in length", "one value a row in each");
}

Json text_and_numbers(const H5File& file, const std::string& group, const std::vector<const char*>& texts,
                      const std::vector<const char*>& numbers) {
  Json out;
  for (const char* name : texts) out[name] = file.read_strings(group + "/" + name);
  for (const char* name : numbers) out[name] = rounded(file.read<double>(group + "/" + name));
  return out;
}

Json timeline(const H5File& file, const std::string& group, std::size_t most_spans) {
  if (!file.exists(group)) return nullptr;
  Json out = text_and_numbers(file, group + "/rows", {"name", "kind"}, {});
  out["labels"] = file.read_strings(group + "/labels");
  const auto column = [&](const char* name) { return file.read<double>(group + "/spans/" + name); };
  const auto row = column("row"), label = column("label"), bytes = column("bytes"), start = column("start"),
             duration = column("duration");
  const auto steps = file.read<std::int64_t>(group + "/steps/step"),
             first = file.read<std::int64_t>(group + "/steps/first"),
             count = file.read<std::int64_t>(group + "/steps/count"),
             all = file.read<std::int64_t>(group + "/steps/all");
  const auto phase = file.read<std::int64_t>(group + "/steps/phase");
  const auto length = file.read<double>(group + "/steps/duration");
  require_rows(file, group + "/spans", row.size(),
               {label.size(), bytes.size(), start.size(), duration.size()});
  require_rows(file, group + "/steps", steps.size(),
               {first.size(), count.size(), all.size(), phase.size(), length.size()});
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto begin = first[i];
    if (begin < 0 || count[i] < 0 || begin > std::ssize(row) || count[i] > std::ssize(row) - begin)
      throw InputError(file.name(), 0, group + ": spans of a step lie beyond /spans", "a whole file");
    const auto end =
        begin + std::min<std::int64_t>(
                    count[i], static_cast<std::int64_t>(most_spans / std::max<std::size_t>(1, steps.size())));
    const auto part = [&](const std::vector<double>& values) {
      return rounded({values.begin() + begin, values.begin() + end});
    };
    out["steps"].push_back({{"step", steps[i]},
                            {"phase", phase[i]},
                            {"duration", number(length[i])},
                            {"all", all[i]},
                            {"row", part(row)},
                            {"label", part(label)},
                            {"start", part(start)},
                            {"length", part(duration)},
                            {"bytes", part(bytes)}});
  }
  return out;
}

Json run(const H5File& file, const std::string& name, std::size_t most_spans) {
  const std::string group = "/runs/" + name;
  Json out{{"strategy", name}, {"summary", Json::object()}};
  RunSummary names;
  for_each_field(names, SummaryToJson{file, group, out["summary"]});
  const auto phase = file.read<std::int16_t>(group + "/steps/phase");
  const auto duration = file.read<double>(group + "/steps/duration");
  const auto sequences = file.read<std::int64_t>(group + "/steps/sequences");
  require_rows(file, group + "/steps", phase.size(), {duration.size(), sequences.size()});
  std::vector<double> decode;
  std::int64_t batch = 0;
  for (std::size_t i = 0; i < phase.size(); ++i) {
    if (phase[i] != 1) continue;
    decode.push_back(duration[i]);
    batch = std::max(batch, sequences[i]);
  }
  out["batch"] = batch;
  out["decode"] = distribution(std::move(decode), kDistributionPoints);
  out["links"] =
      text_and_numbers(file, group + "/links", {"name", "direction"}, {"bytes", "busy", "utilisation"});
  out["streams"] = text_and_numbers(file, group + "/streams", {"name"}, {"kernels", "busy", "utilisation"});
  out["memory"] = text_and_numbers(file, group + "/memory", {"name"}, {"bytes"});
  out["timeline"] = timeline(file, group + "/timeline", most_spans);
  return out;
}

}  // namespace

Json results_data(const H5File& file) {
  Json out{{"file", std::filesystem::path(file.name()).filename().string()}};
  for (const char* name : {"scenario", "description", "platform", "model", "routing", "specmoe"})
    out[name] = file.get_string("/", name);
  out["seed"] = file.get_integer("/", "seed");
  out["notes"] = file.read_strings("/notes");
  out["unverified"] = file.read_strings("/unverified");
  auto names = file.list("/runs");
  std::sort(names.begin(), names.end(), [&](const auto& a, const auto& b) {
    return file.get_integer("/runs/" + a, "position") < file.get_integer("/runs/" + b, "position");
  });
  out["runs"] = Json::array();
  for (const std::string& name : names)
    out["runs"].push_back(run(file, name, kMostSpans / std::max<std::size_t>(1, names.size())));
  return out;
}

}  // namespace specmoe
