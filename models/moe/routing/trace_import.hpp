// Traces from elsewhere. Each importer reads its files from front to back and writes a "specmoe-trace" (see
// routing_trace.hpp). Bad input of any kind is an InputError that names the file, and the line where there
// are lines.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace specmoe {

/// What is imported, to where.
struct TraceImport {
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path out;
  /// What the files do not say of themselves; where given, it replaces what they say.
  std::string model, source, licence;
  /// Routed experts a layer, for formats that do not say (npy, jsonl); without it the highest id seen + 1,
  /// which the trace's recorder then notes.
  std::optional<int> experts;
  /// npy: prompt length of each request; one number holds for all. See import_npy.
  std::vector<std::int64_t> prompt_tokens;
  /// Called now and then with the tokens written so far.
  std::function<void(std::int64_t tokens)> progress = [](std::int64_t) {};
};

/// A directory with meta.json, requests.csv, experts.u8.gz, weights.bf16le.gz and token_local_ids.u32le.gz:
/// routing of gpt-oss-20b (HF transformers, greedy), decode only. The recorder never fed the last generated
/// token, so a request has one row less than tokens. Constant memory.
void import_gpt_oss(const TraceImport& import);

/// The route CSV of BigMoeOnEdge (.csv or .csv.gz): comment lines with model, shape and each layer's
/// expert_bytes, then turn,phase,step,layer,slot,expert,weight,residency,expert_bytes. Turns become requests;
/// phase 0 is prefill, stored layer by layer, 1 is decode. In prefill llama.cpp computes the last layer for
/// the last prompt token alone: the other tokens are -1 there. The residency and expert_bytes columns are not
/// kept. Memory: the prefill of one turn.
void import_bigmoe(const TraceImport& import);

/// Routed experts as vLLM and SGLang return them: a .npy of int16 or int32 [token, layer, rank], C order,
/// little endian; one file is one request. Layers that are -1 throughout all files are dense and dropped.
/// Without prompt_tokens the phases are unknown and every row is taken for a decoded token after an empty
/// prompt, so that a replay sees each token as a step of its own. Constant memory; files are read twice.
void import_npy(const TraceImport& import);

/// JSON lines (.jsonl, .jsonl.gz), one token a line:
///   {"request": 0, "phase": "prefill", "experts": [[3, 1], [0, 2]], "prompt_tokens": 1, "label": "chat"}
///   {"request": 0, "phase": "decode", "experts": [[3, 2], [1, 0]]}
/// request counts from 0 without gaps; experts are [layer][rank], -1 = not routed. On a request's first line
/// stand prompt_tokens (required) and label (optional). Prefill lines come first: prompt_tokens of them, or
/// none. "weights" [layer][rank] and "token_id" may be on all lines or on none. Constant memory; the file is
/// read twice.
void import_jsonl(const TraceImport& import);

/// A row of the table of formats.
struct TraceFormat {
  std::string_view name;
  std::string_view summary;
  /// Whether a file or directory looks like this format by its name.
  bool (*recognises)(const std::filesystem::path& input);
  void (*import)(const TraceImport& import);
};

/// All formats; what `specmoe trace import` offers.
const std::vector<TraceFormat>& trace_formats();
/// Imports with the named format, or if the name is empty with the one that the inputs look like.
/// @throws InputError if there is no such format, an input is missing, or `out` is one of the inputs.
void import_trace(const TraceImport& import, std::string_view format = "");

}  // namespace specmoe
