// A model whose memory can be added up by hand, on an RTX 4090 whose memories a test chooses.
#pragma once
#include <fmt/format.h>

#include <string>

#include "sim/planner/question.hpp"
#include "tests/temporary_folder.hpp"

namespace specmoe {

/// 4 layers of 8 experts, top 2.
inline const std::string kSmallModel = R"(name: small
source: made up
hidden: 128
vocabulary: 1000
tied_embeddings: false
format: bf16
decoder: {layers: 4, moe_layers: all}
attention: {heads: 2, kv_heads: 1, head_dim: 64}
experts: {routed: 8, top_k: 2, intermediate: 256, gated: true}
published: {total_billion: 1, source: made up}
)";

// An expert: 3 x 128 x 256 weights of 2 B.
inline constexpr std::int64_t kSmallExpert = 196'608;
// All else: per layer attention 128 x (256 + 128), router 128 x 8, two norms of 128; two tables of 1000 x 128, a norm.
inline constexpr std::int64_t kSmallRest = 2 * (4 * (128 * 384 + 128 * 8 + 256) + 2 * 1000 * 128 + 128);
// Keys and values of 64 in each of 4 layers, 1000 positions.
inline constexpr std::int64_t kSmallCache = 2 * 2 * 64 * 4 * 1000;
// Of the 900 tokens of the prompt: residual, norm, 8 logits of the router, two experts of 2 x 128 + 3 x 256; 1000 logits.
inline constexpr std::int64_t kSmallActivations = 2 * (900 * (2 * 128 + 8 + 2 * (2 * 128 + 3 * 256)) + 1000);
// Workspace, and what the RTX 4090's driver holds.
inline constexpr std::int64_t kSmallFixed = (64 << 20) + 600'000'000;
inline constexpr std::int64_t kSmallTaken = kSmallRest + kSmallCache + kSmallActivations + kSmallFixed;

inline Edit change(const std::string& path, const std::string& value) {
  return {path, Yaml::parse("?", "test").replaced(value)};
}

/// GPU memory for so many bf16 experts and half of one, host memory for so many, and a disk (of at
/// least 1 MB).
inline Question small_question(const TemporaryFolder& folder, double gpu, std::int64_t host,
                               Bytes disk = {1'000'000'000'000}) {
  Question question;
  question.model = folder.write("small.yaml", kSmallModel).string();
  question.platform = "rtx4090";
  question.context = 1000;
  question.output = 100;
  question.batch = 1;
  question.host_memory = Bytes{4'000'000'000 + host * kSmallExpert};  // 4 GB are the operating system's
  question.changes = {
      change("platform.memories.vram.capacity",
             fmt::format("{} B", kSmallTaken + static_cast<std::int64_t>(gpu * kSmallExpert))),
      change("platform.memories.nvme.capacity", fmt::format("{} B", disk.count))};
  return question;
}

inline constexpr Formats kSmallNative{WeightFormat::bf16, WeightFormat::bf16};

}  // namespace specmoe
