#include "models/moe/routing/trace_import.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/input_error.hpp"

namespace specmoe {

static bool ends_with_any(const std::filesystem::path& input,
                          std::initializer_list<std::string_view> endings) {
  const std::string name = input.string();
  return std::any_of(endings.begin(), endings.end(), [&](auto ending) { return name.ends_with(ending); });
}

const std::vector<TraceFormat>& trace_formats() {
  static const std::vector<TraceFormat> formats{
      {"gpt-oss", "directory of the gpt-oss-20b decode routing (experts.u8.gz, requests.csv, ...)",
       [](const std::filesystem::path& input) { return std::filesystem::is_directory(input); },
       import_gpt_oss},
      {"bigmoe", "route CSV of BigMoeOnEdge, .csv or .csv.gz",
       [](const std::filesystem::path& input) {
         return ends_with_any(input, {".csv", ".csv.gz"});
       },
       import_bigmoe},
      {"npy", "routed experts of vLLM or SGLang, .npy int16/int32 [token, layer, rank], a file a request",
       [](const std::filesystem::path& input) { return ends_with_any(input, {".npy"}); }, import_npy},
      {"jsonl", "JSON lines, a token a line, .jsonl or .jsonl.gz",
       [](const std::filesystem::path& input) {
         return ends_with_any(input, {".jsonl", ".jsonl.gz"});
       },
       import_jsonl},
  };
  return formats;
}

void import_trace(const TraceImport& import, std::string_view format) {
  std::error_code error;
  if (import.inputs.empty()) throw InputError("", 0, "no input to import", "a file or directory");
  for (const auto& input : import.inputs) {
    if (!std::filesystem::exists(input, error))
      throw InputError(input.string(), 0, "no such file", "a trace to import");
    if (std::filesystem::equivalent(input, import.out, error))
      throw InputError(input.string(), 0, "is input and output at once", "another --out");
  }
  std::string names;
  for (const auto& known : trace_formats())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", known.name);
  for (const auto& known : trace_formats())
    if (format.empty() ? known.recognises(import.inputs[0]) : known.name == format)
      return known.import(import);
  if (format.empty())
    throw InputError(import.inputs[0].string(), 0, "has a name that no format goes by",
                     "--format, one of " + names);
  throw InputError("", 0, fmt::format("format \"{}\"", format), "one of " + names);
}

}  // namespace specmoe
